"""What stands in a job's YAML or JSON file, of the same base name as its code (FRM-02)."""

import re
from datetime import time
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from desired.model import Bool, Float, Int, Model
from desired.timetable import DAYS, Timetable, read_timetable
from desired.units import Duration

Frequency = Literal["every_run", "hourly", "daily", "weekly"]
Kind = Literal["text", "number", "boolean", "list", "secret"]

INTERVAL = 3600.0
"""Seconds between two runs of a job that names its script and no interval."""

UNTIMED = "no interval: it runs every 3600 seconds; say how often it is to run"

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")


def _time(value: object) -> object:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected a time of day such as '02:30' or '02:30:00', in quotes")
    hour, minute, second = found.groups("0")
    return time(int(hour), int(minute), int(second))


TimeOfDay = Annotated[time, BeforeValidator(_time)]


def _schedule(text: str) -> str:
    return read_timetable(text).text


ScheduleText = Annotated[str, AfterValidator(_schedule)]


class ConfigField(Model):
    """A value that a fleet may give the job, under `jobs: {NAME: {FIELD: VALUE}}`.

    That of a `secret` is a reference (`file:PATH`, `env:NAME`, `exec:COMMAND`).
    """

    type: Kind = "text"
    label: str = ""
    required: Bool = False
    default: str | Int | Float | Bool | tuple[str, ...] | None = Field(None, union_mode="smart")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.default is not None and not fits(self.type, self.default):
            raise ValueError(f"the default is no {self.type}")
        return self


def fits(kind: Kind, value: object) -> bool:
    """Whether a value is of a kind; a truth value is no number."""
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "list":
        return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
    return isinstance(value, str)


class Metadata(Model):
    """One job: how it is called, when it runs unless the fleet says otherwise, what it is given.

    With `handler` its code is a class `Handler` with a `diff` of VMs, in the place of `run`.
    `deadline`: seconds that one run may take at most.
    """

    name: str = Field(min_length=1, max_length=80)
    description: str = Field("", max_length=500)
    script: str | None = None
    handler: Bool = False
    schedule: ScheduleText | None = None
    default_frequency: Frequency | None = None
    default_day_of_week: Int | None = Field(None, ge=0, le=6)
    default_time: TimeOfDay | None = None
    interval: Int | None = Field(None, ge=1)
    interval_seconds: Int | None = Field(None, ge=1)
    deadline: Duration = Field(60.0, gt=0, le=3600)
    config_fields: dict[str, ConfigField] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_when(self) -> Self:
        given = {
            "schedule": self.schedule,
            "interval": self.interval,
            "interval_seconds": self.interval_seconds,
            "default_frequency": self.default_frequency,
        }
        said = [name for name, value in given.items() if value is not None]
        if len(said) > 1:
            raise ValueError(f"expected one of {', '.join(said)}; they exclude each other")
        often = self._frequency
        if self.default_day_of_week is not None and often != "weekly":
            raise ValueError("default_day_of_week is for default_frequency: weekly")
        if self.default_time is not None and often not in ("daily", "weekly"):
            raise ValueError("default_time is for default_frequency: daily or weekly")
        return self

    @property
    def _frequency(self) -> Frequency | None:
        """By time of day; a job that names its script and no time has an interval (FRM-02)."""
        if self.default_frequency or self.schedule or self.interval or self.interval_seconds:
            return self.default_frequency
        return "daily" if self.script is None or self.default_time is not None else None

    @property
    def timetable(self) -> Timetable:
        """When it is due by itself."""
        return read_timetable(self._when())

    @property
    def warning(self) -> str:
        """What is to be said of it: its interval is missing (FRM-02)."""
        untimed = not (self.schedule or self.interval or self.interval_seconds or self._frequency)
        return UNTIMED if untimed else ""

    def _when(self) -> str:
        if self.schedule is not None:
            return self.schedule
        often, at = self._frequency, self.default_time or time()
        if often == "daily":
            return f"daily at {at:%H:%M:%S}"
        if often == "weekly":
            return f"weekly on {DAYS[self.default_day_of_week or 0]} at {at:%H:%M:%S}"
        return often or f"every {self.interval or self.interval_seconds or INTERVAL:.0f}s"
