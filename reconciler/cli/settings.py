"""What every command is told by the command line, and the exit statuses."""

from dataclasses import dataclass
from pathlib import Path

EXIT_FAILED, EXIT_CHANGES, EXIT_USAGE, EXIT_LOCKED = 1, 2, 64, 75


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
