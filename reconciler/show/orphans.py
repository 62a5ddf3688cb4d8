"""VMs without a spec as text, JSON and markdown."""

from collections.abc import Sequence
from datetime import datetime

from reconciler.orphans.orphan import Orphan
from reconciler.show.text import Paint, count_of, json_when, show_when, table
from state.api import Json

HEAD = ("VM", "NODE", "VMID", "SINCE", "REMOVED BY", "PRUNED")


def render_orphans(found: Sequence[Orphan], paint: Paint) -> str:
    """One line a VM, then what becomes of each, then a count."""
    lines = [table(HEAD, [_row(one) for one in found], paint)] if found else []
    lines += [f"= {one.key}: {one.why}" for one in found]
    have = "has" if len(found) == 1 else "have"
    lines.append(paint.bold(f"Orphans: {count_of(len(found), 'VM')} {have} no spec."))
    return "\n".join(lines)


def _row(one: Orphan) -> tuple[str, ...]:
    return (
        one.key,
        one.binding.node or "-",
        str(one.binding.vmid),
        show_when(one.since) if one.since else "not yet told",
        one.by or "-",
        _when(one),
    )


def _when(one: Orphan) -> str:
    if one.due:
        return "the next run"
    return f"from {show_when(one.due_at)} on" if one.due_at else "never"


def orphans_markdown(found: Sequence[Orphan]) -> str:
    """A table for a ticket or a merge request."""
    if not found:
        return "Every VM has a spec."
    lines = [f"| {' | '.join(word.lower() for word in HEAD)} |", "|" + " --- |" * len(HEAD)]
    return "\n".join([*lines, *(f"| {' | '.join(map(_cell, _row(one)))} |" for one in found)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def orphans_json(found: Sequence[Orphan], at: datetime) -> dict[str, Json]:
    """`{at, orphans: [{vm, cluster, node, vmid, since, removed_by, ticks, prune_at, due, why}]}`.

    `prune_at` is null of one that prune leaves alone.
    """
    return {
        "at": json_when(at),
        "orphans": [
            {
                "vm": one.key,
                "cluster": one.binding.cluster,
                "node": one.binding.node,
                "vmid": one.binding.vmid,
                "since": json_when(one.since) if one.since else None,
                "removed_by": one.by or None,
                "ticks": one.ticks,
                "prune_at": json_when(one.due_at) if one.due_at else None,
                "due": one.due,
                "why": one.why,
            }
            for one in found
        ],
    }
