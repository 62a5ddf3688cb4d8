"""Time as an argument: the real clock, and the workers that run things side by side."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


class Clock(Protocol):
    """Where the engine gets the time from, and how it waits."""

    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's own clock, in aware UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Workers:
    """Runs a function over items with at most `limit` threads; inline when the limit is 1."""

    limit: int = 1

    def map(self, work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
        """Return the results in the order of the items."""
        if self.limit == 1 or len(items) < 2:
            return [work(item) for item in items]
        with ThreadPoolExecutor(min(self.limit, len(items))) as pool:
            return list(pool.map(work, items))
