"""Addresses given to nics: one address, one nic (IP-11)."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import ip_address

from sqlalchemy import Connection, delete, insert, select, update

from state import tables
from state.database import Database, row_of
from state.memory import LEAVING, Lease
from state.quarantine import Rest, Resting, insert_resting, wake
from state.reservations import heed


class Leases:
    """Leases by address. UNIQUE: the address, and (key, nic, family, ordinal)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, lease: Lease) -> None:
        """Takes an address for a bound key.

        Taken when the address is leased, rests after another key had it, or is reserved; when the
        nic has one of that ordinal already; or when the key is not bound.
        """
        what = f"lease {lease.address} to {lease.key}/{lease.nic}"
        with self._database.writing(what) as link:
            insert_lease(link, lease)

    def taken(self) -> set[str]:
        """Every address leased, as `ipaddress` writes it."""
        with self._database.reading("read addresses") as link:
            return set(link.scalars(select(tables.leases.c.address)))

    def of(self, key: str) -> tuple[Lease, ...]:
        """One key's leases by nic, family, ordinal."""
        statement = select(tables.leases).where(tables.leases.c.key == key)
        with self._database.reading(f"read leases of {key}") as link:
            return grouped(Lease(*row) for row in link.execute(statement)).get(key, ())

    def all(self) -> dict[str, tuple[Lease, ...]]:
        """Every lease, by key; each key's by nic, family, ordinal."""
        with self._database.reading("read leases") as link:
            return grouped(Lease(*row) for row in link.execute(select(tables.leases)))

    def unavailable(self) -> set[str]:
        """Every address that is leased, rests, or is reserved."""
        found: set[str] = set()
        with self._database.reading("read addresses") as link:
            for table in (tables.leases, tables.quarantine, tables.reservations):
                found.update(link.scalars(select(table.c.address)))
        return found

    def exchange(self, old: Lease, new: Lease) -> Lease:
        """Gives a nic `new` in the place of `old`, and returns `old` as it is kept: leaving.

        The guest may still use `old`, so it stays leased until it is released. An address that is
        leaving this very nic may be the new one. Taken as for `take`.
        """
        what = f"lease {new.address} to {new.key}/{new.nic} for {old.address}"
        columns = tables.leases.c
        with self._database.writing(what) as link:
            mine = (columns.key == old.key, columns.nic == old.nic, columns.family == old.family)
            back = (*mine, columns.address == plain(new.address), columns.ordinal >= LEAVING)
            link.execute(delete(tables.leases).where(*back))
            held = set(link.scalars(select(columns.ordinal).where(*mine)))
            left = replace(old, ordinal=leaving(old.ordinal, held))
            where = (columns.key == old.key, columns.address == plain(old.address))
            link.execute(update(tables.leases).where(*where).values(ordinal=left.ordinal))
            insert_lease(link, new)
        return left

    def release(self, lease: Lease, rest: Rest | None = None) -> None:
        """Frees an address, if it is still this key's; only for a VM (or nic) that is gone.

        With a `rest` it is in quarantine from that same moment on.
        """
        with self._database.writing(f"release {lease.address}") as link:
            _release(link, lease, rest)

    def release_all(self, key: str, rest_of: Callable[[Lease], Rest | None]) -> tuple[Lease, ...]:
        """Frees all addresses of a key at once, each to rest as is said; returns them."""
        with self._database.writing(f"release the addresses of {key}") as link:
            return release_of(link, key, rest_of)


def release_of(
    link: Connection, key: str, rest_of: Callable[[Lease], Rest | None]
) -> tuple[Lease, ...]:
    """Frees all addresses of a key, in a transaction of the caller's; returns them."""
    own = select(tables.leases).where(tables.leases.c.key == key)
    leases = grouped(Lease(*row) for row in link.execute(own)).get(key, ())
    for lease in leases:
        _release(link, lease, rest_of(lease))
    return leases


def _release(link: Connection, lease: Lease, rest: Rest | None) -> None:
    columns = tables.leases.c
    address = plain(lease.address)
    mine = (columns.address == address, columns.key == lease.key)
    gone = link.execute(delete(tables.leases).where(*mine))
    if gone.rowcount and rest is not None:
        row = Resting(address, lease.pool, rest.at, rest.until, lease.key, rest.why)
        insert_resting(link, row)


def leaving(ordinal: int, held: Iterable[int]) -> int:
    """A free ordinal that says what an address was, and that its nic gave it up."""
    there, found = set(held), ordinal % LEAVING + LEAVING
    while found in there:
        found += LEAVING
    return found


def insert_lease(link: Connection, lease: Lease) -> None:
    """Takes an address in a transaction of the caller's."""
    lease = replace(lease, address=plain(lease.address))
    wake(link, lease.address, lease.key)
    heed(link, lease.address, lease.key)
    link.execute(insert(tables.leases), row_of(lease, tables.leases))


def grouped(leases: Iterable[Lease]) -> dict[str, tuple[Lease, ...]]:
    """Leases by key, each key's by nic, family, ordinal."""
    found: defaultdict[str, list[Lease]] = defaultdict(list)
    for lease in leases:
        found[lease.key].append(lease)
    return {
        key: tuple(sorted(own, key=lambda one: (one.nic, one.family, one.ordinal)))
        for key, own in sorted(found.items())
    }


def plain(address: str) -> str:
    """The one way to write an address, so that UNIQUE sees two spellings as one."""
    return str(ip_address(address))
