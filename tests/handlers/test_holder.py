"""What becomes of the holder of retained disks while it is made, and when somebody is faster."""

from dataclasses import replace

import pytest

from handlers.holder import HOLDER, handed_over, holder_name, retained
from state.change import Change
from state.memory import Intent, Memory
from state.observed import SeenVM, VMRow
from tests.engine import AT, UUID, binding, config, seen, spec, view, vm

SPEC = spec(state="absent", disks={"scsi1": {"reclaim": "retain"}})


def stopped(holder: VMRow | None, kept: str | None = "150") -> SeenVM:
    """A stopped VM with a disk to retain; `kept` is the vmid that is kept for its holder."""
    intents = {HOLDER: Intent("web-1", HOLDER, AT, 0, kept)} if kept else {}
    memory = Memory(binding("web-1", uuid=UUID), intents=intents)
    found = seen(memory=memory, config=config(scsi1="local-lvm:vm-101-disk-1,size=5G"))
    assert found.row is not None
    return replace(found, cluster=view([found.row, *([holder] if holder else [])]))


@pytest.mark.parametrize(
    ("holder", "kept", "field", "calls"),
    [
        (None, None, HOLDER, 0),
        (None, "150", HOLDER, 1),
        (vm(150, name="somebody-elses"), "150", HOLDER, 0),
        (vm(150, name="web-1-holder"), "150", "retain.scsi1", 1),
    ],
    ids=["no vmid", "not made", "taken", "there"],
)
def test_the_next_step_follows_from_what_is_there(
    holder: VMRow | None, kept: str | None, field: str, calls: int
) -> None:
    (step,) = handed_over(SPEC, stopped(holder, kept))
    assert isinstance(step, Change)
    assert (step.field, len(step.calls), step.gate) == (field, calls, True)


@pytest.mark.parametrize("young", [{"name": None}, {"name": "web-1-holder", "lock": "create"}])
def test_a_holder_that_is_being_made_is_waited_for(young: dict[str, str | None]) -> None:
    (note,) = handed_over(SPEC, stopped(replace(vm(150), **young)))  # type: ignore[arg-type]
    assert note.field == HOLDER and getattr(note, "blocking", False)


def test_disks_of_others_and_of_no_spec_are_not_handed_over() -> None:
    found = stopped(None)
    foreign = config(scsi1="local-lvm:vm-999-disk-1,size=5G")
    assert retained(SPEC, replace(found, config=foreign)) == []
    assert list(handed_over(spec(state="absent"), found)) == []


def test_a_long_name_stays_a_label() -> None:
    long = replace(binding("web-1"), name="a" * 63 + ".example.net")
    assert holder_name(seen(memory=Memory(long))) == "a" * 56 + "-holder"
