"""The steps of a job as they come (Q-12)."""

from collections.abc import Iterator

from reconciler.clock import Clock
from state.queue import FINISHED, LogLine
from state.store import Store

POLL = 1.0


def steps_of(store: Store, number: int, clock: Clock, *, follow: bool) -> Iterator[LogLine]:
    """Give what is in a job's log; to `follow` it gives what is added, until the job has ended."""
    last = 0
    while True:
        job = store.queue.of(number)
        for line in store.queue.log(number):
            if line.id > last:
                last = line.id
                yield line
        if not follow or job is None or job.status in FINISHED:
            return
        clock.sleep(POLL)
