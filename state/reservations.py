"""Addresses that a person keeps back: for one VM, or from all."""

from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_address

from sqlalchemy import Connection, delete, select

from state import tables
from state.database import Database, Taken, row_of, upsert


@dataclass(frozen=True, slots=True)
class Reservation:
    """An address that only `key` may lease (None: nobody); `by` whom it was kept back."""

    address: str
    key: str | None
    why: str
    by: str
    at: datetime


class Reservations:
    """Reserved addresses; a reservation outlives the leases of its key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, Reservation]:
        """Every reservation by its address, as `ipaddress` writes it."""
        statement = select(tables.reservations).order_by(tables.reservations.c.address)
        with self._database.reading("read reservations") as link:
            return {row.address: Reservation(*row) for row in link.execute(statement)}

    def put(self, reservation: Reservation) -> None:
        """Reserves an address; Taken when another key has it."""
        reservation = replace(reservation, address=str(ip_address(reservation.address)))
        with self._database.writing(f"reserve {reservation.address}") as link:
            leases = tables.leases.c
            holder = select(leases.key).where(leases.address == reservation.address)
            key = link.execute(holder).scalar()
            if key is not None and key != reservation.key:
                raise Taken(f"{reservation.address} is leased to {key}")
            upsert(link, tables.reservations, [row_of(reservation, tables.reservations)])

    def drop(self, address: str) -> bool:
        """Ends a reservation; False when there was none."""
        plain = str(ip_address(address))
        with self._database.writing(f"end the reservation of {plain}") as link:
            mine = tables.reservations.c.address == plain
            return link.execute(delete(tables.reservations).where(mine)).rowcount > 0


def heed(link: Connection, address: str, key: str) -> None:
    """Taken when an address is kept back from a key; in a transaction of the caller's."""
    mine = tables.reservations.c.address == address
    row = link.execute(select(tables.reservations).where(mine)).first()
    if row is not None and row.key != key:
        raise Taken(f"{address} is reserved{f' for {row.key}' if row.key else ''}: {row.why}")
