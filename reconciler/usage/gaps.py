"""What Proxmox's own history (RRD) tells of a time in which nobody sampled a machine."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from state.meter import Gap, HourBytes, Passed, Step, by_hour, hour_of
from state.usage import WHOLE, Hour
from state.view import Row, number

KNOWN = 0.5
"""The least part of a bucket that was measured where it has a value at all (RRD's xff)."""

FRAMES = (
    ("hour", timedelta(minutes=60)),
    ("day", timedelta(hours=23)),
    ("week", timedelta(days=6)),
    ("month", timedelta(days=29)),
)
"""How far back each timeframe of `GET …/rrddata` surely reaches, the finest first."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Bytes of one interval by RRD's average."""

    begin: datetime
    end: datetime
    bytes_in: float
    bytes_out: float


def frame_for(gap: Gap, at: datetime) -> str | None:
    """The finest timeframe that reaches back to a gap's begin; None: none does any more."""
    return next((frame for frame, reach in FRAMES if gap.since >= at - reach), None)


def buckets(rows: Iterable[Row], gap: Gap) -> list[Bucket]:
    """The buckets that lie wholly in the gap; `rows` are those of `GET …/rrddata`.

    A bucket on either edge is left out: which moment of it a row names is not told.
    """
    times = [row for row in rows if row.get("time") is not None]
    found = []
    for row, following in pairwise(times):
        begin, end = _at(row), _at(following)
        step = end - begin
        if "netin" not in row or begin - step < gap.since or end + step > gap.until:
            continue
        seconds = step.total_seconds()
        received, sent = number(row, "netin") * seconds, number(row, "netout") * seconds
        found.append(Bucket(begin, end, received, sent))
    return found


def found_again(key: str, gap: Gap, seen: Iterable[Bucket]) -> tuple[Hour, ...]:
    """The hours of bytes that were lost with a reset, as many as surely passed."""
    hours: defaultdict[datetime, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in seen:
        hours[hour_of(one.begin)][0] += one.bytes_in * KNOWN
        hours[hour_of(one.begin)][1] += one.bytes_out * KNOWN
    rows = ((hour, int(pair[0]), int(pair[1])) for hour, pair in sorted(hours.items()))
    return tuple(
        Hour(key, WHOLE, hour, received, sent, repaired=received + sent)
        for hour, received, sent in rows
        if received + sent
    )


def moved_between(key: str, gap: Gap, seen: list[Bucket]) -> tuple[Hour, ...]:
    """What to add to each hour of a gap, and take from others, so that they are as RRD saw them.

    The sum stays: the counters told it exactly. Without history all stays as it was spread.
    """
    passed = Passed(gap.bytes_in, gap.bytes_out, gap.since, Step.ON)
    spread = {one.hour: one for one in by_hour(passed, gap.until)}
    weights = {hour: (0.0, 0.0) for hour in spread}
    for one in seen:
        before = weights[hour_of(one.begin)]
        weights[hour_of(one.begin)] = (before[0] + one.bytes_in, before[1] + one.bytes_out)
    received = _shares(gap.bytes_in, [weights[hour][0] for hour in sorted(spread)])
    sent = _shares(gap.bytes_out, [weights[hour][1] for hour in sorted(spread)])
    if received is None or sent is None:
        return ()
    new = zip(sorted(spread), received, sent, strict=True)
    return tuple(_correction(key, spread[hour], one, other) for hour, one, other in new)


def _correction(key: str, old: HourBytes, received: int, sent: int) -> Hour:
    return Hour(
        key,
        WHOLE,
        old.hour,
        received - old.bytes_in,
        sent - old.bytes_out,
        spread=-(old.bytes_in + old.bytes_out),
        repaired=received + sent,
    )


def _shares(whole: int, weights: list[float]) -> list[int] | None:
    """Share a whole number out by weights, to the last byte; None without any weight."""
    total = sum(weights)
    if not whole:
        return [0] * len(weights)
    if total <= 0:
        return None
    return list(_steps(whole, weights, total))


def _steps(whole: int, weights: list[float], total: float) -> Iterator[int]:
    upto = given = 0.0
    for place, weight in enumerate(weights, 1):
        upto += weight
        share = whole if place == len(weights) else int(whole * upto / total)
        yield int(share - given)
        given = share


def _at(row: Row) -> datetime:
    return datetime.fromtimestamp(number(row, "time"), UTC)
