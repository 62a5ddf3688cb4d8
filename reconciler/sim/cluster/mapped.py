"""Hardware and directories that have one name in the whole cluster: what is mapped where.

Sources: pve-guest-common PVE/Mapping/{PCI,USB,Dir}.pm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.sim.world import World

KINDS = ("pci", "usb", "dir")
KIND_OF_KEY = {"hostpci": "pci", "usb": "usb", "virtiofs": "dir"}
"""Which kind of mapping a config key (without its number) names."""


@dataclass(slots=True)
class Mapping:
    """One mapping. `places` are property strings with a `node=` each."""

    places: list[str] = field(default_factory=list)
    description: str | None = None
    mdev: int | None = None
    live: int | None = None

    def on(self, node: str) -> list[dict[str, str]]:
        """The devices or directories that it stands for on a node."""
        found = [parts(one) for one in self.places]
        return [one for one in found if one.get("node") == node]


@dataclass(slots=True)
class Mappings:
    """All mappings, by kind and name."""

    pci: dict[str, Mapping] = field(default_factory=dict)
    usb: dict[str, Mapping] = field(default_factory=dict)
    dir: dict[str, Mapping] = field(default_factory=dict)

    def of(self, kind: str) -> dict[str, Mapping]:
        return {"pci": self.pci, "usb": self.usb, "dir": self.dir}[kind]


def mappings(world: World) -> Mappings:
    return world.room("mappings", Mappings)


def parts(text: str) -> dict[str, str]:
    """`node=pve1,path=0000:01:00.0` as a dictionary."""
    pairs = (one.partition("=") for one in text.split(","))
    return {key: value for key, _equals, value in pairs}


def missing_on(world: World, kind: str, name: str, node: str) -> bool:
    """Whether a node has nothing for the mapping, or the mapping is unknown."""
    mapping = mappings(world).of(kind).get(name)
    return mapping is None or not mapping.on(node)
