"""Calendar events of backup jobs: the part of systemd's grammar that Proxmox reads.

`sat 02:30`, `mon..fri 8..17,22:0/15`, `*/20` (minutes), `*-*-1 04:00`, `daily`. All times are UTC.
Source: proxmox-time src/calendar_event.rs, and the examples of pve-docs "Calendar Events".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from reconciler.sim.parameters.schema import FormatError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WORDS = {
    "minutely": "*:*",
    "hourly": "*:0",
    "daily": "0:0",
    "weekly": "mon 0:0",
    "monthly": "*-*-1 0:0",
    "yearly": "*-1-1 0:0",
    "annually": "*-1-1 0:0",
    "quarterly": "*-1,4,7,10-1 0:0",
    "semiannually": "*-1,7-1 0:0",
    "semi-annually": "*-1,7-1 0:0",
}
ONE = re.compile(r"(?:(\d+)(?:\.\.(\d+))?|(\*))(?:/(\d+))?\Z")
HORIZON = 366 * 8
"""Days that are searched for the next event: a 29th of February is found."""


@dataclass(frozen=True, slots=True)
class Event:
    """When something is due: the days of the week (0 is Monday) and the values of each part."""

    weekdays: frozenset[int]
    years: frozenset[int] | None
    months: frozenset[int]
    days: frozenset[int]
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def fits(self, day: datetime) -> bool:
        return (
            day.weekday() in self.weekdays
            and (self.years is None or day.year in self.years)
            and day.month in self.months
            and day.day in self.days
        )

    def times(self) -> Iterator[timedelta]:
        """The moments of a day, in order."""
        for hour in self.hours:
            for minute in self.minutes:
                for second in self.seconds:
                    yield timedelta(hours=hour, minutes=minute, seconds=second)

    def after(self, at: float) -> int | None:
        """The first moment later than `at` (epoch seconds); None when there is none."""
        now = datetime.fromtimestamp(int(at), UTC)
        midnight = now.replace(hour=0, minute=0, second=0)
        for ahead in range(HORIZON):
            day = midnight + timedelta(days=ahead)
            if not self.fits(day):
                continue
            for time in self.times():
                if day + time > now:
                    return int((day + time).timestamp())
        return None


def calendar_event(text: str) -> str:
    """The format `pve-calendar-event`."""
    parse_event(text)
    return text


def parse_event(text: str) -> Event:
    """Raises FormatError in Proxmox's words."""
    parts = WORDS.get(text.strip().lower(), text).split()
    try:
        if not parts:
            raise ValueError("empty event")
        weekdays = frozenset(range(7))
        if parts[0][0].isalpha():
            weekdays = _weekdays(parts.pop(0).lower())
        years, months, days = None, frozenset(range(1, 13)), frozenset(range(1, 32))
        if parts and "-" in parts[0]:
            years, months, days = _date(parts.pop(0))
        hours, minutes, seconds = _time(parts.pop(0)) if parts else ((0,), (0,), (0,))
        if parts:
            raise ValueError(f"unexpected '{parts[0]}'")
    except ValueError as error:
        raise FormatError(
            f"invalid calendar event '{text}' - unable to parse calendar event: {error}\n"
        ) from None
    return Event(weekdays, years, months, days, hours, minutes, seconds)


def _weekdays(text: str) -> frozenset[int]:
    found: set[int] = set()
    for one in text.split(","):
        first, dots, last = one.partition("..")
        start = _weekday(first)
        end = _weekday(last) if dots else start
        if end < start:
            raise ValueError(f"unable to parse weekdays '{one}'")
        found.update(range(start, end + 1))
    return frozenset(found)


def _weekday(name: str) -> int:
    for number, day in enumerate(DAYS):
        if name.startswith(day) and day_name(number).startswith(name):
            return number
    raise ValueError(f"unable to parse weekday '{name}'")


def day_name(number: int) -> str:
    return ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")[number]


def _date(text: str) -> tuple[frozenset[int] | None, frozenset[int], frozenset[int]]:
    parts = text.split("-")
    if len(parts) not in (2, 3):
        raise ValueError(f"unable to parse date '{text}'")
    year = parts.pop(0) if len(parts) == 3 else "*"
    years = None if year == "*" else frozenset(_values(year, 1970, 2200))
    return years, frozenset(_values(parts[0], 1, 12)), frozenset(_values(parts[1], 1, 31))


def _time(text: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """`HH:MM[:SS]`; a part alone means minutes of every hour."""
    parts = text.split(":")
    if len(parts) > 3:
        raise ValueError(f"unable to parse time '{text}'")
    if len(parts) == 1:
        parts = ["*", *parts]
    hours, minutes = _values(parts[0], 0, 23), _values(parts[1], 0, 59)
    return hours, minutes, _values(parts[2], 0, 59) if len(parts) == 3 else (0,)


def _values(text: str, low: int, high: int) -> tuple[int, ...]:
    """`1,4..7,*/15` as numbers in order."""
    found: set[int] = set()
    for one in text.split(","):
        parts = ONE.match(one)
        if parts is None:
            raise ValueError(f"unable to parse '{one}'")
        start = low if parts[3] else int(parts[1])
        end = high if parts[3] or (parts[4] and not parts[2]) else int(parts[2] or parts[1])
        pace = int(parts[4] or 1)
        if not low <= start <= end <= high or pace == 0:
            raise ValueError(f"value '{one}' out of range ({low}..{high})")
        found.update(range(start, end + 1, pace))
    return tuple(sorted(found))
