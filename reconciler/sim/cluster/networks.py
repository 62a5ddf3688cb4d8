"""Software-defined networks: zones, vnets and subnets, as written and as applied.

A vnet is a bridge on every node of its zone once it is applied. Sources: pve-network
PVE/Network/SDN/{Zones,Vnets,Subnets}.pm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.sim.world import World

LOCAL = "localnetwork"
"""The zone that stands for the nodes' own bridges in ACL paths and listings."""

Section = dict[str, str | int]


@dataclass(slots=True)
class Layer:
    """Zones, vnets and subnets by id; the values are the sections of the three files."""

    zones: dict[str, Section] = field(default_factory=dict)
    vnets: dict[str, Section] = field(default_factory=dict)
    subnets: dict[str, Section] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Section]:
        return {"zones": self.zones, "vnets": self.vnets, "subnets": self.subnets}[kind]


@dataclass(slots=True)
class Networks:
    """`written` is what the files hold, `running` what the last apply made of it."""

    written: Layer = field(default_factory=Layer)
    running: Layer = field(default_factory=Layer)
    version: int = 0


def networks(world: World) -> Networks:
    return world.room("sdn", Networks)


def zone_of(world: World, bridge: str) -> str:
    """The zone in whose ACL path a bridge or vnet stands."""
    vnet = networks(world).written.vnets.get(bridge)
    return LOCAL if vnet is None else str(vnet["zone"])


def reaches(zone: Section, node: str) -> bool:
    """Whether a zone covers a node."""
    nodes = zone.get("nodes")
    return nodes is None or node in str(nodes).split(",")


def vnets_on(world: World, node: str) -> list[str]:
    """The applied vnets of a node."""
    running = networks(world).running
    return [
        name
        for name, vnet in sorted(running.vnets.items())
        if reaches(running.zones.get(str(vnet["zone"]), {}), node)
    ]


def bridges_of(world: World, node: str) -> set[str]:
    """What a NIC on that node may name as its bridge."""
    own = {one.name for one in world.nodes[node].bridges}
    return own | set(vnets_on(world, node))
