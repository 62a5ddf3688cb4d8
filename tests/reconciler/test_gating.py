"""What the guard of a look counts: how many VMs the shares of the thresholds are shares of."""

from pathlib import Path
from typing import Any

import yaml

from tests.endings import ABSENT, conditions, files
from tests.lab import Lab

PLAIN: dict[str, Any] = {"memory": "1GiB"}
HALF = "guard: {destroys: 50%, minimum: 0}\n"


def test_what_has_gone_is_none_of_the_vms_that_the_threshold_is_a_share_of(tmp_path: Path) -> None:
    """Else specs of VMs that were ended long ago would let all the others be ended at once."""
    vms: dict[str, Any] = dict.fromkeys("abcd", PLAIN)
    lab = Lab(tmp_path, files(vms, HALF))
    lab.settle()
    lab.write({"vms/all.yaml": yaml.safe_dump({**vms, "a": ABSENT, "b": ABSENT})})
    lab.settle()
    lab.clock.sleep(25 * 3600.0)
    lab.write({"vms/all.yaml": yaml.safe_dump(dict.fromkeys("abcd", ABSENT))})
    lab.run()
    with lab.store() as store:
        assert set(store.bindings.names()) == {"d"}
    assert "ApprovalNeeded" in conditions(lab, "d")
