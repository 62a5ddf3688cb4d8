"""Rollouts: edits that go out in batches, which VMs they touch, and how far each of them is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import Connection, delete, insert, select

from state import tables
from state.database import Database, upsert

RolloutState = Literal["active", "paused", "aborted", "done", "superseded"]
MemberState = Literal["waiting", "working", "done", "left"]
HOLDING: tuple[RolloutState, ...] = ("active", "paused", "aborted")
"""The states in which a rollout holds an edit back from the VMs that wait."""

KEPT = 200
"""How many rollouts are kept."""

SEEN = "rollout.revision"
"""The setting that names the state of the source whose edits are known."""

Edit = tuple[tuple[str, ...], str]
"""One edited field of a spec: the path to it, and the new value as JSON; empty: it has gone."""


@dataclass(frozen=True, slots=True)
class Member:
    """One VM of a rollout; `batch` counts from 1, 0 while it waits; `left`: it needs it no more.

    `at` is when it came into this state, `why` says in words why it is not done.
    """

    key: str
    state: MemberState
    batch: int
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Rollout:
    """An edit on its way. `edits` are the fields that it sets, `about` says them in words.

    `moved_at` is when the last batch was begun or was ready; `why` says why it does not go on.
    """

    id: int
    edits: frozenset[Edit]
    about: str
    state: RolloutState
    why: str
    begun_at: datetime
    moved_at: datetime
    ended_at: datetime | None = None
    members: tuple[Member, ...] = ()

    def of(self, *states: MemberState) -> list[Member]:
        """The members in these states, in their order."""
        return [member for member in self.members if member.state in states]

    @property
    def holds(self) -> bool:
        return self.state in HOLDING

    def with_members(self, changed: Iterable[Member]) -> "Rollout":
        """The rollout with these members in place of those of the same keys."""
        fresh = {member.key: member for member in changed}
        kept = tuple(fresh.pop(one.key, one) for one in self.members)
        return replace(self, members=(*kept, *fresh.values()))


class Rollouts:
    """Rollouts by number, with their members."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def holding(self) -> list[Rollout]:
        """Those that hold something back or may again, the oldest first."""
        with self._database.reading("read rollouts") as link:
            return _read(link, tables.rollouts.c.state.in_(HOLDING))

    def recent(self, limit: int = 20) -> list[Rollout]:
        """The latest, the latest first."""
        columns = tables.rollouts.c
        with self._database.reading("read rollouts") as link:
            newest = select(columns.id).order_by(columns.id.desc()).limit(limit)
            return list(reversed(_read(link, columns.id.in_(newest.scalar_subquery()))))

    def save(self, rollouts: Sequence[Rollout], seen: str | None = None) -> list[Rollout]:
        """Writes rollouts as they are now, in one transaction; those of id 0 get a number.

        `seen` names the state of the source whose edits are known with them.
        """
        with self._database.writing("keep rollouts") as link:
            if seen is not None:
                upsert(link, tables.settings, [{"name": SEEN, "value": seen}])
            return [_write(link, one) for one in rollouts]


def _read(link: Connection, wanted: object) -> list[Rollout]:
    table, found = tables.rollout_members, []
    statement = select(tables.rollouts).where(wanted).order_by(tables.rollouts.c.id)  # type: ignore[arg-type]
    rows = link.execute(statement).all()
    members: dict[int, list[Member]] = {row.id: [] for row in rows}
    if rows:
        mine = select(table).where(table.c.rollout.in_(list(members))).order_by(table.c.place)
        for row in link.execute(mine):
            one = Member(row.key, row.state, row.batch, row.why, row.at)
            members[row.rollout].append(one)
    for number, edits, *rest in rows:
        fields = frozenset((tuple(path), new) for path, new in msgspec.json.decode(edits))
        found.append(replace(Rollout(number, fields, *rest), members=tuple(members[number])))
    return found


def _prune(link: Connection) -> None:
    """Forgets the oldest that are over."""
    columns = tables.rollouts.c
    newest = select(columns.id).order_by(columns.id.desc()).limit(1).offset(KEPT)
    over = columns.state.not_in(HOLDING)
    link.execute(delete(tables.rollouts).where(columns.id <= newest.scalar_subquery(), over))


def _write(link: Connection, rollout: Rollout) -> Rollout:
    columns = [column.name for column in tables.rollouts.columns if column.name != "id"]
    row = {name: getattr(rollout, name) for name in columns}
    row["edits"] = msgspec.json.encode(sorted(rollout.edits)).decode()
    if rollout.id:
        upsert(link, tables.rollouts, [{"id": rollout.id, **row}])
        number = rollout.id
    else:
        made = insert(tables.rollouts).returning(tables.rollouts.c.id)
        number = int(link.execute(made, row).scalar_one())
        _prune(link)
    rows = [
        {"rollout": number, "key": one.key, "place": place, "state": one.state}
        | {"batch": one.batch, "why": one.why, "at": one.at}
        for place, one in enumerate(rollout.members)
    ]
    upsert(link, tables.rollout_members, rows)
    return replace(rollout, id=number)
