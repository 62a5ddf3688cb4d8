"""Events on their way to notices and accounting: written once, with what caused them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Connection, select, update

from state import tables
from state.api import Json
from state.database import Database, insert_once


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to `key`; `dedupe` names the occurrence (default: event/key/at)."""

    event: str
    key: str
    at: datetime
    detail: Mapping[str, Json] = field(default_factory=dict)
    dedupe: str = ""
    id: int = 0


class Outbox:
    """Events in the order they were written. UNIQUE: `dedupe`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        event: str,
        key: str,
        at: datetime,
        detail: Mapping[str, Json],
        dedupe: str = "",
    ) -> bool:
        """Writes an event unless that occurrence is written; tells whether it did."""
        with self._database.writing(f"add event {event} of {key}") as link:
            return insert_event(link, Event(event, key, at, detail, dedupe))

    def waiting(self, limit: int = 1000) -> tuple[Event, ...]:
        """The oldest events that were not delivered."""
        columns = tables.outbox.c
        statement = select(*_columns()).where(columns.delivered_at.is_(None))
        with self._database.reading("read events") as link:
            rows = link.execute(statement.order_by(columns.id).limit(limit))
            return tuple(Event(*row) for row in rows)

    def past(self, event: str, limit: int = 1000) -> tuple[Event, ...]:
        """The newest events of a kind, delivered or not, in the order they were written."""
        columns = tables.outbox.c
        statement = select(*_columns()).where(columns.event == event).order_by(columns.id.desc())
        with self._database.reading("read past events") as link:
            return tuple(Event(*row) for row in link.execute(statement.limit(limit)))[::-1]

    def delivered(self, event: Event, at: datetime) -> None:
        """It has reached everybody whom it is for."""
        columns = tables.outbox.c
        with self._database.writing(f"deliver event {event.event} of {event.key}") as link:
            link.execute(
                update(tables.outbox).where(columns.id == event.id).values(delivered_at=at)
            )


def insert_event(link: Connection, event: Event) -> bool:
    """Writes an event in a transaction of the caller's; False when it is there already."""
    row = {
        "event": event.event,
        "key": event.key,
        "at": event.at,
        "detail": dict(event.detail),
        "dedupe": event.dedupe or f"{event.event}/{event.key}/{event.at.isoformat()}",
    }
    return insert_once(link, tables.outbox, row)


def _columns() -> tuple[Column[Any], ...]:
    columns = tables.outbox.c
    return tuple(columns[name] for name in ("event", "key", "at", "detail", "dedupe", "id"))
