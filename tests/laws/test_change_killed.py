"""A change killed anywhere: the runs after it go on, and do nothing twice."""

from pathlib import Path

import pytest

from tests.lab import Killed
from tests.laws.test_restart import twin
from tests.scenarios.test_change_disks import VM, given_up


def test_cp_07_an_erasure_killed_anywhere_is_finished_and_approved_once(tmp_path: Path) -> None:
    """CP-07, CP-09: before each write is sent, and before its answer is heard."""
    base = given_up(tmp_path / "base")
    base.ask("POST", f"{VM}/snapshot", snapname="one")
    base.clock.sleep(60.0)
    base.run()
    digest = base.dry().digest
    calm = twin(base, tmp_path / "calm")
    calm.run(approve=digest)
    writes = [index for index, one in enumerate(calm.wire.calls) if one.is_write]
    calm.settle()
    assert len(writes) == 3
    for number, (index, heard) in enumerate((i, h) for i in writes for h in (False, True)):
        lab = twin(base, tmp_path / str(number))
        with pytest.raises(Killed):
            lab.run(approve=digest, **{"after" if heard else "before": index})
        lab.clock.sleep(30.0)
        lab.settle(apart=30.0)
        assert lab.shot() == calm.shot()
