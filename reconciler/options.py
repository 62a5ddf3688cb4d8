"""What one run is asked for."""

from dataclasses import dataclass
from pathlib import Path

from desired.source import Fleet


class BrokenSpecs(Exception):
    """With `strict`, a broken spec stops the whole run before it begins."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What one run is asked for: `only` are globs of keys, `time_limit` is in seconds.

    `pull` fast-forwards the fleet's folder first. `interval` is that of a service, in seconds;
    `beat` too, where a person gave it, so that `process_vms` runs at each: it was asked for.
    With `no_lock` nothing keeps another run away: that is for a person who looks for a fault.
    """

    fleet: Path
    database: str | None = None
    only: tuple[str, ...] = ()
    time_limit: float = 50.0
    approve: str | None = None
    strict: bool = False
    command: str = "--once"
    by: str = ""
    pull: bool = False
    interval: float | None = None
    beat: float | None = None
    no_lock: bool = False

    def insist(self, fleet: Fleet) -> None:
        """Raise BrokenSpecs with every error, where `strict` was asked for and there is one."""
        if self.strict and fleet.errors:
            raise BrokenSpecs("\n".join(str(error) for error in fleet.errors))
