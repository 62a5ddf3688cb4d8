"""Errors of what a person wrote, each with the place where it stands."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a source: file, line and column from 1; line 0 is one that has no lines.

    What stands in a database has `db:NAME revision N` for a file.
    """

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class SpecError:
    """One thing that is wrong in a spec; `vm` is the key that it makes unusable, if only one."""

    place: Place
    field: str
    message: str
    vm: str | None = None

    def __str__(self) -> str:
        where = f"{self.place}: {self.field}" if self.field else str(self.place)
        return f"{where}: {self.message}"


class UnusableSource(Exception):
    """The whole source cannot be used (unreadable, empty, no fleet file); carries its errors."""

    def __init__(self, errors: tuple[SpecError, ...]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors
