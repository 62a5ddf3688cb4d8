"""Where a resource may and should run: groups (8.x) and rules (from 9.0 on).

Sources: pve-ha-manager PVE/HA/Manager.pm (select_service_node), PVE/HA/Rules/*.pm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.sim.ha.book import Book, Rule, book, vmid_of
from reconciler.sim.parameters.schema import split_list

if TYPE_CHECKING:
    from reconciler.sim.world import World

NODES, TOGETHER, APART = "node-affinity", "positive", "negative"


@dataclass(frozen=True, slots=True)
class Wish:
    """Nodes with their priority (the highest wins), and how strict that is. No nodes: any."""

    nodes: dict[str, int] = field(default_factory=dict)
    strict: bool = False
    failback: bool = True


def priorities(text: str) -> dict[str, int]:
    """`pve1:2,pve2` -> {"pve1": 2, "pve2": 0}."""
    pairs = (one.partition(":") for one in split_list(text))
    return {node: int(number or 0) for node, _colon, number in pairs}


def members(rule: Rule) -> list[str]:
    return split_list(rule.resources)


def rules_for(held: Book, sid: str, kind: str) -> list[Rule]:
    """The enabled rules of a type that name the resource."""
    return [
        rule
        for rule in held.rules.values()
        if rule.kind == kind and not rule.disable and sid in members(rule)
    ]


def wish(world: World, sid: str) -> Wish:
    held = book(world)
    resource = held.resources.get(sid)
    if resource is None:
        return Wish()
    if world.major >= 9:
        failback = resource.failback != 0
        for rule in rules_for(held, sid, NODES):
            return Wish(priorities(rule.nodes or ""), bool(rule.strict), failback)
        return Wish(failback=failback)
    group = held.groups.get(resource.group or "")
    if group is None:
        return Wish()
    return Wish(priorities(group.nodes), bool(group.restricted), not group.nofailback)


def companions(world: World, sid: str, affinity: str) -> list[str]:
    """The resources that a rule keeps together with this one, or apart from it."""
    held = book(world)
    found = {
        other
        for rule in rules_for(held, sid, "resource-affinity")
        if rule.affinity == affinity
        for other in members(rule)
    }
    return sorted(found - {sid})


def dependent_resources(world: World, sid: str) -> list[str]:
    return companions(world, sid, TOGETHER)


def blocking_resources(world: World, sid: str, node: str) -> list[dict[str, str]]:
    """Why the manager would not move the resource to the node; groups never say so beforehand."""
    if world.major < 9:
        return []
    wanted = wish(world, sid)
    found = []
    if wanted.strict and wanted.nodes and node not in wanted.nodes:
        found.append({"sid": sid, "cause": "node-affinity"})
    for other in companions(world, sid, APART):
        if node_of(world, other) == node:
            found.append({"sid": other, "cause": "resource-affinity"})
    return found


def node_of(world: World, sid: str) -> str | None:
    """Where the VM of a resource is."""
    machine = world.vms.get(vmid_of(sid))
    return None if machine is None else machine.node


def usable_nodes(world: World) -> list[str]:
    """Online nodes that are not in maintenance."""
    resting = book(world).maintenance
    return [name for name, node in world.nodes.items() if node.online and name not in resting]


def best_node(world: World, sid: str, avoid: list[str]) -> str | None:
    """The node that the manager chooses; None when none may have the resource.

    The node where it is stays chosen while it is as good as any, or when failback is off.
    """
    wanted, here = wish(world, sid), node_of(world, sid)
    usable = [node for node in usable_nodes(world) if node not in avoid]
    for other in _elder(world, sid, APART, here in avoid):
        usable = [node for node in usable if node != node_of(world, other)]
    liked = [node for node in usable if node in wanted.nodes]
    if not liked and wanted.nodes and wanted.strict:
        return None
    allowed = liked or usable
    top = max((wanted.nodes.get(node, 0) for node in allowed), default=0)
    best = [node for node in allowed if wanted.nodes.get(node, 0) == top]
    near = {node_of(world, other) for other in _elder(world, sid, TOGETHER, False)}
    best = [node for node in best if node in near] or best
    if here in best or (here in allowed and not wanted.failback):
        return here
    services = [node_of(world, other) for other in book(world).resources]
    return min(best, key=lambda node: (services.count(node), node), default=None)


def _elder(world: World, sid: str, affinity: str, all_of_them: bool) -> list[str]:
    """The companions that this resource gives way to or follows: of two only one moves."""
    return [one for one in companions(world, sid, affinity) if all_of_them or one < sid]
