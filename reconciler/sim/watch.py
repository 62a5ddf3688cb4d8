"""Parts of the cluster that live by themselves and must hear of every change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.sim.world import World

Watcher = Callable[["World"], None]
WATCHERS: list[Watcher] = []


def watching(watcher: Watcher) -> Watcher:
    """Register a function that is called before every change; it must be quick."""
    WATCHERS.append(watcher)
    return watcher
