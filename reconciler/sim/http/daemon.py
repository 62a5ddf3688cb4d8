"""The workers of a node's pveproxy or pvedaemon, three of each, and who waits for one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Daemon:
    """pveproxy or pvedaemon of one node: so many calls at once, the others in line."""

    __slots__ = ("free", "line")

    def __init__(self, workers: int) -> None:
        self.free = workers
        self.line: deque[Callable[[], None]] = deque()

    def take(self, begin: Callable[[], None]) -> None:
        """Begin as soon as a worker is free."""
        if self.free:
            self.free -= 1
            begin()
        else:
            self.line.append(begin)

    def leave(self) -> None:
        if self.line:
            self.line.popleft()()
        else:
            self.free += 1
