"""How each lock stands, for people: who has it, and whether that process is there still."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from state.holder import Holder
from state.lockrows import LockRow
from state.store import Store

LockState = Literal["held", "stale", "dead", "free"]


@dataclass(frozen=True, slots=True)
class Tenancy:
    """One lock. `stale`: no heartbeat within its time-out; `dead`: its process is gone.

    Either is taken by the next run by itself.
    """

    row: LockRow
    state: LockState

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def left_behind(self) -> bool:
        return self.state in ("stale", "dead")

    @property
    def since(self) -> datetime:
        return datetime.fromtimestamp(self.row.taken_at, UTC)

    @property
    def beat_at(self) -> datetime:
        return datetime.fromtimestamp(self.row.beat_at, UTC)


def tenancies(store: Store, here: Holder, at: datetime) -> list[Tenancy]:
    """Return every lock that was ever taken, by name, as the process `here` sees it."""
    return [Tenancy(row, _state(row, here)) for row in store.locks.all(at.timestamp())]


def _state(row: LockRow, here: Holder) -> LockState:
    if row.is_free:
        return "free"
    if row.holder.is_gone(here):
        return "dead"
    return "stale" if row.over else "held"
