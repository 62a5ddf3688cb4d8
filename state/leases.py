"""Addresses given to nics: one address, one nic (IP-11)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import ip_address

from sqlalchemy import Connection, delete, insert, select

from state import tables
from state.database import Database, row_of
from state.memory import Lease


class Leases:
    """Leases by address. UNIQUE: the address, and (key, nic, family, ordinal)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, lease: Lease) -> None:
        """Takes an address for a bound key.

        Taken when the address is leased, when the nic has one of that ordinal already, or when
        the key is not bound.
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

    def release(self, lease: Lease) -> None:
        """Frees an address, if it is still this key's; only for a VM (or nic) that is gone."""
        columns = tables.leases.c
        with self._database.writing(f"release {lease.address}") as link:
            link.execute(
                delete(tables.leases).where(
                    columns.address == plain(lease.address), columns.key == lease.key
                )
            )


def insert_lease(link: Connection, lease: Lease) -> None:
    """Takes an address in a transaction of the caller's."""
    lease = replace(lease, address=plain(lease.address))
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
