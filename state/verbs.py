"""What was asked of a VM by a word (suspend, reinstall …): open as an intent, then history."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, exists, select, update

from state import tables
from state.api import Json
from state.database import Database, insert_once, row_of, upsert
from state.memory import Intent
from state.outbox import Event, insert_event

DO = "do."
"""How the kind of an intent begins that is an open verb: `do.suspend`."""

SUSPENDED = f"{DO}suspend"
"""The intent of a VM that is to be off."""

Result = Literal["", "done", "failed", "refused", "withdrawn"]


@dataclass(frozen=True, slots=True)
class VerbRow:
    """One verb that was asked of a VM; open while it has no `ended_at`, and then `result` is ''."""

    key: str
    verb: str
    token: str
    by: str
    asked_at: datetime
    ended_at: datetime | None = None
    result: Result = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Wish:
    """An open verb as its intent holds it: who asks, by which token, with what besides."""

    key: str
    verb: str
    token: str
    by: str
    at: datetime
    params: Mapping[str, Json]

    def intent(self) -> Intent:
        detail = {"by": self.by, "token": self.token, **self.params}
        return Intent(self.key, DO + self.verb, self.at, 0, json.dumps(detail, sort_keys=True))

    def text(self, name: str) -> str | None:
        """A parameter that is a text; None where it is not given."""
        value = self.params.get(name)
        return value if isinstance(value, str) and value else None

    def row(self) -> VerbRow:
        return VerbRow(self.key, self.verb, self.token, self.by, self.at)


class Verbs:
    """Verbs by (key, verb, token), which is UNIQUE: the same token asks once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, wish: Wish, instead: Wish | None = None, at: datetime | None = None) -> bool:
        """Opens a verb, its intent with its row or neither; False when the token was used.

        What it is asked `instead` of is withdrawn with that, unless it had ended.
        """
        with self._database.writing(f"ask {wish.verb} of {wish.key}") as link:
            fresh = insert_once(link, tables.verbs, row_of(wish.row(), tables.verbs))
            if fresh:
                upsert(link, tables.intents, [row_of(wish.intent(), tables.intents)])
            if fresh and instead:
                message = f"{wish.verb} was asked by {wish.by}"
                _close(link, instead, "withdrawn", message, at or wish.at)
                _drop(link, instead)
        return fresh

    def record(self, wish: Wish, result: Result, message: str, at: datetime) -> bool:
        """Sets down a verb that was over at once; no intent is touched. False: token used."""
        row = VerbRow(wish.key, wish.verb, wish.token, wish.by, wish.at, at, result, message)
        with self._database.writing(f"record {wish.verb} of {wish.key}") as link:
            return insert_once(link, tables.verbs, row_of(row, tables.verbs))

    def keep(self, wish: Wish) -> None:
        """Stores how far an open verb has come, before what follows from that is sent."""
        with self._database.writing(f"go on with {wish.verb} of {wish.key}") as link:
            upsert(link, tables.intents, [row_of(wish.intent(), tables.intents)])

    def end(
        self,
        wish: Wish,
        result: Result,
        message: str,
        at: datetime,
        event: Event | None = None,
        *,
        stands: bool = False,
    ) -> None:
        """Closes a verb with what came of it, and its event; `stands` keeps its intent as it is.

        A row that another program never wrote is written now. What has ended ends no second time.
        """
        with self._database.writing(f"end {wish.verb} of {wish.key}") as link:
            insert_once(link, tables.verbs, row_of(wish.row(), tables.verbs))
            _close(link, wish, result, message, at)
            if stands:
                upsert(link, tables.intents, [row_of(wish.intent(), tables.intents)])
            else:
                _drop(link, wish)
            if event:
                insert_event(link, event)

    def open(self) -> tuple[Intent, ...]:
        """Every row of the intents that asks for a verb, be it clear what it asks or not."""
        columns = tables.intents.c
        statement = select(tables.intents).where(columns.kind.startswith(DO, autoescape=True))
        with self._database.reading("read open verbs") as link:
            rows = link.execute(statement.order_by(columns.at, columns.key, columns.kind))
            return tuple(Intent(*row) for row in rows)

    def stray(self) -> tuple[VerbRow, ...]:
        """Open rows whose intent has gone with their machine."""
        verbs, intents = tables.verbs.c, tables.intents.c
        begun = exists().where(intents.key == verbs.key, intents.kind == DO + verbs.verb)
        statement = select(tables.verbs).where(verbs.ended_at.is_(None), ~begun)
        with self._database.reading("read stray verbs") as link:
            return tuple(VerbRow(*row) for row in link.execute(statement))

    def of(self, key: str) -> tuple[VerbRow, ...]:
        """What was asked of a VM, the newest first."""
        columns = tables.verbs.c
        statement = select(tables.verbs).where(columns.key == key)
        with self._database.reading(f"read the verbs of {key}") as link:
            order = (columns.asked_at.desc(), columns.verb, columns.token)
            return tuple(VerbRow(*row) for row in link.execute(statement.order_by(*order)))

    def forget(self, verb: str, by: str, before: datetime) -> None:
        """Drops the rows of what somebody asked by the clock, and that ended long ago."""
        columns = tables.verbs.c
        old = (columns.ended_at < before, columns.verb == verb, columns.by == by)
        with self._database.writing(f"forget old {verb} rows") as link:
            link.execute(delete(tables.verbs).where(*old))

    def tokens(self, verb: str) -> frozenset[tuple[str, str]]:
        """Every (key, token) by which one verb was asked."""
        columns = tables.verbs.c
        statement = select(columns.key, columns.token).where(columns.verb == verb)
        with self._database.reading(f"read where {verb} was asked") as link:
            return frozenset((key, token) for key, token in link.execute(statement))

    def used(self) -> frozenset[tuple[str, str, str]]:
        """Every (key, verb, token) that was asked."""
        columns = tables.verbs.c
        with self._database.reading("read which verbs were asked") as link:
            rows = link.execute(select(columns.key, columns.verb, columns.token))
            return frozenset((key, verb, token) for key, verb, token in rows)


def _close(link: Connection, wish: Wish, result: Result, message: str, at: datetime) -> None:
    columns = tables.verbs.c
    mine = (columns.key == wish.key, columns.verb == wish.verb, columns.token == wish.token)
    link.execute(
        update(tables.verbs)
        .where(*mine, columns.ended_at.is_(None))
        .values(ended_at=at, result=result, message=message)
    )


def _drop(link: Connection, wish: Wish) -> None:
    columns = tables.intents.c
    mine = (columns.key == wish.key, columns.kind == DO + wish.verb)
    link.execute(delete(tables.intents).where(*mine))
