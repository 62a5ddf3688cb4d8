"""Which guests a backup means, node by node.

Sources: pve-manager PVE/VZDump.pm (get_included_guests), PVE/API2Tools.pm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.sim.errors import failed
from reconciler.sim.parameters.schema import split_list

if TYPE_CHECKING:
    from reconciler.sim.world import World

GONE = ""
"""Stands for the node of guests that are named but do not exist."""


def vm_ids(text: Any) -> list[int]:
    """The numbers of a list, in order."""
    return sorted(int(one) for one in split_list(str(text or "")))


def included(world: World, params: Mapping[str, Any]) -> dict[str, list[int]]:
    """Guests by node. Raises 500 `pool 'X' does not exist`."""
    by_node: dict[str, list[int]] = {}
    for vmid in _meant(world, params):
        machine = world.vms.get(vmid)
        node = GONE if machine is None else machine.node
        if machine is None or params.get("node") in (None, node):
            by_node.setdefault(node, []).append(vmid)
    return by_node


def _meant(world: World, params: Mapping[str, Any]) -> list[int]:
    if params.get("pool"):
        pool = world.pools.get(str(params["pool"]))
        if pool is None:
            raise failed(f"pool '{params['pool']}' does not exist\n")
        return sorted(vmid for vmid in pool.vms if vmid in world.vms)
    if params.get("vmid"):
        return vm_ids(params["vmid"])
    if params.get("all"):
        left_out = vm_ids(params.get("exclude"))
        return [vmid for vmid in sorted(world.vms) if vmid not in left_out]
    return []
