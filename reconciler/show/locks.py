"""Locks for people and programs."""

from collections.abc import Sequence
from datetime import datetime

from reconciler.show.text import Paint, json_when, show_when, table
from reconciler.tenancy import Tenancy
from state.api import Json

HEAD = ("LOCK", "STATE", "HOLDER", "SINCE", "LAST SIGN OF LIFE", "NUMBER")


def render_locks(locks: Sequence[Tenancy], at: datetime, paint: Paint) -> str:
    """Return the locks that somebody has, or had when it ended."""
    rows = [
        (
            one.name,
            one.state,
            str(one.row.holder),
            show_when(one.since),
            f"{max((at - one.beat_at).total_seconds(), 0):.0f} s ago",
            str(one.row.token),
        )
        for one in locks
        if one.state != "free"
    ]
    return table(HEAD, rows, paint) if rows else "nobody is at work, and no lock is left behind."


def lock_json(one: Tenancy) -> dict[str, Json]:
    """Return one lock; moments in UTC."""
    free = one.state == "free"
    return {
        "lock": one.name,
        "state": one.state,
        "host": None if free else one.row.holder.host,
        "pid": None if free else one.row.holder.pid,
        "since": json_when(one.since),
        "beat_at": json_when(one.beat_at),
        "number": one.row.token,
    }
