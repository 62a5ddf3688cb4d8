"""Giving a VM's record up: the store forgets it, Proxmox and the spec are not touched (TERM-13)."""

from datetime import datetime

from desired.source import Fleet
from reconciler.allocation.addressing import rest_of
from reconciler.effective import REMOVED
from reconciler.verbs.asking import Refused
from state.api import Api, ApiError
from state.api import Refused as Denied
from state.memory import Binding, Memory, Phase
from state.store import Store
from state.view import rows

CLOSED = (Phase.ERROR_TERMINATE, Phase.ABANDONED, Phase.REMOVED)
"""The phases of a VM whose record a person may give up."""


def may_forget(memory: Memory, *, wanted: bool) -> None:
    """Raises Refused of a VM that lives, but one that no spec wants any more."""
    binding = memory.binding
    if binding is None:
        if REMOVED not in memory.intents:
            raise Refused("there is no record of a machine to give up")
    elif wanted and binding.phase not in CLOSED:
        words = ", ".join(CLOSED)
        raise Refused(f"it is {binding.phase}: only a VM is forgotten that is {words}, or unwanted")


def is_there(api: Api, binding: Binding) -> bool | None:
    """Whether Proxmox still has a VM under its vmid; None when that cannot be known.

    `GET /cluster/resources`, and `nextid`, which also knows VMs that the token cannot see.
    """
    try:
        listed = rows(api.get("/cluster/resources", {"type": "vm"}))
        if any(row.get("vmid") == binding.vmid for row in listed):
            return True
        api.get("/cluster/nextid", {"vmid": binding.vmid})
    except Denied:
        return True
    except ApiError:
        return None
    return False


def forget(store: Store, fleet: Fleet, key: str, *, free: bool, at: datetime) -> tuple[str, ...]:
    """Drop the record; the addresses that are given back rest, as their pool says.

    With `free` they are given back: the machine is gone. Else a record with addresses stays.
    Raises StoreError of that. Returns the addresses.
    """
    memory = store.memories([key])[key]
    store.intents.drop(key, REMOVED)
    if memory.binding is None:
        return ()
    leases = memory.leases if free else ()
    if leases:
        why = "its VM was forgotten"
        store.leases.release_all(key, lambda lease: rest_of(lease, fleet, at, why))
    store.bindings.forget(key, at)
    return tuple(lease.address for lease in leases)
