"""Traffic by machine: meters as they last stood, bytes of each hour and of each month."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import Column, Connection, Select, delete, insert, select, update

from state import tables
from state.database import KEYS_IN_ONE_QUERY, Database, upsert
from state.meter import Gap, HourBytes, Meter, Reading

ADDED = ("bytes_in", "bytes_out", "spread", "repaired")
WHOLE = ""
"""The nic of a row that counts all of a machine's."""


@dataclass(frozen=True, slots=True)
class Hour:
    """The bytes of one machine, or of one nic of it, in an hour that begins at `hour` (UTC).

    `spread` of them have no exact moment, `repaired` of them come from Proxmox's own history.
    """

    key: str
    nic: str
    hour: datetime
    bytes_in: int = 0
    bytes_out: int = 0
    spread: int = 0
    repaired: int = 0


@dataclass(frozen=True, slots=True)
class Month:
    """The bytes of one machine, or of one nic of it, in a month (`2026-11`) of the site's zone."""

    key: str
    nic: str
    month: str
    bytes_in: int = 0
    bytes_out: int = 0
    spread: int = 0
    repaired: int = 0


@dataclass(frozen=True, slots=True)
class Meters:
    """The meters of a cluster, of whole machines by vmid and of single nics.

    `at` is when they were last kept, None: never.
    """

    at: datetime | None
    by_vmid: Mapping[int, Meter]
    by_nic: Mapping[tuple[int, str], Meter] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GapOf:
    """A time in which one machine was not sampled; `id` 0 before it is kept."""

    cluster: str
    vmid: int
    key: str
    gap: Gap
    id: int = 0


class Usage:
    """Meters, hours and months. Bytes enter once: with the meter that they were read from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def meters(self, cluster: str) -> Meters:
        """The meters of a cluster as they were last kept."""
        statement = select(tables.meters).where(tables.meters.c.cluster == cluster)
        with self._database.reading(f"read the meters of {cluster}") as link:
            row = link.execute(statement).first()
        return _meters(row.at, row.document) if row else Meters(None, {})

    def clusters(self) -> tuple[str, ...]:
        """The clusters that were ever metered, by name."""
        column = tables.meters.c.cluster
        with self._database.reading("read which clusters are metered") as link:
            return tuple(link.scalars(select(column).order_by(column)))

    def keep(
        self,
        cluster: str,
        before: Meters,
        now: Meters,
        hours: Sequence[Hour],
        zone: tzinfo,
        gaps: Sequence[GapOf] = (),
    ) -> bool:
        """Keeps meters, the hours that they closed and the gaps that were seen, all or nothing.

        False, and nothing is kept, when somebody else kept newer ones since `before` was read.
        """
        if now.at is None:
            raise ValueError("meters are kept as of a moment")
        with self._database.writing(f"keep the meters of {cluster}") as link:
            if not _replace(link, cluster, before.at, now):
                return False
            add_hours(link, hours, zone)
            for one in gaps:
                link.execute(insert(tables.usage_gaps), {**_named(one), **asdict(one.gap)})
            return True

    def gaps(self) -> tuple[GapOf, ...]:
        """The gaps that were not repaired yet, oldest first."""
        statement = select(tables.usage_gaps).order_by(tables.usage_gaps.c.id)
        with self._database.reading("read the gaps") as link:
            return tuple(
                GapOf(
                    row.cluster,
                    row.vmid,
                    row.key,
                    Gap(row.since, row.until, row.bytes_in, row.bytes_out, row.lost),
                    row.id,
                )
                for row in link.execute(statement)
            )

    def repair(self, gap: GapOf, hours: Sequence[Hour], zone: tzinfo) -> None:
        """Adds what a gap's repair found, or moves bytes between its hours, and ends the gap."""
        table = tables.usage_gaps
        with self._database.writing(f"repair the traffic of {gap.key}") as link:
            if link.execute(delete(table).where(table.c.id == gap.id)).rowcount:
                add_hours(link, hours, zone)

    def hours(
        self, keys: Collection[str] | None, since: datetime, until: datetime
    ) -> tuple[Hour, ...]:
        """The hours of these machines (all without) that began in [since, until), in order."""
        columns = tables.usage_hours.c
        statement = select(tables.usage_hours).where(columns.hour >= since, columns.hour < until)
        statement = statement.order_by(columns.key, columns.hour, columns.nic)
        with self._database.reading("read the traffic of hours") as link:
            rows = link.execute(_of_keys(statement, columns.key, keys))
            return tuple(Hour(*row) for row in rows if keys is None or row.key in keys)

    def months(self, keys: Collection[str] | None, month: str | None = None) -> tuple[Month, ...]:
        """The months of these machines (all without), in order; one month with `month`."""
        columns = tables.usage_months.c
        statement = select(tables.usage_months)
        if month is not None:
            statement = statement.where(columns.month == month)
        statement = statement.order_by(columns.key, columns.month, columns.nic)
        with self._database.reading("read the traffic of months") as link:
            rows = link.execute(_of_keys(statement, columns.key, keys))
            return tuple(Month(*row) for row in rows if keys is None or row.key in keys)

    def add(self, hours: Sequence[Hour], zone: tzinfo) -> None:
        """Adds bytes to hours and their months: of single nics, or found by a repair."""
        if hours:
            with self._database.writing("add traffic") as link:
                add_hours(link, hours, zone)

    def purge(self, before: datetime) -> int:
        """Deletes the hours that began before a moment; the months stay. Returns how many."""
        columns = tables.usage_hours.c
        with self._database.writing("purge old traffic") as link:
            return link.execute(delete(tables.usage_hours).where(columns.hour < before)).rowcount


def month_of(hour: datetime, zone: tzinfo) -> str:
    """The month that an hour is billed in: that of its begin, by the site's clock."""
    return f"{hour.astimezone(zone):%Y-%m}"


def add_hours(link: Connection, hours: Sequence[Hour], zone: tzinfo) -> None:
    """Adds hours and their months in a transaction of the caller's."""
    upsert(link, tables.usage_hours, [asdict(one) for one in hours], ADDED)
    months: dict[tuple[str, str, str], Month] = {}
    for one in hours:
        named = (one.key, one.nic, month_of(one.hour, zone))
        month = months.get(named, Month(*named))
        months[named] = replace(
            month, **{name: getattr(month, name) + getattr(one, name) for name in ADDED}
        )
    upsert(link, tables.usage_months, [asdict(one) for one in months.values()], ADDED)


def move_usage(link: Connection, old: str, new: str) -> None:
    """Gives a machine's traffic another key, in a transaction of the caller's."""
    for table in (tables.usage_hours, tables.usage_months):
        rows = link.execute(select(table).where(table.c.key == old)).mappings().all()
        upsert(link, table, [{**row, "key": new} for row in rows], ADDED)
        link.execute(delete(table).where(table.c.key == old))
    gaps = tables.usage_gaps
    link.execute(update(gaps).where(gaps.c.key == old).values(key=new))


def _replace(link: Connection, cluster: str, before: datetime | None, now: Meters) -> bool:
    table, document = tables.meters, _document(now)
    if before is None:
        there = link.execute(select(table.c.at).where(table.c.cluster == cluster)).first()
        if there is None:
            link.execute(insert(table).values(cluster=cluster, at=now.at, document=document))
        return there is None
    mine = update(table).where(table.c.cluster == cluster, table.c.at == before)
    return bool(link.execute(mine.values(at=now.at, document=document)).rowcount)


def _of_keys(
    statement: Select[tuple[Any, ...]], column: Column[Any], keys: Collection[str] | None
) -> Select[tuple[Any, ...]]:
    """The statement for few keys; many are sorted out afterwards."""
    few = keys is not None and len(keys) <= KEYS_IN_ONE_QUERY
    return statement.where(column.in_(sorted(keys or ()))) if few else statement


def _named(one: GapOf) -> dict[str, object]:
    return {"cluster": one.cluster, "vmid": one.vmid, "key": one.key}


def _document(meters: Meters) -> str:
    rows = [_row(vmid, WHOLE, one) for vmid, one in sorted(meters.by_vmid.items())]
    rows += [_row(vmid, nic, one) for (vmid, nic), one in sorted(meters.by_nic.items())]
    return json.dumps(rows, separators=(",", ":"))


def _row(vmid: int, nic: str, one: Meter) -> tuple[object, ...]:
    last, hour = one.last, one.open
    counted = (last.at.timestamp(), last.bytes_in, last.bytes_out, last.uptime)
    running = (hour.hour.timestamp(), hour.bytes_in, hour.bytes_out, hour.spread)
    return (vmid, nic, one.key, *counted, *running)


def _meters(at: datetime, document: str) -> Meters:
    whole, single = dict[int, Meter](), dict[tuple[int, str], Meter]()
    for vmid, nic, key, *row in json.loads(document):
        last = Reading(_at(row[0]), row[1], row[2], row[3])
        meter = Meter(key, last, HourBytes(_at(row[4]), row[5], row[6], row[7]))
        if nic == WHOLE:
            whole[vmid] = meter
        else:
            single[vmid, nic] = meter
    return Meters(at, whole, single)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
