"""When what is remembered of a holder has done its work."""

from dataclasses import replace

import pytest

from handlers.holder import HOLDER, way_back
from handlers.retained import is_over
from state.change import Change
from state.conf import VMConfig
from state.memory import Intent, Memory
from state.observed import SeenHolder, SeenVM, VMRow
from tests.engine import AT, UUID, binding, config, seen, spec, view

SPEC = spec(disks={"scsi1": {"size": "5GiB", "reclaim": "retain"}})
MARK = "reconcile-holder: store=ab12cd34 fleet=demo key=web-1 of=101"
ROW = VMRow(150, "pve1", "stopped", "web-1-holder", tags=("reconcile-holder",))
THERE = {"scsi1": "local-lvm:vm-101-disk-1,size=5G"}


def looked(slots: dict[str, str], held: dict[str, str] | None) -> SeenVM:
    """A VM with these disks and, where it has any, a holder with those."""
    intents = {
        kind: Intent("web-1", kind, AT, 0, detail)
        for kind, detail in {HOLDER: "150", "back.scsi1": "150/scsi1", "start": ""}.items()
    }
    memory = Memory(binding("web-1", uuid=UUID), intents=intents)
    shown = config(**slots)  # type: ignore[arg-type]
    found = replace(seen(memory=memory, config=shown), store="ab12cd34")
    if held is None:
        return found
    holder = SeenHolder(ROW, VMConfig({"description": MARK, **held}))
    return replace(found, cluster=view([ROW]), holders={150: holder})


@pytest.mark.parametrize(
    ("slots", "held", "over"),
    [
        ({}, {"scsi1": "local-lvm:vm-150-disk-0"}, False),
        ({}, None, False),
        (THERE, None, True),
        (THERE, {}, False),
        (THERE, {"scsi9": "local-lvm:vm-150-disk-0"}, True),
    ],
    ids=["still away", "lost", "back", "the holder is to go", "the holder has others"],
)
def test_a_disk_is_remembered_until_it_is_back_and_its_holder_gone(
    slots: dict[str, str], held: dict[str, str] | None, over: bool
) -> None:
    assert is_over("back.scsi1", SPEC, looked(slots, held)) is over


def test_what_the_spec_names_no_longer_is_not_waited_for() -> None:
    assert is_over("back.scsi1", spec(), looked({}, None))
    assert not is_over("start", spec(), looked({}, None))


def test_a_holder_is_remembered_until_it_is_gone() -> None:
    assert is_over(HOLDER, SPEC, looked(THERE, None))
    assert not is_over(HOLDER, SPEC, looked(THERE, {}))


def test_the_way_back_is_kept_of_what_is_moved_to_the_holder_alone() -> None:
    """Not of the boot disk: the next machine has its own."""
    found = looked({"scsi0": "local-lvm:vm-101-disk-0", **THERE}, None)

    def kept(field: str) -> Intent | None:
        return way_back(Change("web-1", "terminate", field, None, None), found)

    assert kept("retain.scsi1") == Intent("web-1", "back.scsi1", found.at, 0, "150/scsi1")
    assert kept("retain.scsi0") is kept("vm") is None
    bare = replace(found, memory=replace(found.memory, intents={}))
    assert way_back(Change("web-1", "terminate", "retain.scsi1", None, None), bare) is None
