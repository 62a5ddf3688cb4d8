"""A verb that a later word overrules: the spec says absent before the verb is done."""

from pathlib import Path

import pytest

from tests.endings import files
from tests.lab import Lab
from tests.verbs import asked, results


@pytest.mark.parametrize("verb", ["reinstall", "redeploy"])
def test_a_vm_that_is_to_be_absent_by_now_is_not_made_anew(tmp_path: Path, verb: str) -> None:
    """Else each run would end what the run before it had made room for, for ever."""
    lab = Lab(tmp_path, files({"a": {}, "b": {}}))
    lab.settle()
    asked(lab, verb, "t1")
    lab.write(files({"a": {"state": "absent"}, "b": {}}))
    lab.settle()
    assert [vmid for vmid in lab.world.vms if vmid < 9000] == [101]
    lab.run()
    with lab.store() as store:
        assert store.bindings.of("a") is None and not store.intents.of("a")
    assert results(lab)[f"{verb} t1"] in ("withdrawn", "done")
