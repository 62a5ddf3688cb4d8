"""The built-in loops, in the order in which they are asked."""

from functools import cache

from reconciler.backups.loops import backup_status, schedule_backup
from reconciler.loops.loop import Loop
from reconciler.loops.process import process_vms
from reconciler.notices.sending import notices
from reconciler.queue.process import process_queue
from reconciler.snapshots.job import remove_snapshots
from reconciler.usage.collect import collect_statistics
from reconciler.verbs.watching import restore_backup


@cache
def built_in() -> tuple[Loop, ...]:
    """Return every loop of ours; `process_vms` comes first in every run."""
    return (
        process_vms(),
        restore_backup(),
        backup_status(),
        schedule_backup(),
        remove_snapshots(),
        collect_statistics(),
        process_queue(),
        notices(),
    )


def called(name: str) -> Loop | None:
    """Return the loop of a name: its own, camelCase, or one that it went by elsewhere (C2)."""
    return next((one for one in built_in() if answers(one, name)), None)


def answers(loop: Loop, name: str) -> bool:
    """Whether a loop is meant by a name."""
    return name in (loop.name, camel_case(loop.name), *loop.aliases)


def camel_case(name: str) -> str:
    """Return `removeSnapshots` for `remove_snapshots`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
