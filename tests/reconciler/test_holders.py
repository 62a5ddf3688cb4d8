"""What is read of holders: those that a VM's disks come from, and no VM of others."""

from dataclasses import replace

from reconciler.holders import with_holders
from state.observed import SeenHolder, VMRow
from tests.engine import Answers, seen, spec, view

SPEC = spec(
    disks={
        "scsi1": {"adopt": "150/scsi1"},
        "scsi2": {"adopt": "151/scsi1"},
        "scsi3": {"adopt": "152/scsi1"},
    }
)


def test_a_holder_that_cannot_be_read_and_a_vm_of_others_come_without_a_config() -> None:
    ours = VMRow(150, "pve1", "stopped", "old-1-holder", tags=("reconcile-holder",))
    theirs = VMRow(151, "pve1", "stopped", "theirs")
    api, looked = Answers(), replace(seen(), cluster=view([ours, theirs]))
    found = with_holders(api, SPEC, looked)
    assert found.holders == {150: SeenHolder(ours), 151: SeenHolder(theirs)}
    assert api.got == ["/nodes/pve1/qemu/150/pending"]
    assert with_holders(api, spec(), looked) is looked
