"""Which backups a retention keeps: newest first, each option over the periods not yet covered.

Source: pve-storage PVE/Storage.pm (prune_mark_backup_group), PVE/Storage/Plugin.pm (prune_backups,
the `prune-backups` format).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from reconciler.sim.parameters.schema import (
    Boolean,
    Field,
    FormatError,
    Integer,
    Properties,
    parse_properties,
)

PERIODS: tuple[tuple[str, Callable[[datetime], str]], ...] = (
    ("keep-last", lambda at: at.isoformat()),
    ("keep-hourly", lambda at: at.strftime("%Y-%m-%d %H")),
    ("keep-daily", lambda at: at.strftime("%Y-%m-%d")),
    ("keep-weekly", lambda at: at.strftime("%G/%V")),
    ("keep-monthly", lambda at: at.strftime("%Y-%m")),
    ("keep-yearly", lambda at: at.strftime("%Y")),
)
COUNTS = tuple(name for name, _period in PERIODS)


def no_mixture(parts: dict[str, str]) -> None:
    """`keep-all` together with a count that keeps something is refused."""
    counted = any(int(parts[name]) > 0 for name in COUNTS if name in parts)
    if counted and parts.get("keep-all") == "1":
        raise FormatError("keep-all cannot be set together with other options.")


COUNT_FIELDS: dict[str, Field] = {name: Integer(optional=True, minimum=0) for name in COUNTS}
PRUNE = Properties(
    optional=True,
    parts={"keep-all": Boolean(optional=True), **COUNT_FIELDS},
    validator=no_mixture,
)


def parse_retention(value: Any) -> dict[str, str]:
    """`keep-last=3,keep-daily=7` as a mapping; no positive count at all keeps everything."""
    if isinstance(value, Mapping):
        return {key: str(one) for key, one in value.items()}
    parts = parse_properties(PRUNE, str(value), "prune-backups")
    counts = {key: one for key, one in parts.items() if key != "keep-all"}
    if not any(int(one) > 0 for one in counts.values()):
        return {"keep-all": "1"}
    return counts


def limit_of(retention: Mapping[str, str]) -> int:
    """How many backups of a guest there may be at once; 0 without a limit."""
    if retention.get("keep-all") == "1":
        return 0
    return sum(int(one) for one in retention.values())


@dataclass(slots=True)
class Candidate:
    """One backup that is looked at; `mark` is keep, remove, protected or renamed."""

    volid: str
    ctime: int
    kind: str
    vmid: int | None
    mark: str | None = None

    def row(self) -> dict[str, Any]:
        """As GET prunebackups shows it."""
        row: dict[str, Any] = {
            "volid": self.volid,
            "ctime": self.ctime,
            "type": self.kind,
            "mark": self.mark,
        }
        if self.vmid is not None:
            row["vmid"] = self.vmid
        return row


def mark(group: list[Candidate], retention: Mapping[str, str]) -> None:
    """Judge the backups of one guest; protected ones count for nothing and stay."""
    if limit_of(retention) == 0:
        for one in group:
            one.mark = one.mark or "keep"
        return
    newest = sorted(group, key=lambda one: -one.ctime)
    for name, period in PERIODS:
        _cover(newest, int(retention.get(name, "0")), period)
    for one in newest:
        one.mark = one.mark or "remove"


def _cover(newest: list[Candidate], count: int, period: Callable[[datetime], str]) -> None:
    """Keep the newest backup of up to `count` periods that nothing kept falls into yet."""
    if count == 0:
        return

    def place(one: Candidate) -> str:
        return period(datetime.fromtimestamp(one.ctime, UTC))

    covered = {place(one) for one in newest if one.mark == "keep"}
    added: set[str] = set()
    for one in newest:
        if one.mark is not None or place(one) in covered:
            continue
        if place(one) in added:
            one.mark = "remove"
        elif len(added) >= count:
            break
        else:
            added.add(place(one))
            one.mark = "keep"
