"""How often each job runs: named profiles, and what a fleet says otherwise (C-01, TASK-07)."""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from desired.model import Model
from desired.units import parse_duration

Job = Literal[
    "process_vms",
    "remove_snapshots",
    "restore_backup",
    "backup_status",
    "schedule_backup",
    "collect_statistics",
]
Profile = Literal["default", "fast"]

MINUTES: Mapping[Profile, tuple[int, ...]] = {
    "default": (1, 60, 5, 5, 60, 60),
    "fast": (1, 5, 1, 1, 5, 60),
}
"""Minutes between two runs of each job, in the order of `Job`."""


def _pause(value: object) -> object:
    return 0.0 if value == 0 and not isinstance(value, bool) else parse_duration(value)


Pause = Annotated[
    float,
    BeforeValidator(_pause),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\d+ ?(s|min|h|d)$"}, {"const": 0}]}),
]
"""Seconds between two runs, written with the unit; 0 switches the job off."""


class Schedule(Model):
    """The jobs' intervals: `{profile: fast, every: {process_vms: 5min, remove_snapshots: 0}}`."""

    profile: Profile = "default"
    every: dict[Job, Pause] = Field(default_factory=dict)

    def interval(self, job: Job) -> float:
        """Seconds between two runs of a job; 0: it is switched off."""
        given = self.every.get(job)
        place = get_args(Job).index(job)
        return MINUTES[self.profile][place] * 60.0 if given is None else given
