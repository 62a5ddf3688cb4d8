"""Lists of single addresses as older panels keep them: one pool for lines that agree (IP-03).

A line is `BRIDGE|VLAN|ADDRESS|MASK|GATEWAY|DNS1,DNS2`; VLAN 0 is none; gateway and name servers may
be missing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface
from pathlib import PurePath

from desired.addresses import AnyAddress, AnyInterface
from desired.document import Document
from desired.errors import Place, SpecError
from desired.hardware import BRIDGE

FIELDS = ("bridge", "vlan", "address", "mask", "gateway", "dns")
FORM = "BRIDGE|VLAN|ADDRESS|MASK|GATEWAY|DNS1,DNS2"


class _Wrong(Exception):
    """What is wrong with a line, and in which of its fields."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True, slots=True)
class _Line:
    """One sound line: where the address is, and what its guest is told."""

    bridge: str
    vlan: int
    interface: AnyInterface
    gateway: AnyAddress | None
    dns: tuple[AnyAddress, ...]

    @property
    def shared(self) -> tuple[object, ...]:
        """All but the address: lines that agree in it are one pool."""
        return self.bridge, self.vlan, self.interface.network, self.gateway, self.dns


def read_legacy(file: str, text: str) -> Document:
    """Read a list; its pools bear the name of the file, the second one `NAME-2`."""
    faults: list[SpecError] = []
    pools: dict[tuple[object, ...], list[_Line]] = {}
    places: dict[tuple[object, ...], Place] = {}
    seen: dict[AnyAddress, int] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        if not raw.strip() or raw.lstrip().startswith("#"):
            continue
        try:
            line = _read(raw)
            first = seen.setdefault(line.interface.ip, number)
            if first != number:
                raise _Wrong("address", f"{line.interface.ip} stands in line {first} already")
        except _Wrong as wrong:
            place = Place(file, number, _column(raw, wrong.field))
            faults.append(SpecError(place, "", f"{wrong.field}: {wrong}"))
            continue
        pools.setdefault(line.shared, []).append(line)
        places.setdefault(line.shared, Place(file, number, 1))
    names = {shared: name for shared, name in zip(pools, _names(file), strict=False)}
    return Document(
        file,
        text,
        {names[shared]: _tree(lines) for shared, lines in pools.items()},
        tuple(faults),
        places={names[shared]: place for shared, place in places.items()},
    )


def _names(file: str) -> Iterator[str]:
    stem = PurePath(file).stem
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1


def _tree(lines: list[_Line]) -> dict[str, object]:
    """A pool as a YAML file would have it."""
    one = lines[0]
    tree: dict[str, object] = {
        "bridge": one.bridge,
        "vlan": one.vlan,
        "network": str(one.interface.network),
        "only": [str(line.interface.ip) for line in lines],
        "dns": [str(server) for server in one.dns],
        "legacy": True,
    }
    return {**tree, "gateway": str(one.gateway)} if one.gateway else tree


def _read(raw: str) -> _Line:
    parts = [part.strip() for part in raw.split("|")]
    if len(parts) != len(FIELDS):
        raise _Wrong("line", f"expected {FORM}, seen {len(parts)} fields")
    bridge, vlan, address, mask, gateway, servers = parts
    if not re.fullmatch(BRIDGE, bridge):
        raise _Wrong("bridge", f"expected a bridge such as vmbr0, seen {bridge!r}")
    if not re.fullmatch(r"\d{1,4}", vlan) or int(vlan) > 4094:
        raise _Wrong("vlan", f"expected a VLAN from 1 to 4094, or 0 for none, seen {vlan!r}")
    interface = _interface(address, mask)
    own = _address("gateway", gateway, interface.version) if gateway else None
    if own is not None and own not in interface.network:
        raise _Wrong("gateway", f"expected an address in {interface.network}, seen {gateway}")
    if own == interface.ip:
        raise _Wrong("gateway", f"{gateway} is the address itself")
    dns = tuple(_address("dns", one.strip(), None) for one in servers.split(",") if one.strip())
    if len(dns) > 2:
        raise _Wrong("dns", f"expected two name servers at most, seen {len(dns)}")
    return _Line(bridge, int(vlan), interface, own, dns)


def _interface(address: str, mask: str) -> AnyInterface:
    ip = _address("address", address, None)
    try:
        interface = ip_interface(f"{ip}/{mask}")
    except ValueError:
        most = 32 if ip.version == 4 else 128
        raise _Wrong("mask", f"expected a prefix length from 1 to {most}, seen {mask!r}") from None
    network = interface.network
    if not network.prefixlen:
        raise _Wrong("mask", "expected a prefix length from 1 on, seen 0")
    last = network.broadcast_address if ip.version == 4 else None
    if network.num_addresses > 2 and ip in (network.network_address, last):
        raise _Wrong("address", f"{ip} is not a host address of {network}")
    return interface


def _address(field: str, text: str, version: int | None) -> AnyAddress:
    try:
        found = ip_address(text)
    except ValueError:
        raise _Wrong(field, f"expected an IP address, seen {text!r}") from None
    if version not in (None, found.version):
        raise _Wrong(field, f"expected an IPv{version} address, seen {text}")
    return found


def _column(raw: str, field: str) -> int:
    """Where a field begins, from 1; the line itself where no field is meant."""
    parts = raw.split("|")
    before = parts[: FIELDS.index(field)] if field in FIELDS else []
    start = sum(len(part) + 1 for part in before)
    own = parts[len(before)]
    return start + len(own) - len(own.lstrip()) + 1
