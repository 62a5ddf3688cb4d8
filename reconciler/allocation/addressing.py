"""Leases: which addresses each nic of a VM has (DEP-11, IP-05, IP-07, IP-09, IP-10, IP-11)."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from desired.catalog import Pool
from desired.hardware import Family
from desired.source import Fleet
from desired.spec import VMSpec
from handlers.addresses import FAMILIES, FamilyName, family_of
from handlers.effects import running
from handlers.slots import in_order
from reconciler.allocation.ledger import Addresses
from reconciler.allocation.problem import problem
from state.change import Note
from state.memory import Lease
from state.observed import SeenVM
from state.store import Store, Taken


class Slot(NamedTuple):
    """The place of one address: a VM's key, its nic, the family, and the how-manieth it is."""

    key: str
    nic: str
    family: FamilyName
    ordinal: int


def lease_from(name: str, pool: Pool, slot: Slot, address: str) -> Lease:
    """Return the lease of an address of a pool, with what the pool says beside it (IP-07)."""
    return Lease(
        *slot,
        address=address,
        prefix=pool.network.prefixlen,
        pool=name,
        gateway=str(pool.gateway) if pool.gateway else None,
        dns=tuple(str(server) for server in pool.dns),
    )


def pooled(spec: VMSpec) -> Iterator[tuple[str, FamilyName, Family]]:
    """Yield (nic, family, its addressing) of everything that takes addresses from a pool."""
    for nic in in_order(spec.nics):
        for family in FAMILIES:
            wanted = family_of(spec.nics[nic], family)
            if wanted is not None and wanted.mode == "pool" and wanted.pool is not None:
                yield nic, family, wanted


def wanted_slots(spec: VMSpec) -> list[tuple[str, FamilyName, int, str]]:
    """Return (nic, family, ordinal, pool) of every address that the VM should have."""
    return [
        (nic, family, ordinal, wanted.pool or "")
        for nic, family, wanted in pooled(spec)
        for ordinal in range(wanted.count)
    ]


def lease_addresses(
    spec: VMSpec,
    held: tuple[Lease, ...],
    fleet: Fleet,
    addresses: Addresses,
    store: Store | None,
    frozen: str | None = None,
) -> tuple[tuple[Lease, ...], list[Note]]:
    """Return the VM's wanted leases, taking the missing ones; a VM keeps what it has.

    Without a store it only previews; `frozen` says why nothing may be taken. A dry pool is a
    blocking note; what was taken before stays.
    """
    have = {(lease.nic, lease.family, lease.ordinal): lease for lease in held}
    leases: list[Lease] = []
    notes: list[Note] = []
    for nic, family, ordinal, pool_name in wanted_slots(spec):
        lease = have.get((nic, family, ordinal))
        if lease is None and frozen:
            notes.append(problem(spec, f"{nic}.{family}", "StoreIncomplete", frozen))
            continue
        if lease is None:
            pool = fleet.pools[pool_name]
            free = Slot(spec.key, nic, family, ordinal)
            lease = _take(free, pool_name, pool, addresses, store)
        if lease is not None:
            leases.append(lease)
        else:
            notes.append(_dry_pool(spec, nic, pool_name, fleet.pools[pool_name]))
    return tuple(leases), notes


def _take(
    slot: Slot, name: str, pool: Pool, addresses: Addresses, store: Store | None
) -> Lease | None:
    while (address := addresses.free(name, pool)) is not None:
        lease = lease_from(name, pool, slot, str(address))
        if store is None:
            return lease
        try:
            store.leases.take(lease)
        except Taken:
            if lease.address not in store.leases.taken():
                raise
            continue
        return lease
    return None


def _dry_pool(spec: VMSpec, nic: str, name: str, pool: Pool) -> Note:
    reason = f"pool {name} ({pool.first} to {pool.last}) has no free address: widen it, or lower "
    reason += "a count"
    return problem(spec, f"{nic}.{pool.family}", "PoolExhausted", reason)


def surplus(spec: VMSpec, held: tuple[Lease, ...], there: Collection[str]) -> tuple[Lease, ...]:
    """Return leases that the spec no longer asks for: the highest ordinals first (C26).

    `there` are the nics that the VM has. One whose family is unmentioned is not ours: it keeps its
    address in the guest, so the address stays taken as long as the nic is there.
    """
    wanted = {(nic, family, ordinal) for nic, family, ordinal, _ in wanted_slots(spec)}
    over = [
        lease
        for lease in held
        if (lease.nic, lease.family, lease.ordinal) not in wanted
        and (lease.nic not in there or getattr(spec.nics.get(lease.nic), lease.family, None))
    ]
    return tuple(sorted(over, key=lambda lease: (lease.nic, lease.family, -lease.ordinal)))


def in_use(lease: Lease, seen: SeenVM, since: datetime | None) -> bool:
    """Whether the guest may still use an address that its spec gave up (`since`; None: just now).

    A guest reads the first address of a nic when it boots, so it has it until it boots again.
    """
    there = seen.config.live.nics if seen.config else ()
    if lease.ordinal or lease.nic not in there or not running(seen):
        return False
    boot = seen.boot_instant
    return since is None or boot is None or boot <= since
