"""How long past restarts took, from the request to stop until the VM was ready again."""

from bisect import bisect_left
from collections import defaultdict
from datetime import datetime, timedelta
from itertools import pairwise

from sqlalchemy import select

from state import tables
from state.change import Effect
from state.database import Database

LONGEST = timedelta(days=1)
"""What took longer was not waited for."""


class Downtimes:
    """What the journal tells of restarts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, list[float]]:
        """Seconds of each restart of the last 30 days that came to a good end, by key."""
        effects, runs = tables.effects.c, tables.vm_runs.c
        asked = select(effects.key, effects.at).where(effects.effect == Effect.STOP_START.value)
        ended = select(runs.key, runs.finished_at).where(
            runs.result == "success",
            runs.finished_at.is_not(None),
            runs.key.in_(select(effects.key).where(effects.effect == Effect.STOP_START.value)),
        )
        begun: dict[str, list[datetime]] = defaultdict(list)
        ready: dict[str, list[datetime]] = defaultdict(list)
        with self._database.reading("read past restarts") as link:
            for key, at in link.execute(asked.order_by(effects.at)):
                begun[key].append(at)
            for key, at in link.execute(ended.order_by(runs.finished_at)):
                ready[key].append(at)
        return {key: found for key in begun if (found := _seconds(begun[key], ready[key]))}


def _seconds(begun: list[datetime], ready: list[datetime]) -> list[float]:
    """Each restart up to the first good end after it; not one that was begun anew before that."""
    found = []
    for at, later in pairwise([*begun, None]):
        assert at is not None
        index = bisect_left(ready, at)
        end = ready[index] if index < len(ready) else None
        if end and end - at < LONGEST and (later is None or later > end):
            found.append((end - at).total_seconds())
    return found
