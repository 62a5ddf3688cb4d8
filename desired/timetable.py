"""When something is done again and again: `every 5min`, `daily at 02:30`, a cron line (FRM-03).

Times of day are those of a time zone, across the change of the clocks as in Debian's cron: a time
that the clocks skip comes at the next valid one, a time that comes twice counts once. Everything
given and returned is aware UTC; all here is pure.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from hashlib import blake2b
from typing import Literal

from cronsim import CronSim, CronSimError

from desired.units import parse_duration
from desired.windows import zone_info

DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FULL_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
ALIASES = {
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 0",
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_SPREAD = re.compile(r"(.+?)\s+spread\s+(\S+|\d+ \w+)")
_DAILY = re.compile(r"daily\s+at\s+(\S+)")
_WEEKLY = re.compile(r"weekly\s+on\s+(\w+)(?:\s+at\s+(\S+))?")
_MINUTES = re.compile(r"(\d+) ?m(?:in)?")
SLACK = timedelta(seconds=5)
"""An interval counts as over so much early (a tenth of it at most): cron begins a little late."""

LONGEST_SPREAD = 86400.0


@dataclass(frozen=True, slots=True)
class Timetable:
    """When something is due, as `text` says it.

    `off`: never; `always`: whenever anything is looked at; `every` so many `seconds`; `cron`: by
    the line `cron` in a time zone, `past` seconds later. Each may be up to `spread` seconds later,
    by a hash of who asks: the same for the same one always.
    """

    text: str
    kind: Literal["off", "always", "every", "cron"]
    seconds: float = 0.0
    cron: str = ""
    past: int = 0
    spread: float = 0.0

    @property
    def runs(self) -> bool:
        """Whether it is ever due."""
        return self.kind != "off"

    def next_after(self, at: datetime, zone: str = "UTC", who: str = "") -> datetime | None:
        """The first slot later than `at`; of `every` one interval later, None when it is off."""
        if self.kind == "off":
            return None
        if self.kind == "always":
            return at
        if self.kind == "every":
            return at + timedelta(seconds=self.seconds)
        late = timedelta(seconds=self.past + offset(who, self.spread))
        return next(slot + late for slot in _slots(self.cron, at - late, zone))

    def is_due(self, last: datetime | None, at: datetime, zone: str = "UTC", who: str = "") -> bool:
        """Whether a slot lies between the last time and now; several that were missed are one.

        What never was is due at once (FRM-14).
        """
        if self.kind == "off":
            return False
        if last is None:
            return True
        due = self.next_after(last, zone, who)
        return due is not None and due <= at + self.slack

    @property
    def slack(self) -> timedelta:
        """How much too early it may be done."""
        if self.kind != "every":
            return timedelta()
        return min(SLACK, timedelta(seconds=self.seconds / 10))


def read_timetable(value: object) -> Timetable:
    """Return what a person wrote: a text, or 0 for never. Raises ValueError, which says the forms.

    Forms: `every 5min` (or `5min`), `every_run`, `hourly`, `daily at 02:30`, `weekly on sun at
    02:30` (0 is Sunday too), `@daily` and the like, a cron line of five fields; each time of day
    may end with ` spread 20min`.
    """
    if isinstance(value, Timetable):
        return value
    if value == 0 and not isinstance(value, bool):
        return Timetable("0", "off")
    if not isinstance(value, str):
        raise _refused(value)
    text = " ".join(value.split())
    if text in ("0", "off", "never"):
        return Timetable("0", "off")
    if text in ("every_run", "every run"):
        return Timetable("every_run", "always")
    try:
        return _spread(text) or _every(text) or _daily(text) or _weekly(text) or _cron(text)
    except ValueError as error:
        raise _refused(value, str(error)) from None


def offset(who: str, span: float) -> float:
    """Whole seconds from 0 up to a span, the same for the same name always."""
    if span < 1:
        return 0.0
    number = int.from_bytes(blake2b(who.encode(), digest_size=8).digest(), "big")
    return float(number % int(span))


def _refused(value: object, why: str = "") -> ValueError:
    forms = (
        "expected a schedule such as 'every 5min', hourly, 'daily at 02:30',"
        " 'weekly on sun at 02:30', a cron line such as '30 2 * * sun', or 0 for never"
    )
    return ValueError(f"{forms}{': ' if why else ''}{why}, seen {value!r}")


def _spread(text: str) -> Timetable | None:
    """A time of day, spread out."""
    match = _SPREAD.fullmatch(text)
    if match is None:
        return None
    span, inner = _seconds(match[2]), read_timetable(match[1])
    if inner.kind != "cron":
        raise ValueError("only a time of day can be spread")
    if not 1 <= span <= LONGEST_SPREAD:
        raise ValueError("a spread is from 1s to 1d")
    return Timetable(text, "cron", 0.0, inner.cron, inner.past, span)


def _every(text: str) -> Timetable | None:
    words = text.removeprefix("every ")
    try:
        seconds = _seconds(words)
    except ValueError:
        if words != text:
            raise
        return None
    if seconds < 1:
        raise ValueError("an interval is 1s or more")
    return Timetable(text, "every", seconds)


def _seconds(text: str) -> float:
    """A length of time; `5m` is understood for 5min."""
    found = _MINUTES.fullmatch(text)
    seconds = parse_duration(f"{found[1]}min" if found else text)
    assert isinstance(seconds, float)
    return seconds


def _daily(text: str) -> Timetable | None:
    match = _DAILY.fullmatch(text)
    return _at(text, match[1], "*") if match else None


def _weekly(text: str) -> Timetable | None:
    match = _WEEKLY.fullmatch(text)
    if match is None:
        return None
    day = match[1].lower()
    for names in (DAYS, FULL_DAYS, tuple("0123456")):
        if day in names:
            return _at(text, match[2] or "00:00", str(names.index(day)))
    raise ValueError(f"a weekday is {', '.join(DAYS)} or 0 (Sunday) to 6, not {match[1]}")


def _at(text: str, clock: str, weekday: str) -> Timetable:
    if not re.fullmatch(r"\d\d:\d\d(:\d\d)?", clock):
        raise ValueError(f"a time of day is HH:MM or HH:MM:SS, not {clock}")
    try:
        moment = time.fromisoformat(clock)
    except ValueError:
        raise ValueError(f"there is no time of day {clock}") from None
    line = f"{moment.minute} {moment.hour} * * {weekday}"
    return Timetable(text, "cron", cron=line, past=moment.second)


def _cron(text: str) -> Timetable:
    line = ALIASES.get(text.lower(), text)
    if len(line.split()) != 5:
        raise ValueError("a cron line has five fields")
    try:
        next(CronSim(line, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        raise ValueError(str(error).lower() or "it never comes") from None
    return Timetable(text, "cron", cron=line)


def _slots(line: str, after: datetime, zone: str) -> Iterator[datetime]:
    """Every moment later than `after` that a cron line names."""
    moments = CronSim(line, after.astimezone(zone_info(zone)))
    # In the hour that the clocks go through twice the first may be an hour too early.
    return (moment for local in moments if (moment := local.astimezone(UTC)) > after)
