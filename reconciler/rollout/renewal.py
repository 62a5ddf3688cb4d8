"""What an edited source makes of the rollouts that are open: begun, joined, superseded. Pure."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from desired.rollout import RolloutRules
from reconciler.rollout.edits import GONE, Survey
from reconciler.show.text import count_of
from reconciler.status import natural
from state.rollouts import Edit, Member, Rollout, RolloutState

MOST_FIELDS = 3
"""How many fields of an edit are named."""


def renewed(
    holding: Sequence[Rollout],
    found: Survey,
    rules: RolloutRules,
    at: datetime,
    unreadable: Collection[str] = (),
) -> list[Rollout]:
    """Return every rollout that holds something back, or did until now, as the source has it.

    An edit that is out goes on with the VMs that still need it. One that joins it, or says
    something else of its fields, makes a new rollout of both, which begins with what is at work.
    VMs whose specs are `unreadable` now stay as they are.
    """
    known = frozenset(edit for one in holding for edit in one.edits)
    groups = found.groups(found.wide(rules.over, known))
    kept, fresh = [], []
    for edits, keys in groups:
        same = next((one for one in holding if edits <= one.edits and one not in kept), None)
        if same:
            kept.append(same)
            fresh.append(_joined(same, keys, at, unreadable))
        else:
            fresh.append(_begun(holding, edits, keys, at))
    over = [one for one in holding if one not in kept]
    torn = [one for one in over if _concerns(one, unreadable)]
    ended = [_superseded(one, fresh, at) for one in over if one not in torn]
    return [*ended, *(_joined(one, (), at, unreadable) for one in torn), *fresh]


def _concerns(rollout: Rollout, keys: Collection[str]) -> bool:
    return any(one.key in keys for one in rollout.of("waiting", "working"))


def _begun(
    holding: Sequence[Rollout], edits: frozenset[Edit], keys: Iterable[str], at: datetime
) -> Rollout:
    """A new rollout; what one that it takes the place of has at work is its first batch."""
    at_work = {member.key for one in holding for member in one.of("working")}
    members = tuple(
        Member(key, "working", 1, "", at) if key in at_work else Member(key, "waiting", 0, "", at)
        for key in sorted(keys, key=natural)
    )
    return Rollout(0, edits, words(edits), "active", "", at, at, members=members)


def _joined(
    rollout: Rollout, keys: Iterable[str], at: datetime, unreadable: Collection[str]
) -> Rollout:
    """The same edit: who needs it now is a member, and who does not is done with it.

    Whom a person left out has a batch, and is not taken in again.
    """
    needing = set(keys)
    known = {one.key: one for one in rollout.members}
    changed = []
    for member in rollout.members:
        again = member.state == "done" or (member.state == "left" and not member.batch)
        if member.key in unreadable:
            continue
        if member.key in needing and again:
            changed.append(replace(member, state="waiting", batch=0, why="", at=at))
        elif member.key not in needing and member.state in ("waiting", "working"):
            changed.append(_without_need(member, at))
    new = [Member(key, "waiting", 0, "", at) for key in sorted(needing - known.keys())]
    return rollout.with_members([*changed, *new])


def _without_need(member: Member, at: datetime) -> Member:
    if member.state == "working":
        return replace(member, state="done", why="", at=at)
    return replace(member, state="left", why="its spec does not ask for it any more", at=at)


def _superseded(rollout: Rollout, fresh: Sequence[Rollout], at: datetime) -> Rollout:
    """The source says something else now, or nothing: nobody waits for this one any more."""
    later = {one.key for other in fresh for one in other.members}
    taken = any(one.key in later for one in rollout.of("waiting", "working"))
    why = "the specs were edited again" if taken else "no VM needs it any more"
    members = [
        _without_need(one, at) if one.key not in later else replace(one, state="left", why=why)
        for one in rollout.of("waiting", "working")
    ]
    ended = rollout.with_members(members)
    done = not ended.of("left") and rollout.state == "active"
    state: RolloutState = "done" if done else "superseded"
    return replace(ended, state=state, why="" if done else why, ended_at=at)


def words(edits: Iterable[Edit]) -> str:
    """Say what an edit sets: `memory = 2GiB, cpu.cores = 2`."""
    shown = []
    for path, new in sorted(edits):
        value = "gone" if new == GONE else json.loads(new)
        value = "{...}" if isinstance(value, dict) else value
        text = "none" if value is None else str(value).lower() if value is True else str(value)
        shown.append(f"{'.'.join(path)} = {text}" if new != GONE else f"{'.'.join(path)} taken out")
    more = len(shown) - MOST_FIELDS
    named = ", ".join(shown[:MOST_FIELDS])
    return f"{named} and {count_of(more, 'more field')}" if more > 0 else named
