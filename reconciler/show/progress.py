"""A progress bar for a person who watches many VMs at once; rich is loaded when one is drawn."""

import shutil
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from reconciler.report import (
    Event,
    Reporter,
    RunDone,
    RunStarted,
    VMDone,
    VMError,
    VMPaused,
    VMStarted,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


def screen() -> "tuple[Callable[[], Console], int]":
    """Return how to get at the terminal behind standard error, and how many lines it shows."""

    def console() -> "Console":
        from rich.console import Console

        return Console(stderr=True)

    return console, shutil.get_terminal_size().lines


class ProgressReporter:
    """Passes events on until more than `screenful` VMs are at work, then draws a bar.

    While the bar stands, events go to `beside` (which prints what must not be missed above it).
    The bar counts the VMs that have ended against all that were begun.
    """

    def __init__(
        self, before: Reporter, beside: Reporter, console: "Callable[[], Console]", screenful: int
    ) -> None:
        self._before = before
        self._beside = beside
        self._console = console
        self._screenful = screenful
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        self._ended: set[str] = set()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def report(self, *events: Event) -> None:
        with self._lock:
            for event in events:
                self._count(event)
                to = self._before if self._bar is None else self._beside
                if isinstance(event, RunDone):
                    self.stop()
                to.report(event)

    def _count(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._begun.clear()
                self._ended.clear()
            case VMStarted():
                self._begun.add(event.key)
                self._ended.discard(event.key)
            case VMDone() | VMPaused() | VMError():
                self._begun.add(event.key)
                self._ended.add(event.key)
            case _:
                return
        self._draw()

    def _draw(self) -> None:
        if self._bar is None and len(self._begun - self._ended) > self._screenful:
            self._start()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=len(self._begun), completed=len(self._ended))

    def _start(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

        columns = ("VMs", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=self._console(), transient=True)
        self._task = self._bar.add_task("VMs")
        self._bar.start()

    def stop(self) -> None:
        """Take the bar away: the run is over, or it was interrupted."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = self._task = None
