"""A VM's traffic counters as they were last seen, and how many bytes a later look adds.

Proxmox counts the bytes of each tap device, from the guest's view, since the tap was made; a stop
and start, a migration or a host's reboot begins anew, a replugged NIC takes its share out of the
sum (pve-api 11). What a look adds is never more than what has passed, whatever happened between
(C-21, USE-05); what cannot be told apart is not counted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

SLACK = timedelta(seconds=330)
"""A boot instant is known this exactly: a node that broadcasts no more is believed for 300 s."""

LAG = 60
"""A row may be this many seconds older than the one before, from another node."""

GAP = timedelta(minutes=10)
"""What passed in a longer time than this is spread evenly over it, and marked."""

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters in bytes and uptime in seconds of a running machine, as one look saw them."""

    at: datetime
    bytes_in: int
    bytes_out: int
    uptime: int

    @property
    def boot(self) -> datetime:
        """When the machine's process began."""
        return self.at - timedelta(seconds=self.uptime)


class Step(StrEnum):
    """What a reading is to the one before it."""

    ON = "on"
    RESET = "reset"
    REBASED = "rebased"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Passed:
    """Bytes that have passed after `since`, up to a reading, and how they are known."""

    bytes_in: int
    bytes_out: int
    since: datetime
    step: Step


@dataclass(frozen=True, slots=True)
class HourBytes:
    """Bytes of one hour (UTC, its begin); `spread` where their moment is not known exactly."""

    hour: datetime
    bytes_in: int
    bytes_out: int
    spread: bool = False


@dataclass(frozen=True, slots=True)
class Meter:
    """The last reading of one machine, and the bytes of the hour that is not over."""

    key: str
    last: Reading
    open: HourBytes


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a sample. Its bytes are counted, and spread evenly; or they were `lost`,
    because the machine began anew at its end.
    """

    since: datetime
    until: datetime
    bytes_in: int = 0
    bytes_out: int = 0
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Advanced:
    """A meter after a reading, the hours that are over, and the time that nobody looked."""

    meter: Meter
    over: tuple[HourBytes, ...] = ()
    gap: Gap | None = None


def advance(meter: Meter | None, key: str, now: Reading, born: datetime | None = None) -> Advanced:
    """Return the meter after a reading; pure.

    `born` is when we made the machine: all that it counts since is ours. Without it the first
    reading adds nothing.
    """
    last = meter.last if meter else None
    ours = last is None and born is not None and now.boot >= born - SLACK
    found = Passed(now.bytes_in, now.bytes_out, now.boot, Step.RESET) if ours else passed(last, now)
    if meter and found.step is Step.STALE:
        return Advanced(meter)
    hours = {one.hour: one for one in by_hour(found, now.at)}
    if meter:
        hours[meter.open.hour] = _sum(meter.open, hours.get(meter.open.hour))
    hour = hour_of(now.at)
    current = hours.pop(hour, None) or HourBytes(hour, 0, 0)
    over = tuple(one for _, one in sorted(hours.items()) if one.bytes_in or one.bytes_out)
    return Advanced(Meter(key, now, current), over, _gap(last, now, found))


def _gap(last: Reading | None, now: Reading, found: Passed) -> Gap | None:
    if last is None or now.at - last.at <= GAP:
        return None
    if found.step is Step.RESET:
        return Gap(last.at, now.boot, lost=True) if now.boot - last.at > GAP else None
    if found.step is Step.ON and hour_of(last.at) != hour_of(now.at):
        return Gap(last.at, now.at, found.bytes_in, found.bytes_out)
    return None


def passed(last: Reading | None, now: Reading) -> Passed:
    """Return what has passed between two readings, as far as it is sure; pure.

    The first reading ever adds nothing. After a reset all that is counted since has passed. Where
    a counter fell although the machine went on, a NIC was replugged: nothing is sure. A reading
    that is older than the last is to be dropped (`STALE`).
    """
    if last is None:
        return Passed(0, 0, now.at, Step.REBASED)
    if _began_anew(last, now):
        since = min(max(last.at, now.boot), now.at)
        return Passed(now.bytes_in, now.bytes_out, since, Step.RESET)
    if now.uptime <= last.uptime or now.at <= last.at:
        return Passed(0, 0, now.at, Step.STALE)
    if now.bytes_in < last.bytes_in or now.bytes_out < last.bytes_out:
        return Passed(0, 0, now.at, Step.REBASED)
    fresh_in, fresh_out = now.bytes_in - last.bytes_in, now.bytes_out - last.bytes_out
    return Passed(fresh_in, fresh_out, last.at, Step.ON)


def _began_anew(last: Reading, now: Reading) -> bool:
    """Whether the machine's process is surely another one than at the last reading.

    Its uptime fell by more than a late row explains; or it began later by at least all the time
    that it had run, which a clock that was put right does not make of a machine that runs long.
    """
    if now.uptime < last.uptime - LAG:
        return True
    ran = timedelta(seconds=last.uptime)
    return now.boot - last.boot > max(SLACK, ran - timedelta(seconds=LAG))


def by_hour(found: Passed, until: datetime) -> Iterator[HourBytes]:
    """Share what has passed out to the hours in which it did, evenly; not a byte is lost."""
    spread = until - found.since > GAP
    begin, whole = found.since, (until - found.since).total_seconds()
    given_in = given_out = 0
    while True:
        hour = hour_of(begin)
        end = min(hour + HOUR, until)
        part = (end - found.since).total_seconds() / whole if whole > 0 and end < until else 1.0
        upto_in, upto_out = int(found.bytes_in * part), int(found.bytes_out * part)
        yield HourBytes(hour, upto_in - given_in, upto_out - given_out, spread)
        given_in, given_out, begin = upto_in, upto_out, end
        if end >= until:
            return


def hour_of(at: datetime) -> datetime:
    """The begin of the hour, in UTC."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _sum(one: HourBytes, other: HourBytes | None) -> HourBytes:
    if other is None:
        return one
    return HourBytes(
        one.hour,
        one.bytes_in + other.bytes_in,
        one.bytes_out + other.bytes_out,
        one.spread or other.spread,
    )
