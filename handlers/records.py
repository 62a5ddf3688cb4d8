"""The DNS records that VMs want, and which zone each of them belongs to. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal

from desired.hostnames import Dns
from desired.spec import VMSpec
from desired.zones import ZoneSpec
from handlers.classless import classless
from state.memory import Lease
from state.zones import RecordId

Family = Literal["ipv4", "ipv6"]
FORWARD: Mapping[Family, str] = {"ipv4": "A", "ipv6": "AAAA"}
_NOTHING = Dns()


@dataclass(frozen=True, slots=True)
class Held:
    """One address that a VM has: `nic`, `family` and `ordinal` say which of its addresses it is."""

    nic: str
    family: Family
    ordinal: int
    address: str


@dataclass(frozen=True, slots=True)
class Named:
    """A VM as DNS sees it: its spec, and the leases that it has."""

    spec: VMSpec
    leases: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class WantedRecord:
    """One rrset that shall be there, and the VMs that it is for; `address` of a PTR."""

    name: str
    type: str
    values: frozenset[str]
    keys: tuple[str, ...]
    address: str = ""

    @property
    def id(self) -> RecordId:
        return self.name, self.type


def held(vm: Named) -> list[Held]:
    """Every address of a VM, leased or static, in the order of its nics (DNS-09)."""
    found = [Held(one.nic, one.family, one.ordinal, one.address) for one in vm.leases]
    for slot, nic in vm.spec.nics.items():
        if nic.ipv4 and nic.ipv4.static:
            found.append(Held(slot, "ipv4", 0, str(nic.ipv4.static.ip)))
        if nic.ipv6 and nic.ipv6.static:
            found.append(Held(slot, "ipv6", 0, str(nic.ipv6.static.ip)))
    return sorted(found, key=lambda one: (int(one.nic[3:]), one.family, one.ordinal))


def wanted_of(vm: Named) -> Iterator[WantedRecord]:
    """Yield what one VM wants: forward for its first address of each family, PTR for each.

    Custom reverse names stand in for its own name (DNS-10). Names are lower case.
    """
    dns = vm.spec.dns or _NOTHING
    if dns.records == "off":
        return
    own, key = (vm.spec.fqdn or "").lower(), (vm.spec.key,)
    addresses = held(vm)
    for family, type in FORWARD.items():
        first = next((one for one in addresses if one.family == family), None)
        names = [own, *dns.names] if own else dns.names
        for name in sorted(set(names)) if first else ():
            assert first is not None
            yield WantedRecord(name, type, frozenset({first.address}), key)
    for alias in dns.cnames:
        yield WantedRecord(alias, "CNAME", frozenset({own}), key)
    for one in addresses:
        target = reverse_name(dns, one) or own
        if target:
            name = ip_address(one.address).reverse_pointer
            yield WantedRecord(name, "PTR", frozenset({target}), key, one.address)


def reverse_name(dns: Dns, one: Held) -> str | None:
    """Return the name of its own that an address points at, if it was given one."""
    place = f"{one.nic}.{one.family}"
    behind = f"{place}.{one.ordinal}"
    named = dns.reverse.get(one.address) or dns.reverse.get(behind)
    return named or (dns.reverse.get(place) if one.ordinal == 0 else None)


def merged(records: Iterable[WantedRecord]) -> dict[RecordId, WantedRecord]:
    """One rrset for each name and type: VMs that share a name share its records."""
    found: dict[RecordId, WantedRecord] = {}
    for one in records:
        before = found.get(one.id)
        if before is not None:
            keys = tuple(sorted({*before.keys, *one.keys}))
            values = before.values | one.values
            one = WantedRecord(one.name, one.type, values, keys, one.address)
        found[one.id] = one
    return found


class Zoning:
    """Which zones a record belongs in: the longest matching name, on all its providers (C25)."""

    def __init__(self, zones: Mapping[str, ZoneSpec]) -> None:
        self._by_name: dict[str, list[ZoneSpec]] = {}
        for zone in zones.values():
            self._by_name.setdefault(zone.name, []).append(zone)
        self._ranges = [
            (zone_range, name) for name in self._by_name if (zone_range := classless(name))
        ]

    def place(self, record: WantedRecord) -> tuple[WantedRecord, tuple[ZoneSpec, ...]]:
        """Return the record as its zones call it, and the zones that take its type.

        Only in a zone of RFC 2317 it has another name than its address's own.
        """
        for zone_range, zone in self._ranges:
            if record.type == "PTR" and zone_range.holds(record.name):
                name = f"{record.name.partition('.')[0]}.{zone}"
                moved = WantedRecord(name, "PTR", record.values, record.keys, record.address)
                return moved, self._taking(zone, "PTR")
        labels = record.name.split(".")
        for start in range(len(labels)):
            zone = ".".join(labels[start:])
            if zone in self._by_name:
                return record, self._taking(zone, record.type)
        return record, ()

    def _taking(self, zone: str, type: str) -> tuple[ZoneSpec, ...]:
        return tuple(one for one in self._by_name[zone] if type in one.types)


def placeless(zones: Mapping[str, ZoneSpec], vm: Named) -> list[WantedRecord]:
    """Return the reverse records of a VM that no zone takes."""
    zoning = Zoning(zones)
    reverse = (record for record in wanted_of(vm) if record.type == "PTR")
    return [record for record in reverse if not zoning.place(record)[1]]


def by_zone(
    zones: Mapping[str, ZoneSpec], vms: Iterable[Named]
) -> dict[str, dict[RecordId, WantedRecord]]:
    """Return what shall stand in each zone, by its id; what fits no zone is nowhere (DNS-04)."""
    zoning = Zoning(zones)
    found: dict[str, dict[RecordId, WantedRecord]] = {id: {} for id in zones}
    wanted = merged(record for vm in vms for record in wanted_of(vm))
    for record in wanted.values():
        placed, takers = zoning.place(record)
        for zone in takers:
            found[zone.id][placed.id] = placed
    return found
