"""Keeps what a loop says while it runs, for who asks later (FRM-18)."""

from dataclasses import dataclass, field

from reconciler.report import Event, JobDone, Reporter, RunDone, RunStarted
from reconciler.show.run import TextReporter
from reconciler.show.text import Paint
from state.loops import OUTPUT


@dataclass(slots=True)
class Recorder:
    """Passes a run's events on, and keeps their lines; of many only the last ones."""

    reporter: Reporter
    lines: list[str] = field(default_factory=list)
    size: int = 0
    _text: TextReporter = field(init=False)

    def __post_init__(self) -> None:
        self._text = TextReporter(self._write, Paint())

    def report(self, *events: Event) -> None:
        self.reporter.report(*events)
        # The frame of a run says nothing that the loop's row does not.
        self._text.report(
            *(one for one in events if not isinstance(one, RunStarted | RunDone | JobDone))
        )

    @property
    def output(self) -> str:
        """What was said, the end of it if it was much."""
        return "\n".join(self.lines)[-OUTPUT:]

    def _write(self, line: str) -> None:
        self.lines.append(line)
        self.size += len(line) + 1
        while self.size > 2 * OUTPUT and len(self.lines) > 1:
            self.size -= len(self.lines.pop(0)) + 1
