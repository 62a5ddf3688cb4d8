"""The answers in an inventory, as rows and texts; what was not asked reads as empty."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = "pve-inventory/1"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answers:
    """`data` of each path, without `/api2/json`."""

    by_path: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Answers:
        """Raises ValueError for a file that is no inventory of this version, OSError."""
        try:
            found = json.loads(path.read_bytes())
        except ValueError as error:
            raise ValueError(f"{path}: not JSON: {error}") from None
        form = found.get("format") if isinstance(found, dict) else None
        if form != FORMAT:
            raise ValueError(
                f"{path}: expected an inventory of format {FORMAT}, seen {form!r}; "
                "make it with `reconcile export-inventory`"
            )
        answers = found.get("answers")
        if not isinstance(answers, dict) or "/cluster/resources" not in answers:
            raise ValueError(f"{path}: it has no answer of /cluster/resources")
        return cls(answers)

    def rows(self, path: str) -> list[Row]:
        found = self.by_path.get(path)
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def mapping(self, path: str) -> Row:
        found = self.by_path.get(path)
        return found if isinstance(found, dict) else {}

    def resources(self, kind: str) -> Iterator[Row]:
        """The rows of /cluster/resources of one type."""
        return (row for row in self.rows("/cluster/resources") if row.get("type") == kind)


def picked(row: Row, keys: Iterable[str]) -> dict[str, Any]:
    """Those of some fields that the row has."""
    return {key: row[key] for key in keys if key in row}


def split(text: object) -> list[str]:
    return [one for one in str(text or "").split(",") if one]
