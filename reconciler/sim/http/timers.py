"""What the web server asks of an event loop, so that tests can pass the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol


class Timers(Protocol):
    """The part of an event loop that a connection needs; seconds."""

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle: ...

    def call_soon(self, callback: Callable[..., object], *args: Any) -> asyncio.Handle: ...
