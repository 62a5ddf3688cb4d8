"""How often each job runs: named profiles, and what a fleet says otherwise (C-01, TASK-07)."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from desired.model import Model
from desired.timetable import Timetable, read_timetable
from desired.windows import ZoneName, zone_info

Job = Literal[
    "process_vms",
    "remove_snapshots",
    "restore_backup",
    "backup_status",
    "schedule_backup",
    "collect_statistics",
]
JOBS: tuple[Job, ...] = get_args(Job)
Profile = Literal["default", "fast"]

MINUTES: Mapping[Profile, tuple[int, ...]] = {
    "default": (1, 60, 5, 5, 60, 60),
    "fast": (1, 5, 1, 1, 5, 60),
}
"""Minutes between two runs of each job, in the order of `Job`."""


def _text(table: Timetable) -> str | int:
    return table.text if table.runs else 0


Times = Annotated[
    Timetable,
    BeforeValidator(read_timetable),
    PlainSerializer(_text),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"const": 0}],
            "examples": ["5min", "daily at 02:30", "weekly on sun at 02:30", "*/10 * * * *"],
        }
    ),
]
"""When a job is due: `5min`, `daily at 02:30`, a cron line; 0 switches it off."""


class Schedule(Model):
    """When jobs run: `{profile: fast, every: {process_vms: 5min, backup_status: daily at 02:30}}`.

    Times of day are those of `timezone`.
    """

    profile: Profile = "default"
    timezone: ZoneName = "UTC"
    every: dict[Job, Times] = Field(default_factory=dict)

    @property
    def zone(self) -> ZoneInfo:
        """The site's clock, by which days and months begin."""
        return zone_info(self.timezone)

    def timetable(self, job: Job) -> Timetable:
        """When a job is due, as the fleet says or its profile."""
        given = self.every.get(job)
        if given is not None:
            return given
        return read_timetable(f"{MINUTES[self.profile][JOBS.index(job)]}min")

    def interval(self, job: Job) -> float | None:
        """Seconds between two runs of a job; 0: it is switched off, None: by times of day."""
        found = self.timetable(job)
        return None if found.kind == "cron" else found.seconds
