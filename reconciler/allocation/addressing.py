"""Leases: which addresses each nic of a VM has (DEP-11, IP-05, IP-07, IP-09, IP-10, IP-11)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import NamedTuple

from desired.addressing import sources
from desired.catalog import Pool
from desired.hardware import Family
from desired.source import Fleet
from desired.spec import VMSpec
from handlers.addresses import FAMILIES, FamilyName, family_of
from handlers.effects import running
from handlers.slots import in_order
from reconciler.allocation.addresses import Addresses
from reconciler.allocation.problem import problem
from state.change import Note
from state.leases import leaving
from state.memory import LEAVING, Lease
from state.observed import SeenVM
from state.quarantine import Rest
from state.store import Store, Taken

VACATE = "vacate/"
"""The intent to give an address back when the guest has booted without it: `vacate/ADDRESS`."""


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


def has_all(spec: VMSpec, held: tuple[Lease, ...], fleet: Fleet) -> bool:
    """Whether nothing is to be leased for a VM."""
    have = {(lease.nic, lease.family, lease.ordinal): lease for lease in held}
    return all(
        (lease := have.get((nic, family, ordinal)))
        and (
            lease.pool == pool
            or not moved(lease, _sources(spec, nic, family, pool, fleet), fleet.pools)
        )
        for nic, family, ordinal, pool in wanted_slots(spec)
    )


def leased_from(spec: VMSpec, fleet: Fleet) -> set[str]:
    """Return every pool that an address of the VM may come from."""
    slots = {(nic, family, pool) for nic, family, _, pool in wanted_slots(spec)}
    return {name for slot in slots for name in _sources(spec, *slot, fleet)}


def moved(lease: Lease, names: Sequence[str], pools: Mapping[str, Pool]) -> bool:
    """Whether a nic was given another pool than its address is from; `names` are now its own.

    An edit of the pools is none: an address stays whose own pool is gone, or renamed, and one that
    lies in the new pool's network (IP-05).
    """
    new = [pools[name] for name in names if name in pools]
    if lease.pool in names or lease.pool not in pools or not new:
        return False
    return not any(ip_address(lease.address) in pool.network for pool in new)


def _sources(spec: VMSpec, nic: str, family: str, pool: str, fleet: Fleet) -> list[str]:
    return sources(spec.cluster, spec.nics[nic], family, pool, fleet.pools)


def lease_addresses(
    spec: VMSpec,
    held: tuple[Lease, ...],
    fleet: Fleet,
    addresses: Addresses,
    store: Store | None,
    frozen: str | None = None,
) -> tuple[tuple[Lease, ...], list[Note]]:
    """Return the VM's wanted leases, taking the missing ones; a VM keeps what it has.

    A nic that was given another pool has an address of that one; what it had is among the leases
    until the guest has let go of it. Without a store it only previews; `frozen` says why nothing
    may be taken. A dry pool is a blocking note; what was taken before stays.
    """
    have = {(lease.nic, lease.family, lease.ordinal): lease for lease in held}
    leases: list[Lease] = []
    left = [lease for lease in held if lease.leaves]
    notes: list[Note] = []
    for nic, family, ordinal, pool_name in wanted_slots(spec):
        old = have.get((nic, family, ordinal))
        names = _sources(spec, nic, family, pool_name, fleet)
        stays = old is not None and (frozen or not moved(old, names, fleet.pools))
        if old is not None and stays:
            leases.append(old)
            continue
        if frozen:
            notes.append(problem(spec, f"{nic}.{family}", "StoreIncomplete", frozen))
            continue
        slot = Slot(spec.key, nic, family, ordinal)
        taker = _Taker(slot, {name: fleet.pools[name] for name in names}, addresses, store)
        lease = taker.exchange(old, left) if old else taker.take()
        if lease is None:
            notes.append(_dry_pool(spec, nic, pool_name, fleet.pools[pool_name]))
            lease = old
        if lease is not None:
            leases.append(lease)
    return (*leases, *left), notes


class _Taker(NamedTuple):
    """Takes an address of some pools, in turn, for one slot; without a store it only previews."""

    slot: Slot
    pools: Mapping[str, Pool]
    addresses: Addresses
    store: Store | None

    def _free(self) -> Lease | None:
        for name, pool in self.pools.items():
            address = self.addresses.free(name, pool, self.slot.key)
            if address is not None:
                return lease_from(name, pool, self.slot, str(address))
        return None

    def take(self) -> Lease | None:
        while (lease := self._free()) is not None:
            if self.store is None:
                return lease
            try:
                self.store.leases.take(lease)
            except Taken:
                if not self._is_gone(lease.address):
                    raise
                continue
            return lease
        return None

    def exchange(self, old: Lease, left: list[Lease]) -> Lease | None:
        """Take an address in the place of `old`, which joins those that are `left`."""
        for back in left:
            same = (back.nic, back.family, back.ordinal % LEAVING) == self.slot[1:]
            pool = self.pools.get(back.pool)
            if same and pool and pool.leases(ip_address(back.address)):
                left.remove(back)
                return self._exchanged(old, replace(back, ordinal=self.slot.ordinal), left)
        while (lease := self._free()) is not None:
            try:
                return self._exchanged(old, lease, left)
            except Taken:
                if not self._is_gone(lease.address):
                    raise
        return None

    def _exchanged(self, old: Lease, lease: Lease, left: list[Lease]) -> Lease:
        if self.store is not None:
            left.append(self.store.leases.exchange(old, lease))
        else:
            left.append(replace(old, ordinal=leaving(old.ordinal, (one.ordinal for one in left))))
        return lease

    def _is_gone(self, address: str) -> bool:
        """Whether another process was first, which makes known all that it took."""
        gone = self.store.leases.unavailable() if self.store else set()
        self.addresses.taken |= gone
        return address in gone


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
    if lease.ordinal % LEAVING or lease.nic not in there or not running(seen):
        return False
    boot = seen.boot_instant
    return since is None or boot is None or boot <= since


def still_used(leases: tuple[Lease, ...], seen: SeenVM) -> tuple[Lease, ...]:
    """Return the leases without those that are leaving and that the guest has let go of."""
    since = {kind: intent.at for kind, intent in seen.memory.intents.items()}
    return tuple(
        one
        for one in leases
        if not one.leaves or in_use(one, seen, since.get(VACATE + one.address))
    )


def rest_of(lease: Lease, fleet: Fleet, at: datetime, why: str) -> Rest | None:
    """How an address rests that is given back: as its pool says, else the fleet; None = not."""
    pool = fleet.pools.get(lease.pool)
    own = pool.quarantine if pool else None
    seconds = fleet.quarantine if own is None else own
    return Rest(at, at + timedelta(seconds=seconds), why) if seconds else None
