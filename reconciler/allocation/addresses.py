"""Which addresses are free: neither leased, resting, reserved nor seen in use (IP-11)."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from desired.addresses import Address
from desired.catalog import Pool
from reconciler.allocation.sightings import Use

Owners = Mapping[str, str | None]
"""Addresses, and the key that alone may have each; None = nobody."""


@dataclass(slots=True)
class Addresses:
    """The addresses in use in all pools, and how far each pool has been searched.

    One for all clusters of a run, which are looked at side by side. `reserved` are those that
    specs give by hand. `skipped` says which free addresses were passed over, for they are in use.
    """

    taken: set[str]
    reserved: frozenset[str] = frozenset()
    kept: Owners = field(default_factory=dict)
    resting: Owners = field(default_factory=dict)
    used: dict[str, tuple[Use, ...]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    learned: set[str] = field(default_factory=set)
    _next: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, cluster: str, uses: Mapping[str, tuple[Use, ...]]) -> None:
        """Know what is in use in a cluster, by address, whoever leased it or nobody."""
        with self._lock:
            self.learned.add(cluster)
            for address, found in uses.items():
                others = (one for one in self.used.get(address, ()) if one.cluster != cluster)
                self.used[address] = (*others, *found)

    def free(self, name: str, pool: Pool, key: str = "") -> Address | None:
        """Return a free address of the pool and mark it; None when it is dry (IP-11).

        One that is reserved for the key goes first, then what the key had and gave back, then the
        lowest.
        """
        with self._lock:
            found = self._own(pool, key) or self._lowest(name, pool, key)
            if found is not None:
                self.taken.add(str(found))
            return found

    def _own(self, pool: Pool, key: str) -> Address | None:
        for owners in (self.kept, self.resting) if key else ():
            for text in sorted(address for address, owner in owners.items() if owner == key):
                address = _read(pool, text)
                blocked = text in self.taken or self.kept.get(text, key) != key
                if address is not None and pool.leases(address) and not blocked:
                    return address
        return None

    def _lowest(self, name: str, pool: Pool, key: str) -> Address | None:
        banned = {str(one) for one in (*pool.exclude, pool.gateway, *pool.dns) if one}
        for address in _from(pool, self._next.get(name, 0)):
            self._next[name] = int(address) + 1
            text = str(address)
            owned = text in self.kept or text in self.resting or text in self.reserved
            if text in banned or text in self.taken or owned:
                continue
            if self._in_use(name, text, key):
                continue
            return address
        return None

    def _in_use(self, pool: str, address: str, key: str) -> bool:
        """Whether somebody else was seen with it; that is remembered, to be told."""
        others = [use for use in self.used.get(address, ()) if use.key is None or use.key != key]
        if others:
            self.skipped[address] = (
                f"{address} of pool {pool} is not leased: it is in use, {others[0]}; exclude it, "
                "or take it off that VM"
            )
        return bool(others)


def _from(pool: Pool, first: int) -> Iterator[Address]:
    """The pool's addresses from a number on, in order."""
    if pool.only:
        yield from sorted((one for one in pool.only if int(one) >= first), key=int)
        return
    make = type(pool.network.network_address)
    for number in range(max(first, int(pool.first)), int(pool.last) + 1):
        yield make(number)


def _read(pool: Pool, text: str) -> Address | None:
    """An address as one of the pool's family; None when it is of the other."""
    make = type(pool.network.network_address)
    try:
        return make(text)
    except ValueError:
        return None
