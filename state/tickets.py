"""Tickets: one for each cause of lasting failures, with what was told in it (Q-06)."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, insert, select, update

from state import tables
from state.database import Database, row_of
from state.notices import Notice, insert_notice


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket. `subjects` are the VMs (or others) that it is about now.

    `reference` is what the help desk calls it, once it is there. A `quiet` one asks for something
    and is closed by who does it, not by us.
    """

    id: int
    cause: str
    number: int
    channel: str
    subject: str
    message: str
    subjects: tuple[str, ...]
    department: str
    opened_at: datetime
    closed_at: datetime | None = None
    reference: str = ""
    quiet: bool = False


class Tickets:
    """Tickets by id. UNIQUE: (cause, number)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def standing(self) -> dict[str, Ticket]:
        """The open ones by cause."""
        columns = tables.tickets.c
        statement = select(tables.tickets).where(columns.closed_at.is_(None))
        with self._database.reading("read the open tickets") as link:
            rows = link.execute(statement.order_by(columns.id))
            return {row.cause: _sound(Ticket(*row)) for row in rows}

    def all(self, limit: int = 200) -> list[Ticket]:
        """The newest ones, the newest first."""
        statement = select(tables.tickets).order_by(tables.tickets.c.id.desc()).limit(limit)
        with self._database.reading("read the tickets") as link:
            return [_sound(Ticket(*row)) for row in link.execute(statement)]

    def of(self, id: int) -> Ticket | None:
        statement = select(tables.tickets).where(tables.tickets.c.id == id)
        with self._database.reading(f"read ticket {id}") as link:
            row = link.execute(statement).first()
        return _sound(Ticket(*row)) if row else None

    def open(self, ticket: Ticket, first: Notice) -> Ticket:
        """Opens a ticket with the notice that tells of it; both or none."""
        columns = tables.tickets.c
        last = select(func.max(columns.number)).where(columns.cause == ticket.cause)
        with self._database.writing(f"open a ticket: {ticket.cause}") as link:
            number = (link.execute(last).scalar() or 0) + 1
            row = row_of(replace(ticket, number=number), tables.tickets)
            del row["id"]
            row["subjects"] = list(ticket.subjects)
            made = link.execute(insert(tables.tickets).values(**row).returning(columns.id))
            opened = replace(ticket, id=int(made.scalar_one()), number=number)
            told = replace(first, ticket=opened.id, occurrence=f"ticket/{opened.id}/open")
            insert_notice(link, told, ticket.opened_at)
        return opened

    def change(self, ticket: Ticket, told: Notice | None = None) -> None:
        """Replaces what is known of a ticket, with the notice that tells of it."""
        row = row_of(ticket, tables.tickets) | {"subjects": list(ticket.subjects)}
        mine = update(tables.tickets).where(tables.tickets.c.id == ticket.id)
        with self._database.writing(f"change ticket {ticket.id}") as link:
            link.execute(mine.values(**row))
            if told is not None:
                insert_notice(link, told, told.at)


def _sound(ticket: Ticket) -> Ticket:
    """JSON knows lists only."""
    return replace(ticket, subjects=tuple(ticket.subjects))
