"""Network interfaces as they stand in `netN`, and addresses as they stand in `ipconfigN`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from state.propstring import parse, parse_boolean, render, render_number

MODELS = frozenset(
    """e1000 e1000-82540em e1000-82544gc e1000-82545em e1000e i82551 i82557b i82559er
    ne2k_isa ne2k_pci pcnet rtl8139 virtio vmxnet3""".split()  # noqa: SIM905
)


@dataclass(frozen=True, slots=True)
class Net:
    """One NIC: `rate` in MB/s (1024 x 1024 bytes); `others` are options we have no name for.

    Without a MAC Proxmox draws a new one with every write, which replugs the NIC.
    """

    model: str
    mac: str | None = None
    bridge: str | None = None
    tag: int | None = None
    rate: float | None = None
    firewall: bool = False
    link_down: bool = False
    mtu: int | None = None
    others: Mapping[str, str] = field(default_factory=dict)

    def render(self) -> str:
        """Return Proxmox's normal form, MAC included: `virtio=MAC,bridge=vmbr0,tag=5`."""
        named = {
            "bridge": self.bridge,
            "firewall": "1" if self.firewall else None,
            "link_down": "1" if self.link_down else None,
            "mtu": None if self.mtu is None else str(self.mtu),
            "rate": None if self.rate is None else render_number(self.rate),
            "tag": None if self.tag is None else str(self.tag),
        }
        options = {**self.others, **{k: text for k, text in named.items() if text is not None}}
        if self.mac is None:
            return render({**options, "model": self.model}, default_key="model")
        return render({**options, self.model: self.mac}, required=(self.model,))


def parse_net(text: str) -> Net:
    """Return a NIC, the model being `virtio`, `model=virtio` or `virtio=MAC`.

    Raises ValueError where no model is named.
    """
    fields = parse(text, "model")
    model, mac = fields.pop("model", None), fields.pop("macaddr", None)
    for name in sorted(fields.keys() & MODELS):
        model, mac = name, fields.pop(name)
    if model is None:
        raise ValueError(f"expected a NIC such as virtio,bridge=vmbr0, seen {text!r}")
    tag, rate, mtu = (fields.pop(name, None) for name in ("tag", "rate", "mtu"))
    return Net(
        model=model,
        mac=mac,
        bridge=fields.pop("bridge", None),
        tag=None if tag is None else int(tag),
        rate=None if rate is None else float(rate),
        firewall=parse_boolean(fields.pop("firewall", "0")),
        link_down=parse_boolean(fields.pop("link_down", "0")),
        mtu=None if mtu is None else int(mtu),
        others=fields,
    )


@dataclass(frozen=True, slots=True)
class IpConfig:
    """What cloud-init gives one NIC: CIDRs or `dhcp` (`ip6` also `auto`), and gateways."""

    ip: str | None = None
    gw: str | None = None
    ip6: str | None = None
    gw6: str | None = None

    def render(self) -> str:
        """Return `ip=…,gw=…,ip6=…,gw6=…` of what is set; Proxmox keeps the order given."""
        pairs = (("ip", self.ip), ("gw", self.gw), ("ip6", self.ip6), ("gw6", self.gw6))
        return ",".join(f"{name}={text}" for name, text in pairs if text is not None)


def parse_ipconfig(text: str) -> IpConfig:
    """Return the addresses; raises ValueError for a key that Proxmox does not know."""
    fields = parse(text)
    unknown = sorted(fields.keys() - {"ip", "gw", "ip6", "gw6"})
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r} in ipconfig {text!r}")
    return IpConfig(**fields)
