"""How far the pools are used up, and what each address of theirs is at the moment."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from itertools import pairwise
from typing import Literal, NamedTuple

from desired.addresses import Address
from desired.catalog import Pool
from desired.source import Fleet
from desired.zones import rdns_hint
from state.store import Store

State = Literal["leased", "leaving", "resting", "reserved", "static", "excluded", "free", "outside"]
"""What an address is; `outside` is one that no pool leases out."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What is kept of one address: whose it is, or why it is nobody's.

    `nic` is `net0`; `until` is the end of its rest, None beside `resting` means by hand.
    """

    address: str
    state: State
    pool: str = ""
    key: str | None = None
    nic: str = ""
    until: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class PoolUse:
    """One pool counted through: addresses in all, those of each state, and its gaps.

    `gaps` are the runs of free addresses, `largest` the longest; `outside` are leases of the pool
    that an edit has left outside its range; `zone` is the reverse zone of its network (DNS-12).
    """

    name: str
    pool: Pool
    total: int
    leased: int
    resting: int
    reserved: int
    outside: int
    gaps: int
    largest: int
    zone: str

    @property
    def free(self) -> int:
        return self.total - self.leased - self.resting - self.reserved

    @property
    def share(self) -> float:
        """The part that cannot be leased now, from 0 to 1."""
        return 1 - self.free / self.total if self.total else 1.0


class _Runs(NamedTuple):
    total: int
    gaps: int
    largest: int


def holdings(fleet: Fleet, store: Store) -> dict[str, Holding]:
    """Return all that is kept of addresses, by address: a reservation, a rest, a lease."""
    found: dict[str, Holding] = {}
    for static, key, nic in _given_by_hand(fleet):
        found[static] = Holding(static, "static", "", key, nic)
    for text, one in store.reservations.all().items():
        found[text] = Holding(text, "reserved", "", one.key, why=one.why)
    for text, rest in store.quarantine.all().items():
        found[text] = Holding(text, "resting", rest.pool, rest.key, "", rest.until, rest.why)
    for leases in store.leases.all().values():
        for lease in leases:
            state: State = "leaving" if lease.leaves else "leased"
            found[lease.address] = Holding(lease.address, state, lease.pool, lease.key, lease.nic)
    return found


def holding(text: str, fleet: Fleet, store: Store) -> Holding:
    """Return what one address is, whatever it is. Raises ValueError for what is no address."""
    address = ip_address(text)
    plain = str(address)
    inside = pool_of(address, fleet)
    known = holdings(fleet, store).get(plain)
    if known is not None:
        return known
    if inside is None:
        return Holding(plain, "outside")
    return Holding(plain, "free" if fleet.pools[inside].leases(address) else "excluded", inside)


def pool_of(address: Address, fleet: Fleet) -> str | None:
    """Return the pool whose range an address is in, leased out by it or excluded."""
    for name, pool in fleet.pools.items():
        inside = address in pool.network and int(pool.first) <= int(address) <= int(pool.last)
        if inside and (not pool.only or address in pool.only):
            return name
    return None


def usage(fleet: Fleet, store: Store) -> list[PoolUse]:
    """Return how far each pool is used, in the order of their names."""
    held = holdings(fleet, store)
    return [_use(name, pool, held) for name, pool in sorted(fleet.pools.items())]


def held_in(name: str, pool: Pool, held: dict[str, Holding]) -> list[Holding]:
    """Return what is kept of a pool's addresses, and what it leased that lies outside now."""
    mine = [
        one
        for text, one in held.items()
        if pool.leases(ip_address(text)) or (one.pool == name and one.state != "resting")
    ]
    return sorted(mine, key=lambda one: (":" in one.address, int(ip_address(one.address))))


def _use(name: str, pool: Pool, held: dict[str, Holding]) -> PoolUse:
    mine = held_in(name, pool, held)
    inside = [one for one in mine if pool.leases(ip_address(one.address))]
    states = [one.state for one in inside]
    runs = _runs(pool, [int(ip_address(one.address)) for one in inside])
    return PoolUse(
        name=name,
        pool=pool,
        total=runs.total,
        leased=states.count("leased") + states.count("leaving"),
        resting=states.count("resting"),
        reserved=states.count("reserved") + states.count("static"),
        outside=len(mine) - len(inside),
        gaps=runs.gaps,
        largest=runs.largest,
        zone=rdns_hint(pool.network),
    )


def _runs(pool: Pool, used: Iterable[int]) -> _Runs:
    """Count what may be leased at all, and the runs of it that are free."""
    if pool.only:
        may = {int(one) for one in pool.only if pool.leases(one)}
        lengths, before = list[int](), -1
        for number in sorted(may - set(used)):
            if number == before + 1:
                lengths[-1] += 1
            else:
                lengths.append(1)
            before = number
        return _Runs(len(may), len(lengths), max(lengths, default=0))
    first, last = int(pool.first), int(pool.last)
    own = {int(one) for one in (*pool.exclude, pool.gateway, *pool.dns) if one}
    barred = {number for number in own if first <= number <= last}
    edges = [first - 1, *sorted(barred | set(used)), last + 1]
    lengths = [right - left - 1 for left, right in pairwise(edges)]
    gaps = [length for length in lengths if length]
    return _Runs(last - first + 1 - len(barred), len(gaps), max(gaps, default=0))


def _given_by_hand(fleet: Fleet) -> Iterator[tuple[str, str, str]]:
    for key, spec in fleet.vms.items():
        for slot, nic in spec.nics.items():
            for family in (nic.ipv4, nic.ipv6):
                if family is not None and family.static is not None:
                    yield str(family.static.ip), key, slot
