"""Rebuild a lost store from the marks in Proxmox: `reconcile rebuild-state` (design 4)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network

from desired.addresses import Address
from desired.source import Fleet
from desired.spec import VMSpec
from handlers.marker import Marker, marker_tag, read_marker
from reconciler.allocation.addressing import Slot, lease_from
from reconciler.clock import Workers
from reconciler.neighbours import lost_in
from reconciler.site import Site
from state.machine import Machine
from state.memory import Binding, Lease, Phase
from state.observe import Reading
from state.observed import ClusterView
from state.store import Store, Taken

SET = "ipfilter-"
_NIC_SET = re.compile(r"ipfilter-net(\d+)")


@dataclass(frozen=True, slots=True)
class Found:
    """One VM that bears our marker, with what can be told of it; `problem` if it is not taken."""

    key: str
    cluster: str
    vmid: int
    binding: Binding | None = None
    leases: tuple[Lease, ...] = ()
    problem: str = ""


@dataclass(slots=True)
class Rebuilt:
    """What a rebuild found; `stores` are the ids in the markers."""

    found: list[Found] = field(default_factory=list)
    stores: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)


def find_marked(
    sites: Sequence[Site], fleet: Fleet, store: Store, at: datetime, workers: Workers
) -> Rebuilt:
    """Read every VM that bears the fleet's tag and that the store does not know; write nothing."""
    rebuilt = Rebuilt()
    for site in sites:
        site.learn()
        view = site.observer.view(at, site.firewall)
        if view.problem or site.problem:
            rebuilt.problems.append(view.problem or site.problem or "")
            continue
        tag = marker_tag(fleet.name)
        known = store.bindings.vmids(site.name)
        vmids = {row.vmid for row in view.vms.values() if tag in row.tags} - known
        reading = Reading(vmids, firewalls=vmids)
        machines = site.observer.machines(view, reading, workers, lambda: False)
        for vmid in sorted(vmids):
            rebuilt.found.extend(_read(site.name, vmid, view, machines, fleet, rebuilt))
    return rebuilt


def _read(
    cluster: str,
    vmid: int,
    view: ClusterView,
    machines: Mapping[int, Machine],
    fleet: Fleet,
    rebuilt: Rebuilt,
) -> Iterator[Found]:
    machine = machines.get(vmid, Machine())
    if machine.config is None:
        yield Found(f"vm {vmid}", cluster, vmid, problem=machine.problem or "could not be read")
        return
    marker = read_marker(machine.config.live.description)
    if marker is None or marker.fleet != fleet.name:
        return
    if marker.vmid != vmid:
        text = f"is a copy of vm {marker.vmid} that somebody made: foreign"
        yield Found(marker.key, cluster, vmid, problem=text)
        return
    rebuilt.stores.add(marker.store)
    spec = fleet.vms.get(marker.key)
    yield Found(
        marker.key,
        cluster,
        vmid,
        _binding(cluster, marker, spec, view, machine),
        tuple(_leases(cluster, marker.key, spec, fleet, machine)),
    )


def _binding(
    cluster: str, marker: Marker, spec: VMSpec | None, view: ClusterView, machine: Machine
) -> Binding:
    """A VM that runs, or has a password already, was ready: its password is not made anew."""
    assert machine.config is not None
    live, row = machine.config.live, view.vms[marker.vmid]
    done = row.status == "running" or live.text("cipassword") is not None
    return Binding(
        key=marker.key,
        cluster=cluster,
        vmid=marker.vmid,
        name=live.name or (spec.name if spec else marker.key),
        name_template=spec.name_template if spec else "",
        uuid=live.uuid,
        phase=Phase.READY if done else Phase.DEPLOY,
        node=row.node,
        created_at=view.at,
        ready_at=view.at if done else None,
    )


def _leases(
    cluster: str, key: str, spec: VMSpec | None, fleet: Fleet, machine: Machine
) -> Iterator[Lease]:
    """The addresses in cloud-init (the first of each nic) and in the nic's own address set."""
    assert machine.config is not None
    live = machine.config.live
    sets = machine.firewall.ipsets if machine.firewall else {}
    numbers = {int(found[1]) for found in map(_NIC_SET.fullmatch, sets) if found}
    for number in sorted({int(nic.removeprefix("net")) for nic in live.nics} | numbers):
        nic, config = f"net{number}", live.ipconfigs.get(number)
        primary = [text for text in (config and config.ip, config and config.ip6) if text]
        firsts = [address for text in primary if (address := _host(text.partition("/")[0]))]
        others = [address for text in sets.get(SET + nic, ()) if (address := _host(text))]
        counts: dict[str, int] = {}
        for address in dict.fromkeys([*firsts, *sorted(others, key=_by_address)]):
            pool = _pool(cluster, address, nic, spec, fleet)
            if pool is None:
                continue
            family = fleet.pools[pool].family
            ordinal = counts.get(family, 0)
            counts[family] = ordinal + 1
            slot = Slot(key, nic, family, ordinal)
            yield lease_from(pool, fleet.pools[pool], slot, str(address))


def _host(text: str) -> Address | None:
    """The one address that a text names; None for a network, an alias, `dhcp`."""
    try:
        network = ip_network(text)
    except ValueError:
        return None
    return network.network_address if network.num_addresses == 1 else None


def _by_address(address: Address) -> tuple[int, int]:
    return address.version, int(address)


def _pool(
    cluster: str, address: Address, nic: str, spec: VMSpec | None, fleet: Fleet
) -> str | None:
    """The pool that an address is from: the spec's for that nic when it fits, else any."""
    wanted = spec.nics.get(nic) if spec else None
    asked = [f.pool for f in (wanted and wanted.ipv4, wanted and wanted.ipv6) if f and f.pool]
    for name in [*asked, *sorted(fleet.pools)]:
        pool = fleet.pools.get(name)
        if pool and pool.cluster in (None, cluster) and address in pool.network:
            return name
    return None


def take_in(rebuilt: Rebuilt, store: Store, at: datetime) -> list[str]:
    """Bind what was found and lease its addresses; return what could not be taken, in words.

    An empty store takes over the markers' store id, so that the VMs are known as its own.
    """
    problems = list(rebuilt.problems)
    if not store.bindings.all() and len(rebuilt.stores) == 1:
        store.adopt(next(iter(rebuilt.stores)), at)
    for found in rebuilt.found:
        if found.binding is None:
            problems.append(f"{found.key} (vm {found.vmid}): {found.problem}")
            continue
        try:
            store.bindings.bind(found.binding, found.leases)
        except Taken as error:
            problems.append(f"{found.key} (vm {found.vmid}): {error}")
    for cluster in sorted({found.cluster for found in rebuilt.found}):
        store.settings.put(lost_in(cluster), "")  # The next look at it says what is still missing.
    others = rebuilt.stores - {store.id}
    if others:
        names = ", ".join(sorted(others))
        problems.append(f"markers of other stores ({names}): those VMs stay untouched")
    return problems
