"""Where addresses were seen in use: in the cloud-init and the address sets of a cluster's VMs.

That costs no request for VMs that are cached. VMs that are not ours are read once when something
is to be leased, and again when something hints that they moved; guests are never asked.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network

from state.cache import CachedVM
from state.conf import VMConfig
from state.machine import Machine, machine
from state.observed import ClusterView
from state.store import Store

STRANGERS = 200
"""So many VMs that are not ours are read in one look at most."""


@dataclass(frozen=True, slots=True)
class Use:
    """One VM that was seen with an address, and in which key of its config, or which set.

    `key` is the VM's, if it is ours.
    """

    cluster: str
    vmid: int
    where: str
    key: str | None = None

    def __str__(self) -> str:
        whose = f"{self.key}, " if self.key else ""
        return f"by {whose}vm {self.vmid} of cluster {self.cluster} ({self.where})"


def sightings(
    store: Store, view: ClusterView, machines: Mapping[int, Machine]
) -> dict[str, tuple[Use, ...]]:
    """Return who was seen with each address: those VMs of the cluster that are there and known.

    Templates are left out, for nothing runs as they are.
    """
    found: defaultdict[str, list[Use]] = defaultdict(list)
    cached = store.cache.all(view.name)
    keys = {one.vmid: key for key, one in store.bindings.all().items() if one.cluster == view.name}
    for vmid, row in sorted(view.vms.items()):
        inside = None if row.template else _inside(vmid, machines, cached)
        for address, where in addresses_of(inside) if inside else ():
            found[address].append(Use(view.name, vmid, where, keys.get(vmid)))
    return {address: tuple(uses) for address, uses in found.items()}


def strangers(view: ClusterView, ours: set[int]) -> set[int]:
    """Return VMs of the cluster that are not ours and may use addresses: as many as are read."""
    others = (row.vmid for row in view.vms.values() if not row.template and row.vmid not in ours)
    return set(sorted(others)[:STRANGERS])


def addresses_of(inside: Machine) -> Iterator[tuple[str, str]]:
    """Yield (address, where it stands) of one VM: `ipconfigN`, live or pending, and its sets."""
    seen: set[tuple[str, str]] = set()
    configs = (inside.config.live, inside.config.wanted) if inside.config else ()
    for config in configs:
        seen.update(_configured(config))
    for name, cidrs in inside.firewall.ipsets.items() if inside.firewall else ():
        if name.startswith("ipfilter-"):
            seen.update((_single(cidr), name) for cidr in cidrs)
    yield from sorted(pair for pair in seen if pair[0])


def _configured(config: VMConfig) -> Iterator[tuple[str, str]]:
    """What cloud-init gives; a VM whose config cannot be read is left out."""
    with suppress(ValueError):
        for number, one in config.ipconfigs.items():
            for text in (one.ip, one.ip6):
                host = (text or "").partition("/")[0]
                yield _single(host), f"ipconfig{number}"


def _inside(
    vmid: int, machines: Mapping[int, Machine], cached: Mapping[int, CachedVM]
) -> Machine | None:
    if vmid in machines:
        return machines[vmid]
    kept = cached.get(vmid)
    return machine(kept) if kept and kept.pending_json else None


def _single(text: str) -> str:
    """The one address that a text names; empty for a network of many, an alias, `dhcp`."""
    try:
        network = ip_network(text)
    except ValueError:
        return ""
    return str(network.network_address) if network.num_addresses == 1 else ""
