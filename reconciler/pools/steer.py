"""A person's hand on single addresses: keep one back, let one rest, give one free again."""

from datetime import datetime, timedelta
from ipaddress import ip_address

from desired.source import Fleet
from reconciler.pools.usage import holding, pool_of
from state.memory import Phase
from state.quarantine import Resting
from state.reservations import Reservation
from state.store import Store, Taken

GONE = (Phase.REMOVED, Phase.ABANDONED)
"""Phases of VMs that use no address any more."""


class AddressError(Exception):
    """An address that cannot be steered so; the text says why and what to do."""


def reserve(
    text: str, key: str | None, why: str, by: str, at: datetime, fleet: Fleet, store: Store
) -> str:
    """Keep an address back for one key, or from all; return what was done. Raises AddressError."""
    address = _pooled(text, fleet)
    try:
        store.reservations.put(Reservation(address, key, why, by, at))
    except Taken as error:
        raise AddressError(f"{error}; give that VM another address first") from error
    return f"{address} is reserved{f' for {key}' if key else ''}"


def quarantine(
    text: str, lasts: timedelta | None, why: str, at: datetime, fleet: Fleet, store: Store
) -> datetime | None:
    """Let an address rest, until a person lifts it where no length is given; return its end.

    Raises AddressError.
    """
    address = _pooled(text, fleet)
    pool = pool_of(ip_address(address), fleet) or ""
    until = at + lasts if lasts is not None else None
    known = store.quarantine.all().get(address)
    try:
        store.quarantine.put(Resting(address, pool, at, until, known.key if known else None, why))
    except Taken as error:
        raise AddressError(f"{error}; it rests when that VM gives it back") from error
    return until


def release(text: str, fleet: Fleet, store: Store) -> str:
    """Give an address free again, reserved or resting or of a VM that is gone; return what it was.

    Raises AddressError while a VM has it.
    """
    address = _address(text)
    lifted = store.quarantine.lift(address)
    if store.reservations.drop(address) or lifted:
        return "rested" if lifted else "was reserved"
    known = holding(address, fleet, store)
    if known.state not in ("leased", "leaving"):
        raise AddressError(f"{address} is {known.state}: there is nothing to release")
    assert known.key is not None
    binding = store.bindings.of(known.key)
    if binding is None or binding.phase not in GONE:
        raise AddressError(
            f"{address} is leased to {known.key}/{known.nic}; it is given back when its spec asks "
            "for it no more and the guest has let go of it, or when the VM is gone"
        )
    for lease in store.leases.of(known.key):
        if lease.address == address:
            store.leases.release(lease)
    return f"was still leased to {known.key}, which is {binding.phase}"


def _pooled(text: str, fleet: Fleet) -> str:
    address = _address(text)
    if pool_of(ip_address(address), fleet) is None:
        raise AddressError(f"no pool leases {address} out: nothing need be done (ip list)")
    return address


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise AddressError(f"expected an address such as 203.0.113.7, seen {text}") from None
