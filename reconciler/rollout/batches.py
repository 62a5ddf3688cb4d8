"""Which VMs of a rollout are next: the canary, then as many as may be unavailable at once."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime

from desired.rollout import RolloutRules
from desired.source import Fleet
from reconciler.status import natural
from state.rollouts import Member, Rollout

GroupOf = Callable[[str], str]
"""The group of a VM in which it counts, by its key."""


def grouping(fleet: Fleet) -> GroupOf:
    """Return what tells a VM's group as the rules say: all are one without `per`."""
    per = fleet.rollout.per

    def group_of(key: str) -> str:
        spec = fleet.vms.get(key)
        if per is None or spec is None:
            return ""
        return (spec.anti_affinity if per == "anti_affinity" else spec.package) or ""

    return group_of


def next_batch(
    rollout: Rollout, rules: RolloutRules, group_of: GroupOf, held: Collection[str] = ()
) -> list[Member]:
    """Return the members that begin together once nothing is at work; `held` ones stay behind."""
    sizes = Counter(group_of(one.key) for one in rollout.members if one.state != "left")
    begun = len(rollout.of("working", "done"))
    whole = rules.canary - begun if begun < rules.canary else len(rollout.members)
    taken: Counter[str] = Counter()
    batch: list[Member] = []
    for member in sorted(rollout.of("waiting"), key=lambda one: natural(one.key)):
        group = group_of(member.key)
        room = taken[group] < rules.most(sizes[group]) and len(batch) < whole
        if room and member.key not in held:
            taken[group] += 1
            batch.append(member)
    return batch


def begin(rollout: Rollout, batch: Iterable[Member], at: datetime) -> Rollout:
    """Return the rollout with a batch at work."""
    number = max((one.batch for one in rollout.members), default=0) + 1
    begun = (replace(one, state="working", batch=number, why="", at=at) for one in batch)
    return replace(rollout.with_members(begun), moved_at=at)


def preview(
    rollout: Rollout, rules: RolloutRules, group_of: GroupOf, held: Collection[str] = ()
) -> list[tuple[str, ...]]:
    """Return the keys of each batch that is still to come, if all goes well."""
    found = []
    while batch := next_batch(rollout, rules, group_of, held):
        found.append(tuple(one.key for one in batch))
        done = (replace(one, state="done") for one in batch)
        rollout = rollout.with_members(done)
    return found
