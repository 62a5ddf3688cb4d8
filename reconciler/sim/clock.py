"""A clock that stands still until it is moved, for laws and tests; serving uses `time.time`."""

from __future__ import annotations

from dataclasses import dataclass

SOME_DAY = 1_800_000_000.0
"""An epoch time to begin with (15 January 2027)."""


@dataclass(slots=True)
class ManualClock:
    """Epoch seconds, as its owner says."""

    now: float = SOME_DAY

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
