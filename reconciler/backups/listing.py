"""The backups of a fleet's VMs as a person is shown them, and what they may do with one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from reconciler.allocation.allocate import Vmids
from reconciler.backups.archive import Archive, Shelf, read_shelf
from state.api import Api, Refused
from state.change import Call, Method
from state.memory import Binding
from state.observed import ClusterView


@dataclass(frozen=True, slots=True)
class Listed:
    """One backup: `key` is the VM that has its vmid now, empty where none of the fleet has it.

    It is `ours` when we made it of that very machine.
    """

    cluster: str
    archive: Archive
    key: str = ""
    ours: bool = False
    verified: bool = False


def on_cluster(
    api: Api,
    view: ClusterView,
    bindings: Mapping[str, Binding],
    store: str,
    by: Callable[[str], str],
) -> tuple[list[Listed], list[str]]:
    """Every backup on a cluster's storages, the newest first, and what could not be read.

    `by` says by VM what verifies its backups.
    """
    shelf: Shelf = read_shelf(api, view)
    bound = {one.vmid: one for one in bindings.values() if one.cluster == view.name}
    found = []
    for one in shelf.archives:
        binding = bound.get(one.vmid)
        key = binding.key if binding else ""
        ours = binding is not None and one.is_of(binding, store)
        found.append(Listed(view.name, one, key, ours, one.is_verified(by(key))))
    found.sort(key=lambda one: (-one.archive.at.timestamp(), one.archive.volume))
    return found, [why for _, why in shelf.problems]


def named(found: Iterable[Listed], volume: str) -> list[Listed]:
    """Those of a volume id; the same one may be on several nodes, or in several clusters."""
    return [one for one in found if one.archive.volume == volume]


def protection(archive: Archive, on: bool) -> Call:
    """`PUT …/content/VOLID`: a protected backup is removed by nobody."""
    return Call(Method.PUT, archive.path, {"protected": on})


ASIDE = 100_000
"""So far above the fleet's vmids are those of drills, which no VM is to be given meanwhile."""


def free_vmid(api: Api, view: ClusterView, bound: Iterable[int], first: int) -> int:
    """A vmid that neither Proxmox nor the store uses. Raises ApiError."""

    def is_free(vmid: int) -> bool:
        try:
            api.get("/cluster/nextid", {"vmid": vmid})
        except Refused:
            return False
        return True

    return Vmids({*bound, *view.vms.keys()}, first + ASIDE, is_free).take()


def where_restored(view: ClusterView, archive: Archive) -> str:
    """The node of the VM that the backup is of, if it sees the backup; else one that does."""
    row = view.vms.get(archive.vmid)
    sees = {one.node for one in view.storages if one.storage == archive.storage and one.shared}
    return row.node if row is not None and row.node in sees else archive.node
