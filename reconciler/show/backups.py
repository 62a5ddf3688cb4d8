"""What `backup list` prints: each backup with its age, size, and whose it is."""

from collections.abc import Sequence
from datetime import datetime

from reconciler.backups.listing import Listed
from reconciler.show.text import Paint, json_when, show_when, table
from reconciler.show.usage import show_bytes
from state.api import Json


def render_backups(found: Sequence[Listed], at: datetime, paint: Paint) -> str:
    """A line for each backup, the newest first."""
    if not found:
        return "no backups"
    head = ("VM", "MADE", "AGE", "SIZE", "VERIFIED", "PROTECTED", "BY", "VOLUME")
    rows = [
        (
            one.key or f"({one.archive.vmid})",
            show_when(one.archive.at),
            _age((at - one.archive.at).total_seconds()),
            show_bytes(one.archive.size),
            "yes" if one.verified else one.archive.verification or "no",
            "yes" if one.archive.protected else "",
            "us" if one.ours else "others",
            one.archive.volume,
        )
        for one in found
    ]
    return table(head, rows, paint)


def backups_json(found: Sequence[Listed], at: datetime) -> list[dict[str, Json]]:
    return [
        {
            "vm": one.key or None,
            "cluster": one.cluster,
            "node": one.archive.node,
            "storage": one.archive.storage,
            "volume": one.archive.volume,
            "vmid": one.archive.vmid,
            "at": json_when(one.archive.at),
            "age": round((at - one.archive.at).total_seconds()),
            "size": one.archive.size,
            "verified": one.verified,
            "verification": one.archive.verification or None,
            "protected": one.archive.protected,
            "ours": one.ours,
        }
        for one in found
    ]


def _age(seconds: float) -> str:
    """In the largest unit of which there are two: `35 min`, `20 h`, `9 d`."""
    for unit, length in (("d", 86_400), ("h", 3_600)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0) // 60:.0f} min"
