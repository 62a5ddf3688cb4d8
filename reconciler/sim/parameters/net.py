"""NIC values (net0 ...): reading, MAC fill-in and Proxmox's normal form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from reconciler.sim.parameters.formats import bridge_id, mac_address
from reconciler.sim.parameters.schema import (
    Boolean,
    Field,
    Integer,
    Number,
    Properties,
    Text,
    parse_properties,
)
from reconciler.sim.parameters.values import words

MODELS: Final = words(
    "e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er "
    "ne2k_isa ne2k_pci pcnet rtl8139 virtio vmxnet3"
)
MAX_NETS = 32

PARTS: dict[str, Field] = {
    "model": Text(default_key=True, enum=MODELS),
    **{model: Text(alias="macaddr", key_alias="model") for model in MODELS},
    "macaddr": Text(optional=True, format=mac_address),
    "bridge": Text(optional=True, format=bridge_id),
    "firewall": Boolean(optional=True),
    "link_down": Boolean(optional=True),
    "mtu": Integer(optional=True, minimum=1, maximum=65520),
    "queues": Integer(optional=True, minimum=0, maximum=64),
    "rate": Number(optional=True, minimum=0),
    "tag": Integer(optional=True, minimum=1, maximum=4094),
    "trunks": Text(optional=True, pattern=r"\d+(?:-\d+)?(?:;\d+(?:-\d+)?)*"),
}
NET = Properties(optional=True, parts=PARTS)


@dataclass(frozen=True, slots=True)
class Nic:
    """One NIC: its model, its MAC (None = to be made up) and the other options by name."""

    model: str
    mac: str | None
    options: dict[str, str]

    def print(self) -> str:
        """The normal form `model=MAC,` and the options by name."""
        head = self.model if self.mac is None else f"{self.model}={self.mac}"
        return ",".join([head, *(f"{key}={self.options[key]}" for key in sorted(self.options))])


def parse_net(text: str) -> Nic:
    """Read a value that has passed the parameter check."""
    parts = parse_properties(NET, text, "net")
    return Nic(parts.pop("model"), parts.pop("macaddr", None), parts)


def with_mac(text: str, new_mac: Callable[[], str]) -> str:
    """The normal form of a value, with a new MAC when it names none."""
    nic = parse_net(text)
    return Nic(nic.model, nic.mac or new_mac(), nic.options).print()
