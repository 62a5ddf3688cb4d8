"""Which addresses each nic has: leased, static, or not known to us (IP-08, IP-09, IP-10)."""

from ipaddress import ip_address, ip_interface
from typing import Literal

from desired.hardware import Family, Nic
from desired.spec import VMSpec
from handlers.slots import in_order
from state.memory import Lease
from state.observed import SeenVM

FamilyName = Literal["ipv4", "ipv6"]
FAMILIES: tuple[FamilyName, ...] = ("ipv4", "ipv6")


def family_of(nic: Nic, family: FamilyName) -> Family | None:
    return nic.ipv4 if family == "ipv4" else nic.ipv6


def leases_of(seen: SeenVM, slot: str, family: FamilyName) -> list[Lease]:
    """The leases of one nic and family, by ordinal; not those that it gave up."""
    found = [one for one in seen.memory.leases if (one.nic, one.family) == (slot, family)]
    return sorted((one for one in found if not one.leaves), key=lambda lease: lease.ordinal)


def known_addresses(spec: VMSpec, seen: SeenVM, slot: str) -> tuple[str, ...]:
    """Every address that the nic may use: all its leases and its static ones, in order.

    One that it gave up is among them until the guest has let go of it.
    """
    found: list[str] = []
    for name in FAMILIES:
        family = family_of(spec.nics[slot], name)
        if family is not None and family.mode == "pool":
            found += [lease.address for lease in leases_of(seen, slot, name)]
        elif family is not None and family.mode == "static" and family.static is not None:
            found.append(str(family.static.ip))
    left = (one for one in seen.memory.leases if one.leaves and one.nic == slot)
    return (*found, *(lease.address for lease in left))


def unknown_families(nic: Nic) -> tuple[str, ...]:
    """Families whose addresses the network gives, so that nobody tells us: dhcp and auto."""
    families = ((name, family_of(nic, name)) for name in FAMILIES)
    return tuple(name for name, family in families if family and family.mode in ("dhcp", "auto"))


def gateway_of(spec: VMSpec, seen: SeenVM, slot: str, family: FamilyName) -> str | None:
    """The gateway that the nic brings: its static address's, or its first lease's pool's."""
    asked = family_of(spec.nics[slot], family)
    if asked is None or asked.mode not in ("pool", "static"):
        return None
    if asked.mode == "static":
        return str(asked.gateway) if asked.gateway else None
    return next((lease.gateway for lease in leases_of(seen, slot, family)), None)


def gateway_nic(spec: VMSpec, seen: SeenVM, family: FamilyName) -> str | None:
    """The first nic that has a gateway of the family: only there it stands (design 7)."""
    for slot in in_order(spec.nics):
        if family in unknown_families(spec.nics[slot]) or gateway_of(spec, seen, slot, family):
            return slot
    return None


def same_address(one: str | None, other: str | None) -> bool:
    """Whether two texts are one address or CIDR, however written; `dhcp` and None are equal to
    themselves only."""
    if one is None or other is None or one == other:
        return one == other
    try:
        if "/" in one and "/" in other:
            return ip_interface(one) == ip_interface(other)
        return ip_address(one) == ip_address(other)
    except ValueError:
        return False
