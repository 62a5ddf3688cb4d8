"""DNS as the store remembers it: the records that are ours, and each zone as it was last read.

A zone is its id, `example.net@powerdns`; a record is (zone, name, type).
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, Row, Text, cast, delete, select

from state import tables
from state.api import Json
from state.database import Database, upsert
from state.drivers import RRset

RecordId = tuple[str, str]
"""(name, type) of a record in its zone."""


@dataclass(frozen=True, slots=True)
class OwnedRecord:
    """An rrset that is ours, or that we have begun to write.

    `held` is what the provider confirmed (empty: nothing yet, so that whatever else stands there
    is somebody else's), `pending` what is being written (empty: nothing). `keys` are the VMs that
    it is for.
    """

    zone: str
    name: str
    type: str
    keys: tuple[str, ...]
    held: frozenset[str]
    pending: frozenset[str]
    ttl: int
    at: datetime

    @property
    def id(self) -> RecordId:
        return self.name, self.type

    def wrote(self, values: frozenset[str]) -> bool:
        """Whether these values are what we wrote, heard of or not."""
        return bool(values) and values in (self.held, self.pending)


@dataclass(frozen=True, slots=True)
class CachedZone:
    """A zone as it was read when its serial was `serial`.

    `dirty` says that something may have been written since; `settled` names what a quiet look at
    it went by, and is empty when there was something to do.
    """

    zone: str
    serial: str | None = None
    read_at: datetime | None = None
    dirty: bool = True
    settled: str = ""
    records: tuple[RRset, ...] = ()


class Zones:
    """Owned records by zone, and cached zones."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def owned(self, zone: str) -> dict[RecordId, OwnedRecord]:
        """Every record of a zone that is ours."""
        columns = tables.dns_records.c
        statement = select(tables.dns_records).where(columns.zone == zone)
        with self._database.reading(f"read the records of {zone}") as link:
            rows = link.execute(statement.order_by(columns.name, columns.type))
            return {(row.name, row.type): _owned(row) for row in rows}

    def all(self) -> tuple[OwnedRecord, ...]:
        """Every record that is ours, by zone, name and type."""
        columns = tables.dns_records.c
        statement = select(tables.dns_records)
        statement = statement.order_by(columns.zone, columns.name, columns.type)
        with self._database.reading("read DNS records") as link:
            return tuple(_owned(row) for row in link.execute(statement))

    def of(self, key: str) -> tuple[OwnedRecord, ...]:
        """Every record that is for one VM, alone or with others."""
        columns, named = tables.dns_records.c, json.dumps(key)
        statement = select(tables.dns_records).order_by(*tables.dns_records.primary_key)
        # One look at 10,000 rows for each VM that ends would be too dear.
        statement = statement.where(cast(columns.vms, Text).contains(named, autoescape=True))
        with self._database.reading(f"read the records of {key}") as link:
            found = [_owned(row) for row in link.execute(statement)]
        return tuple(one for one in found if key in one.keys)

    def put(self, records: Sequence[OwnedRecord]) -> None:
        """Writes rows as given, in one transaction; committed before anything is sent."""
        rows = [_row(one) for one in records]
        with self._database.writing("keep DNS records") as link:
            upsert(link, tables.dns_records, rows)

    def forget(self, zone: str, records: Iterable[RecordId]) -> None:
        """They are not ours, or no longer there."""
        with self._database.writing(f"forget records of {zone}") as link:
            for name, type in records:
                _forget(link, zone, name, type)

    def cached(self, zone: str) -> CachedZone:
        """A zone as it was last read, without its records; never read, it is dirty."""
        columns = tables.dns_zones.c
        shown = (columns.zone, columns.serial, columns.read_at, columns.dirty, columns.settled)
        with self._database.reading(f"read the cache of {zone}") as link:
            row = link.execute(select(*shown).where(columns.zone == zone)).one_or_none()
        return CachedZone(*row) if row else CachedZone(zone)

    def records(self, zone: str) -> tuple[RRset, ...]:
        """The records of a zone as it was last read."""
        columns = tables.dns_zones.c
        statement = select(columns.records).where(columns.zone == zone)
        with self._database.reading(f"read the cache of {zone}") as link:
            found = link.execute(statement).scalar()
        return _unpacked(found) if found else ()

    def keep(self, zone: CachedZone) -> None:
        """Keeps a zone as it was read."""
        row = {name: getattr(zone, name) for name in CachedZone.__slots__}
        with self._database.writing(f"keep what was read of {zone.zone}") as link:
            upsert(link, tables.dns_zones, [{**row, "records": _packed(zone.records)}])

    def mark_dirty(self, zone: str) -> None:
        """Says that a zone is to be read again; committed before anything is written to it."""
        before = self.cached(zone)
        if before.dirty and before.read_at is not None and not before.settled:
            return
        self.keep(replace(before, dirty=True, settled="", records=self.records(zone)))

    def settle(self, zone: str, signature: str) -> None:
        """Notes what a quiet look at a zone went by."""
        columns = tables.dns_zones.c
        statement = tables.dns_zones.update().where(columns.zone == zone, ~columns.dirty)
        with self._database.writing(f"settle {zone}") as link:
            link.execute(statement.values(settled=signature))


def _owned(row: Row[tuple[object, ...]]) -> OwnedRecord:
    return OwnedRecord(
        row.zone,
        row.name,
        row.type,
        tuple(row.vms),
        frozenset(row.held),
        frozenset(row.pending),
        row.ttl,
        row.at,
    )


def _row(one: OwnedRecord) -> Mapping[str, object]:
    lists = {"held": sorted(one.held), "pending": sorted(one.pending)}
    named = {name: getattr(one, name) for name in ("zone", "name", "type", "ttl", "at")}
    return {**named, **lists, "vms": list(one.keys)}


def _forget(link: Connection, zone: str, name: str, type: str) -> None:
    columns = tables.dns_records.c
    mine = (columns.zone == zone, columns.name == name, columns.type == type)
    link.execute(delete(tables.dns_records).where(*mine))


def _packed(records: Sequence[RRset]) -> bytes:
    """RRsets as compressed JSON: 10,000 of them are some 200 kB."""
    plain: list[Json] = [
        [one.name, one.type, one.ttl, list[Json](sorted(one.values)), one.mark] for one in records
    ]
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode(), 1)


def _unpacked(packed: bytes) -> tuple[RRset, ...]:
    return tuple(
        RRset(name, type, ttl, frozenset(values), mark)
        for name, type, ttl, values, mark in json.loads(zlib.decompress(packed))
    )
