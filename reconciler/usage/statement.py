"""What machines used in a month, as the store has it: the figures that are shown and billed."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar

from desired.source import Fleet
from desired.traffic import Traffic
from reconciler.prepare import fits
from reconciler.usage.sampling import hour_row, moved
from state.store import Store
from state.usage import WHOLE, Hour, Month, month_of

KEPT = timedelta(days=35)
"""How long hours are kept (TASK-06)."""

Row = TypeVar("Row", Hour, Month)

MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


class WrongMonth(ValueError):
    """Not a month as `2026-11`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One machine's month in bytes: all of it, what counts, and single nics where known."""

    key: str
    total: Month
    counted: int
    traffic: Traffic
    over: int
    nics: tuple[Month, ...] = ()
    days: Mapping[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Statement:
    """A month of the site's time zone; `at` is the newest sample that is in it."""

    fleet: str
    month: str
    zone: str
    at: datetime | None
    lines: tuple[Line, ...]


def statement(
    store: Store, fleet: Fleet, month: str | None, now: datetime, only: tuple[str, ...] = ()
) -> Statement:
    """Return the month (the present one without) of every machine that fits, by key.

    The hour that is not over is in it, as far as it was sampled. Raises WrongMonth.
    """
    zone = fleet.schedule.zone
    month = month_of(now, zone) if month is None else month
    if not MONTH.fullmatch(month):
        raise WrongMonth(f"month: expected YYYY-MM, such as {now:%Y-%m}, seen {month}")
    at, running = _open_hours(store)
    rows = [*store.usage.months(None, month)]
    rows += (_as_month(one, month) for one in running if month_of(one.hour, zone) == month)
    found: defaultdict[str, dict[str, Month]] = defaultdict(dict)
    for row in rows:
        if fits(row.key, only):
            before = found[row.key].get(row.nic, Month(row.key, row.nic, month))
            found[row.key][row.nic] = _added(before, row)
    days = _days(store, found.keys(), now, zone)
    lines = (_line(fleet, key, nics, days.get(key, {})) for key, nics in sorted(found.items()))
    return Statement(fleet.name, month, str(zone), at, tuple(lines))


def _line(
    fleet: Fleet, key: str, nics: Mapping[str, Month], days: Mapping[str, tuple[int, int]]
) -> Line:
    spec = fleet.vms.get(key)
    traffic = (spec.traffic if spec else None) or Traffic()
    total = nics.get(WHOLE, Month(key, WHOLE, next(iter(nics.values())).month))
    counted = traffic.counted(total.bytes_in, total.bytes_out)
    over = traffic.over(total.bytes_in, total.bytes_out)
    single = tuple(one for nic, one in sorted(nics.items()) if nic != WHOLE)
    return Line(key, total, counted, traffic, over, single, days)


def hours_of(store: Store, key: str, since: datetime, until: datetime) -> tuple[Hour, ...]:
    """The hours of one machine, the one that is not over among them, in order."""
    found = {(one.hour, one.nic): one for one in store.usage.hours({key}, since, until)}
    for one in _open_hours(store)[1]:
        if one.key == key and since <= one.hour < until:
            before = found.get((one.hour, one.nic))
            found[one.hour, one.nic] = _added(before, one) if before else one
    return tuple(one for _, one in sorted(found.items()))


def _open_hours(store: Store) -> tuple[datetime | None, list[Hour]]:
    """When the newest sample was taken, and the hours that are not over."""
    clusters = [store.usage.meters(name) for name in store.usage.clusters()]
    meters = (one for cluster in clusters for one in cluster.by_vmid.values())
    hours = [hour_row(one.key, one.open) for one in meters if moved(one.open)]
    return max((one.at for one in clusters if one.at), default=None), hours


def _days(
    store: Store, keys: Iterable[str], now: datetime, zone: tzinfo
) -> dict[str, dict[str, tuple[int, int]]]:
    """The last 35 days of each machine, as far as hours are kept: bytes in and out by date."""
    found: defaultdict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    hours = store.usage.hours(frozenset(keys), now.astimezone(UTC) - KEPT, now)
    for one in (*hours, *_open_hours(store)[1]):
        if one.nic == WHOLE and one.key in keys:
            day = f"{one.hour.astimezone(zone):%Y-%m-%d}"
            before = found[one.key].get(day, (0, 0))
            found[one.key][day] = (before[0] + one.bytes_in, before[1] + one.bytes_out)
    return found


def _as_month(one: Hour, month: str) -> Month:
    return Month(one.key, one.nic, month, one.bytes_in, one.bytes_out, one.spread, one.repaired)


def _added(one: Row, other: Row) -> Row:
    """The same row with the other's bytes."""
    return replace(
        one,
        bytes_in=one.bytes_in + other.bytes_in,
        bytes_out=one.bytes_out + other.bytes_out,
        spread=one.spread + other.spread,
        repaired=one.repaired + other.repaired,
    )
