"""Network interfaces: bridge, VLAN, rate, model, MTU, firewall flag and link."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from desired.hardware import Nic
from desired.spec import VMSpec
from handlers.effects import plugged, wanted
from handlers.handler import Subject, config_change, send_calls
from handlers.slots import in_order
from handlers.throttles import whole
from handlers.wishes import kept_macs
from state.change import Change, Effect, Note, Value
from state.net import Net
from state.observed import SeenVM

REPLUGGED = ("model", "mtu", "mac")
"""What a running VM gets only by unplugging the NIC and plugging it again."""


class Network:
    """Sets the NICs that the spec names (DEP-21, FW-05); others are not ours and stay.

        nics:
          net0: {bridge: vmbr0, vlan: 100, rate: 12.5MB/s, model: virtio, mtu: 1, link: up}

    Owns `netN`. VLAN 0 is none, 1 to 4094 valid (C11). The firewall flag is set where the spec
    has a firewall that is on, unless `firewall:` says otherwise. The MAC is always echoed, for
    without it Proxmox draws a new one. All but model and mtu is live; those replug the NIC.

    Risk: a new bridge or VLAN makes the link flap; a replug drops the guest's connections.
    """

    name = "network"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys = (r"net\d+",)
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        nics, kept = wanted(seen).nics, kept_macs(seen.memory)
        for slot in in_order({**{one: Nic() for one in kept if one in nics}, **spec.nics}):
            nic, net, mac = spec.nics.get(slot, Nic()), nics.get(slot), kept.get(slot)
            if net is not None:
                asked = _asked(nic, net, spec)
                asked = replace(asked, mac=mac) if mac else asked
                yield from self._existing(slot, net, asked, seen)
            elif (value := new_nic(nic, spec, mac)) is None:
                reason = f"{slot} is not there and names no bridge: give it one, or a pool's"
                yield Note(seen.key, self.name, slot, reason, "BridgeMissing", blocking=True)
            else:
                effect = plugged(seen, "network")
                yield config_change(
                    seen, self.name, slot, old=None, new=value, params={slot: value}, effect=effect
                )

    def _existing(self, slot: str, net: Net, asked: Net, seen: SeenVM) -> Iterator[Change]:
        found = list(_compared(net, asked))
        value = asked.render()
        replug = any(field in REPLUGGED for field, _, _ in found)
        effect = plugged(seen, "network") if replug else Effect.LIVE
        for field, old, new in found:
            yield config_change(
                seen,
                self.name,
                f"{slot}.{field}",
                old=old,
                new=new,
                params={slot: value},
                effect=effect,
            )


def new_nic(nic: Nic, spec: VMSpec, mac: str | None = None) -> str | None:
    """A NIC as it is made; without a MAC Proxmox draws one. None where it has no bridge."""
    return None if nic.bridge is None else _asked(nic, Net("virtio", mac), spec).render()


def _asked(nic: Nic, net: Net, spec: VMSpec) -> Net:
    """Return the NIC as it should be: what the spec mentions laid over what is there."""
    asked = replace(net, firewall=_filtered(nic, spec, net.firewall))
    if nic.bridge is not None:
        asked = replace(asked, bridge=nic.bridge)
    if nic.vlan is not None:
        asked = replace(asked, tag=nic.vlan or None)
    if nic.rate is not None:
        asked = replace(asked, rate=round(nic.rate, 6) or None)
    if nic.model is not None:
        asked = replace(asked, model=nic.model)
    if nic.mtu is not None:
        asked = replace(asked, mtu=nic.mtu)
    if nic.link is not None:
        asked = replace(asked, link_down=not nic.link)
    return asked


def _filtered(nic: Nic, spec: VMSpec, seen: bool) -> bool:
    """Whether the firewall is to see this NIC's packets (FW-05)."""
    if nic.firewall is not None:
        return nic.firewall
    return seen or (spec.firewall is not None and spec.firewall.enable)


def _compared(net: Net, asked: Net) -> Iterator[tuple[str, Value, Value]]:
    """Yield (field, old, new) in the spec's words; no VLAN and no rate limit are 0."""
    pairs: tuple[tuple[str, Value, Value], ...] = (
        ("bridge", net.bridge, asked.bridge),
        ("vlan", net.tag or 0, asked.tag or 0),
        ("rate", whole(net.rate or 0), whole(asked.rate or 0)),
        ("model", net.model, asked.model),
        ("mac", net.mac, asked.mac),
        ("mtu", net.mtu, asked.mtu),
        ("firewall", net.firewall, asked.firewall),
        ("link", _link(net), _link(asked)),
    )
    return ((field, old, new) for field, old, new in pairs if old != new)


def _link(net: Net) -> str:
    return "down" if net.link_down else "up"
