"""Which work is tried a few times only, and when: the rest is tried for ever (Q-04, Q-05)."""

from datetime import datetime, timedelta

from reconciler.backoff import spread

MOST = 5
"""So often bounded work is tried, unless it says otherwise."""

WAITS = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 60))
"""How long after its first failure, its second …; the last of them from then on."""

BOUNDED = ("process_queue", "notices", "tickets", "certificates")
"""The work that gives up, by its handler's name or the part before the dot.

A VM's steps and the records of a zone never do: what they make must come to be (DEP-06).
"""


def is_bounded(handler: str) -> bool:
    """Whether the work gives up after some failures."""
    return handler.partition(".")[0] in BOUNDED


def next_try(
    subject: str, handler: str, count: int, at: datetime, most: int = MOST
) -> datetime | None:
    """Return when bounded work is tried again after `count` failures; None when it gives up.

    1, 2, 5, 15 and then each 60 min, up to a fifth more or less, always the same for the same work.
    """
    if count >= most:
        return None
    wait = WAITS[min(max(count, 1), len(WAITS)) - 1]
    return at + wait * spread(f"{subject}/{handler}/{count}")
