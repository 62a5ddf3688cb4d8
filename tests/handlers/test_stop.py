"""Laws of stopping that no single case shows."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.stop import FORCE, START, STOP, ask, begins, go_on, open_stop
from handlers.waiting import pending_marks
from reconciler.registry import vm_handlers
from state.change import Change, Note
from state.memory import Intent, Memory
from state.observed import SeenVM
from tests.casefile import compared, read_case
from tests.engine import AT, SECOND, UUID, binding, change, seen, vm

HANDLERS = {one.name: one for one in vm_handlers()}
CASES = sorted((Path(__file__).parents[1] / "cases").glob("*/*.yaml"))
OURS = [path for path in CASES if path.parent.name in HANDLERS]
DRIVE = re.compile(r"(scsi|virtio|sata|ide|efidisk|tpmstate)\d+")


@pytest.mark.parametrize("path", OURS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_cp_15_nothing_is_detached_that_a_later_stop_would_take_away(path: Path) -> None:
    """A failed unplug stays pending, and the next stop makes it true: the boot disk would be gone.

    So no handler takes a disk off a running VM, but with a person's approval.
    """
    case = read_case(path)
    changes, _ = compared(HANDLERS[case.handler], case.spec, case.seen)
    disks = case.seen.config.live.disks if case.seen.config else {}
    for one in changes:
        for call in one.calls:
            gone = str(call.params.get("delete", "")).split(",")
            taken = [key for key in gone if DRIVE.fullmatch(key) and key in disks]
            assert not taken or one.approval or case.seen.status == "stopped"


def running(*intents: Intent, **fields: object) -> SeenVM:
    memory = Memory(binding(uuid=UUID), intents={one.kind: one for one in intents})
    row = vm(101, status="running", uptime=900_000)
    return replace(seen(memory=memory, row=row, status="running"), **fields)  # type: ignore[arg-type]


def test_of_a_vm_whose_config_was_not_read_nothing_is_known_to_wait() -> None:
    assert pending_marks(running(config=None)) == frozenset()


def test_another_change_of_power_or_of_others_begins_what_it_says() -> None:
    found = running()
    assert begins(change("cpu", new="running"), found, AT) is None
    start = begins(change("power", new="running"), found, AT)
    assert (start and start.kind) == START
    force = begins(change("power", "stop.force", new="stopped"), found, AT)
    assert (force and force.kind) == FORCE


def test_a_failed_request_is_made_again_within_its_window_and_anew_after_it() -> None:
    failed = Intent("web-1", STOP, AT - 30 * SECOND, 4, "off failed")
    again = begins(ask(running(failed), "stop.off"), running(failed), AT)
    assert again == replace(failed, detail="off")
    old = replace(failed, at=AT - timedelta(days=2))
    assert begins(ask(running(old), "stop.off"), running(old), AT) == Intent(
        "web-1", STOP, AT, 0, "off"
    )


def test_a_failed_request_of_long_ago_is_made_again_with_all_of_its_time() -> None:
    """What is left of a time that is over is less than nothing, which Proxmox refuses."""
    for age, seconds in ((30, 90), (119, 1), (120, 120), (200_000, 120)):
        failed = running(Intent("web-1", STOP, AT - age * SECOND, 4, "off failed"))
        assert ask(failed, "stop.off").calls[0].params == {"timeout": seconds}


moments = st.floats(0, 4000)


@given(moments, moments, st.sampled_from(["", " failed", " sent", " UPID:x"]), st.booleans())
def test_c_14_nobody_is_switched_off_before_his_time_nor_by_a_first_look(
    since: float, looked: float, answer: str, was_looked: bool
) -> None:
    """Whatever was heard: not before 120 s, and only after a look that was made after them."""
    at = AT - timedelta(seconds=since)
    last = at + timedelta(seconds=min(looked, since)) if was_looked else None
    found = running(Intent("web-1", STOP, at, 3, f"ab{answer}", last))
    stop = open_stop(found)
    assert stop is not None
    (step,) = go_on(found, stop)
    if isinstance(step, Change) and step.field == "stop.force":
        assert answer
        assert since >= 120
        assert last is not None
        assert last - at >= timedelta(seconds=120)
    assert isinstance(step, Change) or (isinstance(step, Note) and step.blocking)
