"""Rollouts as text and JSON: how far each is, which VMs are next, why it stands still."""

from collections.abc import Sequence

from reconciler.show.text import Paint, count_of, json_when, show_when, table
from state.api import Json
from state.rollouts import Rollout

BAR = 20
"""How many characters a bar is wide."""

MOST_KEYS = 6
"""How many VMs of one batch are named."""

MOST_BATCHES = 5
"""How many of the batches to come are shown."""


def bar(rollout: Rollout) -> str:
    """`[#####.....]  5/10`: a VM at work counts half."""
    done, whole = len(rollout.of("done")), len(rollout.members) - len(rollout.of("left"))
    filled = int(BAR * (done + len(rollout.of("working")) / 2) / whole) if whole else BAR
    return f"[{'#' * filled}{'.' * (BAR - filled)}] {done}/{whole}"


def render_list(rollouts: Sequence[Rollout], paint: Paint) -> str:
    """One line a rollout, the latest first."""
    if not rollouts:
        return "no rollouts"
    rows = [
        (str(one.id), one.state, bar(one), show_when(one.begun_at), one.about, one.why)
        for one in rollouts
    ]
    return table(("ID", "STATE", "VMS", "BEGUN", "EDIT", "WHY"), rows, paint)


def render_one(rollout: Rollout, batches: Sequence[Sequence[str]], paint: Paint) -> str:
    """All about one rollout: its members, and the batches that are to come."""
    lines = [f"rollout {rollout.id}: {rollout.about}", f"{rollout.state} {bar(rollout)}"]
    lines += [rollout.why] if rollout.why else []
    rows = [
        (one.key, one.state, str(one.batch or "-"), show_when(one.at), one.why)
        for one in rollout.members
    ]
    lines += [table(("VM", "STATE", "BATCH", "SINCE", "WHY"), rows, paint)]
    lines += batch_lines(batches)
    return "\n".join(lines)


def batch_lines(batches: Sequence[Sequence[str]]) -> list[str]:
    """`next: a, b`, `then: c, d and 3 more`, `then 7 batches more`."""
    lines = []
    for number, keys in enumerate(batches[:MOST_BATCHES]):
        more = f" and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
        lines.append(f"{'then' if number else 'next'}: {', '.join(keys[:MOST_KEYS])}{more}")
    left = len(batches) - MOST_BATCHES
    return [*lines, f"then {_batches(left)} more"] if left > 0 else lines


def _batches(number: int) -> str:
    return "1 batch" if number == 1 else f"{number} batches"


def preview_lines(rollout: Rollout, batches: Sequence[Sequence[str]]) -> list[str]:
    """What a dry run says of a rollout that is to begin, or to go on."""
    named = f"rollout {rollout.id}" if rollout.id else "rollout (new)"
    whole = count_of(len(rollout.of("waiting", "working")), "VM")
    state = (
        f", {rollout.state}: {rollout.why or 'by a person'}" if rollout.state != "active" else ""
    )
    working = [one.key for one in rollout.of("working")]
    coming = f"{_batches(len(batches))} to come"
    lines = [f"{named}: {rollout.about} for {whole}, {coming}{state}"]
    lines += [f"  at work: {', '.join(working)}"] if working else []
    return [*lines, *(f"  {line}" for line in batch_lines(batches))]


def rollout_json(rollout: Rollout, batches: Sequence[Sequence[str]]) -> dict[str, Json]:
    """A rollout as machines read it."""
    members: list[Json] = [
        {
            "vm": one.key,
            "state": one.state,
            "batch": one.batch or None,
            "since": json_when(one.at),
            "why": one.why or None,
        }
        for one in rollout.members
    ]
    coming: list[Json] = [list(keys) for keys in batches]
    return {
        "id": rollout.id or None,
        "edit": rollout.about,
        "state": rollout.state,
        "why": rollout.why or None,
        "begun": json_when(rollout.begun_at),
        "ended": json_when(rollout.ended_at) if rollout.ended_at else None,
        "done": len(rollout.of("done")),
        "members": members,
        "batches": coming,
    }
