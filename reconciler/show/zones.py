"""Zones and their records as a dry run shows them."""

from collections.abc import Sequence

from reconciler.report import PlannedZone
from reconciler.show.text import Paint, count_of
from state.api import Json
from state.change import Change, Value

MOST = 40
"""So many records of one zone are listed; of more only how many there are."""


def zone_lines(zones: Sequence[PlannedZone], paint: Paint) -> list[str]:
    """Return a line for each zone in which something is to be done or said, and its records."""
    lines = []
    for zone in zones:
        if not (zone.changes or zone.notes or zone.problem):
            continue
        lines.append(f"~ zone {zone.zone}  {zone_words(zone)}")
        if zone.problem:
            lines.append(paint.warn(f"    not reached: {zone.problem}"))
        lines += [_tinted(change, paint) for change in zone.changes[:MOST]]
        if len(zone.changes) > MOST:
            lines.append(f"    and {len(zone.changes) - MOST} more")
        reasons = sorted({note.reason for note in zone.notes})
        lines += [paint.warn(f"    {reason}") for reason in reasons[:MOST]]
    return lines


def zone_words(zone: PlannedZone) -> str:
    """Return `2 to create, 1 to remove`, or that nothing is."""
    kinds = {
        "to create": sum(one.old is None for one in zone.changes),
        "to change": sum(one.old is not None and one.new is not None for one in zone.changes),
        "to remove": sum(one.new is None for one in zone.changes),
    }
    words = [f"{number} {kind}" for kind, number in kinds.items() if number]
    return ", ".join(words) or f"{count_of(zone.wanted, 'record')} as wanted"


def _tinted(change: Change, paint: Paint) -> str:
    if change.old is None:
        return paint.good(f"    + {change.field} {_shown(change.new)}")
    if change.new is None:
        return paint.bad(f"    - {change.field} {_shown(change.old)}")
    return paint.warn(f"    ~ {change.field} {_shown(change.old)} -> {_shown(change.new)}")


def _shown(value: Value) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def zone_json(zone: PlannedZone) -> Json:
    """Return one zone of a plan as JSON."""
    return {
        "zone": zone.zone,
        "provider": zone.provider,
        "wanted": zone.wanted,
        "held": zone.held,
        "problem": zone.problem or None,
        "changes": [
            {"record": one.field, "old": _values(one.old), "new": _values(one.new)}
            for one in zone.changes
        ],
        "notes": [
            {"key": one.subject, "record": one.field, "reason": one.reason} for one in zone.notes
        ],
    }


def _values(value: Value) -> Json:
    return list(value) if isinstance(value, tuple) else None
