"""The loop `restore_backup`: it watches the restores that are open (TASK-03)."""

from collections.abc import Iterator

from desired.timetable import read_timetable
from handlers.restore import FAILED, SENT, STEP
from handlers.wishes import RESTORE, Unclear, read_wish
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.prepare import fits
from reconciler.pve.tasks import task_status
from reconciler.show.text import count_of
from state.api import ApiError
from state.verbs import Wish


def restore_backup() -> Loop:
    """Return the loop. It only looks: `process_vms` goes on with what has ended."""
    about = "watch the restores that are open, and say which of them need a person"
    return Loop("restore_backup", about, _run, read_timetable("5min"))


def _run(occasion: Occasion) -> LoopResult:
    """Say of each how it stands; one that failed is an error until a person has decided."""
    found = list(_open(occasion))
    lines, failed = [], 0
    for wish in found:
        failed += wish.text(STEP) == FAILED
        lines.append(f"{wish.key}: {_stands(occasion, wish)}")
    return LoopResult(
        "error" if failed else "success",
        processed=len(found),
        errors=failed,
        details=tuple(lines),
        message=f"{count_of(len(found), 'restore')} open, {failed} failed",
    )


def _open(occasion: Occasion) -> Iterator[Wish]:
    for intent in occasion.store.verbs.open():
        try:
            wish = read_wish(intent)
        except Unclear:
            continue
        if wish.verb == RESTORE and fits(wish.key, occasion.options.only):
            yield wish


def _stands(occasion: Occasion, wish: Wish) -> str:
    """How one restore stands, by its task where it has one: `GET /nodes/N/tasks/UPID/status`."""
    step, upid = wish.text(STEP), wish.text("upid")
    if step == FAILED:
        why = wish.text("why") or ""
        return f"{why}; restore it once more, or reconcile reinstall {wish.key}"
    binding = occasion.store.bindings.of(wish.key)
    if step != SENT or not upid or binding is None:
        return f"restore of {wish.text('backup')}: {step or 'asked'}"
    try:
        end = task_status(occasion.opened.connect(binding.cluster), upid)
    except ApiError as error:
        return f"its task cannot be read: {error.text}"
    ended = f"ended: {end.text}; process_vms goes on with it" if end else "is being copied"
    return f"restore of {wish.text('backup')} {ended}"
