"""Notices on their way: one row for each event, channel and recipient, and how far it has come.

waiting -> claimed -> (handing ->) sent, or failed, or held: nobody can say whether it arrived.
Only who has the lock of the loop `notices` moves them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import ColumnElement, Connection, delete, select, update

from state import tables
from state.api import Json
from state.database import Database, insert_once, row_of, upsert
from state.outbox import Event

State = Literal["waiting", "claimed", "handing", "sent", "held", "failed"]
SINCE = "notices:since"
LONGEST_ERROR = 500


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice to one recipient.

    `carries` is the use under which the vault keeps the password that stands in it, empty for
    none; `reference` is what the other side calls it. `ticket` is the id of the ticket that it
    opens, adds to or closes.
    """

    id: int
    occurrence: str
    kind: str
    event: str
    key: str
    channel: str
    recipient: str
    at: datetime
    detail: Mapping[str, Json] = field(default_factory=dict)
    ticket: int | None = None
    state: State = "waiting"
    changed_at: datetime | None = None
    carries: str = ""
    reference: str = ""
    error: str = ""


class Notices:
    """Notices by id. UNIQUE: (occurrence, channel, recipient)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def since(self) -> str:
        """When notices were first switched on; empty when they never were."""
        columns = tables.settings.c
        statement = select(columns.value).where(columns.name == SINCE)
        with self._database.reading("read since when notices are sent") as link:
            return str(link.execute(statement).scalar() or "")

    def begin(self, at: datetime) -> None:
        """Starts here: nothing that happened before is told any more."""
        before = update(tables.outbox).where(tables.outbox.c.delivered_at.is_(None))
        with self._database.writing("begin to send notices") as link:
            upsert(link, tables.settings, [{"name": SINCE, "value": at.isoformat()}])
            link.execute(before.values(delivered_at=at))

    def expand(self, event: Event, notices: Sequence[Notice], at: datetime) -> None:
        """Makes the notices of an event, and the event one that was taken up; all or nothing."""
        done = update(tables.outbox).where(tables.outbox.c.id == event.id)
        with self._database.writing(f"tell of {event.event} of {event.key}") as link:
            for one in notices:
                insert_notice(link, one, at)
            link.execute(done.values(delivered_at=at))

    def of(self, id: int) -> Notice | None:
        found = self._where(tables.notices.c.id == id, limit=1)
        return found[0] if found else None

    def in_state(self, *states: State, limit: int = 10_000) -> list[Notice]:
        """The oldest of those that have come so far."""
        return self._where(tables.notices.c.state.in_(states), limit=limit)

    def of_ticket(self, ticket: int) -> list[Notice]:
        """All that tell of a ticket, the first one opens it."""
        return self._where(tables.notices.c.ticket == ticket, limit=10_000)

    def newest(self, limit: int, states: Collection[State] = ()) -> list[Notice]:
        """The newest ones, the newest first."""
        statement = select(tables.notices).order_by(tables.notices.c.id.desc()).limit(limit)
        if states:
            statement = statement.where(tables.notices.c.state.in_(states))
        with self._database.reading("read notices") as link:
            return [Notice(*row) for row in link.execute(statement)]

    def move(
        self, notice: Notice, state: State, at: datetime, error: str = "", reference: str = ""
    ) -> bool:
        """Moves it from the state that was seen; False when it has another one meanwhile."""
        columns = tables.notices.c
        seen = update(tables.notices).where(columns.id == notice.id, columns.state == notice.state)
        values = {
            "state": state,
            "changed_at": at,
            "error": error[:LONGEST_ERROR],
            "reference": reference or notice.reference,
        }
        with self._database.writing(f"{state}: notice {notice.id}") as link:
            return link.execute(seen.values(**values)).rowcount > 0

    def entrust(self, notice: Notice, use: str, at: datetime) -> bool:
        """Gives a secret to this notice alone; False when it was delivered otherwise before."""
        columns, mine = tables.secrets.c, tables.notices.c
        fresh = (columns.key == notice.key, columns.use == use, columns.shown_at.is_(None))
        with self._database.writing(f"deliver the secret {use} of {notice.key}") as link:
            taken = link.execute(update(tables.secrets).where(*fresh).values(shown_at=at))
            if taken.rowcount:
                link.execute(update(tables.notices).where(mine.id == notice.id).values(carries=use))
        return taken.rowcount > 0

    def forget(self, before: datetime) -> int:
        """Drops what was sent, or given up, before a moment; how many."""
        columns = tables.notices.c
        old = delete(tables.notices).where(
            columns.state.in_(("sent", "failed")), columns.changed_at < before
        )
        with self._database.writing("forget old notices") as link:
            return link.execute(old).rowcount

    def _where(self, *wanted: ColumnElement[bool], limit: int) -> list[Notice]:
        statement = select(tables.notices).where(*wanted).order_by(tables.notices.c.id)
        with self._database.reading("read notices") as link:
            return [Notice(*row) for row in link.execute(statement.limit(limit))]


def insert_notice(link: Connection, notice: Notice, at: datetime) -> None:
    """Writes a notice in a transaction of the caller's, unless it is there already."""
    row = row_of(notice, tables.notices) | {"changed_at": at, "detail": dict(notice.detail)}
    del row["id"]
    insert_once(link, tables.notices, row)
