"""What every command is told by the command line, and the exit statuses."""

from dataclasses import dataclass
from pathlib import Path

EXIT_FAILED, EXIT_CHANGES, EXIT_USAGE, EXIT_LOCKED, EXIT_STOPPED = 1, 2, 64, 75, 130
EXITS: tuple[tuple[int, str], ...] = (
    (0, "fine; of a dry run: nothing would change"),
    (EXIT_FAILED, "something failed, a spec is broken, or something could not be read"),
    (
        EXIT_CHANGES,
        "dry run, `drift`, `debt`, `orphans`, `zombies`, `ip check`, `spec diff`, `verify`: "
        "something to do",
    ),
    (EXIT_USAGE, "the command line was wrong"),
    (EXIT_LOCKED, "another run is at work; try again later"),
    (EXIT_STOPPED, "interrupted, or told to stop (SIGTERM); the next run goes on"),
)
"""Every exit status and what it says; `reconcile run` that is told to stop ends with 0."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line and the environment say for every command."""

    fleet: Path
    database: str | None = None


def default_fleet() -> Path:
    """Return the fleet's folder when none is named: here, or `desired/fleet` below here."""
    here = Path.cwd()
    for folder in (here, here / "desired" / "fleet"):
        if (folder / "fleet.yaml").is_file():
            return folder
    return here
