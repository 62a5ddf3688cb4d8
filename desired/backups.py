"""When a VM is backed up, to where, and how many of its backups are kept (TASK-05, C-05)."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from desired.hardware import STORAGE
from desired.model import Int, Model
from desired.timetable import DAYS, FULL_DAYS, offset, read_timetable
from desired.units import Duration
from desired.windows import zone_info

AUTO = "auto"
NIGHT = 6 * 3600.0
"""Seconds after midnight over which backups at `auto` are spread."""

MISSED = timedelta(days=1)
"""A backup that was not begun for so long, since nobody ran, is left to its next day."""

KEEP = 3
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


def _weekday(name: object) -> str:
    """The short name of a weekday: `mon`, `monday`, or 1; 0 is Sunday."""
    text = str(name).lower()
    for names in (DAYS, FULL_DAYS, tuple("0123456")):
        if text in names and not isinstance(name, bool):
            return DAYS[names.index(text)]
    raise ValueError(f"expected a weekday {', '.join(DAYS)} or 0 (Sunday) to 6, seen {name!r}")


def _days(value: object) -> object:
    """Each weekday by its short name, in the order of the week."""
    if not isinstance(value, dict):
        return value
    found: dict[str, object] = {}
    for name, time in value.items():
        day = _weekday(name)
        if day in found:
            raise ValueError(f"{day} is there twice")
        if time is not None:
            found[day] = _time(time)
    return dict(sorted(found.items(), key=lambda item: DAYS.index(item[0])))


def _time(value: object) -> str:
    if value == AUTO or (isinstance(value, str) and _TIME.fullmatch(value)):
        return str(value)
    raise ValueError(f"expected a time of day in quotes such as '02:30', or auto, seen {value!r}")


Days = Annotated[
    dict[str, str],
    BeforeValidator(_days),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"type": ["string", "null"], "examples": ["02:30", AUTO]},
            "examples": [{"mon": "02:30", "thu": AUTO}],
        }
    ),
]
"""`{mon: "02:30", thu: auto}`; null takes back a day that a package gives."""

Length = Annotated[Duration, PlainSerializer(lambda length: f"{int(length)}s", return_type=str)]


class Backups(Model):
    """A VM's backups: `backup: {days: {mon: "02:30", thu: auto}, keep: 3, storage: pbs}`.

    `auto` is a time of night that is the VM's own, the same until the days change. `keep` counts
    what bears our mark and is not protected. A backup is `fresh` for the longest pause between two
    days and one day more, unless that is said.
    """

    days: Days = Field(default_factory=dict)
    keep: Int | None = Field(None, ge=1, le=1000, description=f"how many stay; default {KEEP}")
    storage: str | None = Field(None, pattern=STORAGE)
    mode: Literal["snapshot", "suspend", "stop"] = "snapshot"
    compress: Literal["zstd", "gzip", "lzo", "none"] = "zstd"
    notes: str | None = Field(None, max_length=200, pattern=r"^[^\n{}\\]*$")
    fresh: Length | None = Field(None, description="how old the newest verified backup may be")
    verified_by: Literal["server", "task"] = Field(
        "server", description="task: a backup server's own verification is not waited for"
    )

    def slot(self, key: str, at: datetime, zone: str) -> datetime | None:
        """The last moment up to `at` at which the VM's backup was due; None if long ago."""
        local = at.astimezone(zone_info(zone))
        near = {DAYS[(one.weekday() + 1) % 7] for one in (local, local - MISSED)}
        days = [day for day in self.days if day in near]
        slots = [found for day in days if (found := self._last(key, day, at, zone))]
        return max(slots, default=None)

    def _last(self, key: str, day: str, at: datetime, zone: str) -> datetime | None:
        clock = self.days[day]
        seconds = 0.0
        if clock == AUTO:
            seconds, clock = self.drawn(key), "00:00"
        hours, minutes = int(seconds) // 3600, int(seconds) % 3600 // 60
        clock = clock if not seconds else f"{hours:02}:{minutes:02}"
        table = read_timetable(f"weekly on {day} at {clock}")
        slot = table.next_after(at - MISSED, zone)
        return slot if slot is not None and slot <= at else None

    def drawn(self, key: str) -> float:
        """Seconds after midnight of a backup at `auto`: drawn anew only with other days (C-05)."""
        days = " ".join(f"{day}={time}" for day, time in self.days.items())
        return offset(f"{key} {days}", NIGHT)

    @property
    def stays_fresh(self) -> timedelta | None:
        """How old the newest verified backup may be; None where no day is named."""
        if self.fresh is not None:
            return timedelta(seconds=self.fresh)
        places = sorted(DAYS.index(day) for day in self.days)
        if not places:
            return None
        nexts = [*places[1:], places[0] + 7]
        pause = max(after - before for before, after in zip(places, nexts, strict=True))
        return timedelta(days=pause + 1)


def day_of(slot: datetime, zone: str) -> str:
    """The date of a slot where the fleet is: `2026-11-20`."""
    return slot.astimezone(zone_info(zone)).date().isoformat()
