"""Everything that the store knows of each VM, gathered in a few queries."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple, TypeVar

from sqlalchemy import Connection, Table, select

from state import tables
from state.database import KEYS_IN_ONE_QUERY, Database
from state.leases import grouped
from state.memory import Attempt, Binding, Hold, Intent, Lease, Memory, OpenTask
from state.placements import open_places

V = TypeVar("V")


class _Fingerprint(NamedTuple):
    key: str
    use: str
    value: str


class _Forgotten(NamedTuple):
    cluster: str
    vmid: int
    key: str
    at: datetime


def recall(database: Database, keys: Iterable[str] | None) -> dict[str, Memory]:
    """Memories by key; with `keys`, exactly those."""
    wanted = None if keys is None else sorted(set(keys))
    some = wanted if wanted is not None and len(wanted) <= KEYS_IN_ONE_QUERY else None
    with database.reading("recall") as link:
        found = _gathered(link, some)
    return found if wanted is None else {key: found.get(key, Memory()) for key in wanted}


def _gathered(link: Connection, keys: list[str] | None) -> dict[str, Memory]:
    bindings = {one.key: one for one in _values(Binding, link, tables.bindings, keys)}
    leases = grouped(_values(Lease, link, tables.leases, keys))
    tasks = {one.key: one for one in _values(OpenTask, link, tables.tasks, keys)}
    holds = {one.key: one for one in _values(Hold, link, tables.holds, keys)}
    attempts: defaultdict[str, dict[str, Attempt]] = defaultdict(dict)
    for attempt in _values(Attempt, link, tables.attempts, keys):
        attempts[attempt.subject][attempt.handler] = attempt
    intents: defaultdict[str, dict[str, Intent]] = defaultdict(dict)
    for intent in _values(Intent, link, tables.intents, keys):
        intents[intent.key][intent.kind] = intent
    fingerprints: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for mark in _values(_Fingerprint, link, tables.fingerprints, keys):
        fingerprints[mark.key][mark.use] = mark.value
    gone = {one.key for one in _values(_Forgotten, link, tables.forgotten, keys)}
    places = open_places(link, keys)
    known: set[str] = set()
    known.update(bindings, leases, tasks, holds, attempts, intents, fingerprints, gone)
    return {
        key: Memory(
            binding=bindings.get(key),
            leases=leases.get(key, ()),
            task=tasks.get(key),
            attempts=attempts.get(key, {}),
            intents=intents.get(key, {}),
            fingerprints=fingerprints.get(key, {}),
            hold=holds.get(key),
            forgotten=key in gone and key not in bindings,
            placing=places.get(key),
        )
        for key in sorted(known)
    }


def _values(
    make: Callable[..., V], link: Connection, table: Table, keys: list[str] | None
) -> Iterator[V]:
    """A table's rows as values, of some keys or all; the table says `key` or `subject`."""
    statement = select(table).order_by(*table.primary_key)
    if keys is not None:
        column = table.c.subject if table is tables.attempts else table.c.key
        statement = statement.where(column.in_(keys))
    return (make(*row) for row in link.execute(statement))
