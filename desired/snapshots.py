"""How long a VM's snapshots live, and when some are taken by schedule (TASK-02, C-12)."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, PlainSerializer

from desired.model import Bool, Int, Model
from desired.timetable import Timetable, read_timetable
from desired.units import Duration

DAY = 86_400.0
LEAST, MOST = 1, 10
"""Days that a snapshot may be let live (C-12)."""

CLOSEST = 3600.0
"""Seconds: no schedule takes snapshots more often."""


def _days(seconds: float) -> float:
    if not LEAST * DAY <= seconds <= MOST * DAY:
        raise ValueError(f"expected never, or {LEAST}d to {MOST}d, seen {seconds / DAY:g} days")
    return seconds


def _times(text: str) -> str:
    table = read_timetable(text)
    if table.kind == "always" or (table.kind == "every" and table.seconds < CLOSEST):
        raise ValueError(f"expected an hour or more between two snapshots, seen {text!r}")
    return table.text


Life = Annotated[
    Duration, AfterValidator(_days), PlainSerializer(lambda life: f"{int(life)}s", return_type=str)
]


class Snapshots(Model):
    """A VM's snapshots: `snapshots: {lifetime: 3d, schedule: daily at 03:00, keep: 7}`.

    Those that we took are removed when they are older than `lifetime`, or beyond `keep`, the oldest
    first; with `foreign` those of others too.
    """

    lifetime: Life | Literal["never"] = "never"
    schedule: Annotated[str, AfterValidator(_times)] | None = None
    keep: Int | None = Field(None, ge=1, le=100)
    vmstate: Bool = Field(False, description="save the RAM too, of those by schedule")
    foreign: Bool = False

    @property
    def life(self) -> float | None:
        """Seconds; None for ever."""
        return None if self.lifetime == "never" else self.lifetime

    @property
    def timetable(self) -> Timetable:
        """When one is taken by itself."""
        return read_timetable(self.schedule or 0)
