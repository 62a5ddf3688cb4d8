"""Anti-spoofing: one `ipfilter-netN` set per nic, and whether it holds (C10, FW-02, FW-03)."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from urllib.parse import quote

from desired.firewall import Firewall
from desired.spec import VMSpec
from handlers.addresses import known_addresses, unknown_families
from handlers.effects import wanted
from handlers.handler import vm_path, vmid_of
from handlers.slots import in_order
from state.change import Call, Method, Param
from state.observed import SeenFirewall, SeenVM

SetChange = tuple[str, tuple[str, ...] | None, tuple[str, ...] | None, tuple[Call, ...]]
"""A set's name, its addresses before and after (None = no set), and the calls."""


def wanted_sets(spec: VMSpec, seen: SeenVM, firewall: Firewall) -> dict[str, tuple[str, ...]]:
    """Return set -> addresses. A nic with a dhcp or auto family has none: the set would block
    the address that nobody tells us; a nic without any address has none either (IP-10).
    """
    if not firewall.anti_spoofing:
        return {}
    addresses = {
        slot: known_addresses(spec, seen, slot)
        for slot in in_order(spec.nics)
        if not unknown_families(spec.nics[slot])
    }
    return {f"ipfilter-{slot}": found for slot, found in addresses.items() if found}


def set_changes(
    spec: VMSpec, seen: SeenVM, firewall: Firewall, there: SeenFirewall
) -> Iterator[SetChange]:
    """Yield the sets that differ: those of nics whose addresses are ours, and `wm-<VMID>`."""
    asked = wanted_sets(spec, seen, firewall)
    ours = [slot for slot, nic in spec.nics.items() if nic.ipv4 or nic.ipv6]
    for name in [f"ipfilter-{slot}" for slot in in_order(ours)]:
        old, new = there.ipsets.get(name), asked.get(name)
        if new is None:
            if old is not None:
                yield name, old, None, (_drop(seen, name),)
        elif old is None:
            create = Call(Method.POST, _base(seen), {"name": name})
            yield name, None, new, (create, *(_add(seen, name, one) for one in new))
        elif calls := _difference(seen, name, old, new):
            yield name, old, new, calls
    legacy = f"wm-{vmid_of(seen)}"
    if legacy in there.ipsets:
        yield legacy, there.ipsets[legacy], None, (_drop(seen, legacy),)


def ineffective(
    spec: VMSpec, seen: SeenVM, firewall: Firewall, there: SeenFirewall
) -> Iterator[str]:
    """Yield why anti-spoofing does not hold now; nothing where it does or is not wanted."""
    if not firewall.anti_spoofing:
        return
    sets = wanted_sets(spec, seen, firewall)
    nics = wanted(seen).nics
    if sets and not seen.cluster.firewall_enabled:
        known = seen.cluster.firewall_enabled is not None
        yield f"the cluster's firewall {'is off' if known else 'could not be read'}"
    if sets and there.options.get("enable", "0") == "0":
        yield "the VM's firewall is off"
    for slot in in_order(spec.nics):
        name = f"ipfilter-{slot}"
        families = unknown_families(spec.nics[slot])
        if name in sets and slot in nics and not nics[slot].firewall:
            yield f"{slot} has firewall=0"
        if name in sets and name not in there.ipsets:
            yield f"set {name} is missing"
        if families and known_addresses(spec, seen, slot):
            yield f"{slot} gets {' and '.join(families)} from the network, so it has no set"


def _base(seen: SeenVM) -> str:
    return f"{vm_path(seen)}/firewall/ipset"


def _difference(
    seen: SeenVM, name: str, old: Sequence[str], new: Sequence[str]
) -> tuple[Call, ...]:
    """Add what is missing, then take away what is not wanted, each as Proxmox wrote it."""
    have, want = {_normal(text) for text in old}, {_normal(text) for text in new}
    added = [_add(seen, name, text) for text in new if _normal(text) not in have]
    surplus = [text for text in sorted(old) if _normal(text) not in want]
    return tuple(added + [_take(seen, name, text) for text in surplus])


def _normal(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return text


def _add(seen: SeenVM, name: str, cidr: str) -> Call:
    return Call(Method.POST, f"{_base(seen)}/{name}", {"cidr": cidr})


def _take(seen: SeenVM, name: str, cidr: str) -> Call:
    return Call(Method.DELETE, f"{_base(seen)}/{name}/{quote(cidr, safe='')}")


def _drop(seen: SeenVM, name: str) -> Call:
    force: dict[str, Param] = {"force": True}
    return Call(Method.DELETE, f"{_base(seen)}/{name}", force)
