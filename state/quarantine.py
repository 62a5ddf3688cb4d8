"""Addresses that rest: given back, and not leased to anybody else for a while."""

from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address

from sqlalchemy import Connection, delete, select

from state import tables
from state.database import Database, Taken, row_of, upsert


@dataclass(frozen=True, slots=True)
class Rest:
    """How an address is to rest once it is given back: from when, until when, and why.

    Without an `until` it rests until a person lifts it.
    """

    at: datetime
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Resting:
    """An address that rests; `key` had it last, and may have it back."""

    address: str
    pool: str
    released_at: datetime
    until: datetime | None
    key: str | None
    why: str


class Quarantine:
    """Resting addresses. While one stands here nobody but the key that had it may lease it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Resting]:
        """Every resting address, as `ipaddress` writes it; also those whose time has come."""
        statement = select(tables.quarantine).order_by(tables.quarantine.c.address)
        with self._database.reading("read the quarantine") as link:
            return {row.address: Resting(*row) for row in link.execute(statement)}

    def put(self, resting: Resting) -> None:
        """Lets an address rest from now on; Taken when it is leased."""
        resting = replace(resting, address=str(ip_address(resting.address)))
        with self._database.writing(f"quarantine {resting.address}") as link:
            leases = tables.leases.c
            holder = select(leases.key).where(leases.address == resting.address)
            key = link.execute(holder).scalar()
            if key is not None:
                raise Taken(f"{resting.address} is leased to {key}")
            insert_resting(link, resting)

    def lift(self, address: str) -> bool:
        """Ends an address's rest; False when it did not rest."""
        columns = tables.quarantine.c
        plain = str(ip_address(address))
        with self._database.writing(f"lift the quarantine of {plain}") as link:
            gone = link.execute(delete(tables.quarantine).where(columns.address == plain))
            return gone.rowcount > 0

    def expire(self, at: datetime) -> None:
        """Ends the rest of all whose time has come."""
        columns = tables.quarantine.c
        due = columns.until <= at
        with self._database.reading("read the quarantine") as link:
            if link.execute(select(columns.address).where(due).limit(1)).first() is None:
                return
        with self._database.writing("end quarantines") as link:
            link.execute(delete(tables.quarantine).where(due))


def insert_resting(link: Connection, resting: Resting) -> None:
    """Lets an address rest, in a transaction of the caller's."""
    upsert(link, tables.quarantine, [row_of(resting, tables.quarantine)])


def wake(link: Connection, address: str, key: str) -> None:
    """Ends an address's rest for the key that had it; Taken when somebody else had."""
    columns = tables.quarantine.c
    row = link.execute(select(tables.quarantine).where(columns.address == address)).first()
    if row is None:
        return
    if row.key != key:
        raise Taken(f"{address} rests: {row.why}")
    link.execute(delete(tables.quarantine).where(columns.address == address))
