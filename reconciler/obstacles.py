"""What only the cluster can tell of a VM that is to end: rights that lack, clones that hang on it.

Asked before anything is done, of VMs whose end has not begun (C-19). What cannot be asked forbids
nothing: the DELETE tells it then.
"""

from collections.abc import Iterator

from desired.spec import VMSpec
from handlers.effects import running, wanted
from handlers.handler import vmid_of
from handlers.holder import retained
from handlers.terminate import BLOCKED, VM, Terminate
from reconciler.behaviour import is_skipped
from reconciler.remains import Lifetime, backups_of
from reconciler.show.text import count_of
from state.api import Api, ApiError, Json
from state.change import Note
from state.memory import Phase
from state.observed import SeenVM
from state.view import rows, text

ALSO = "also"
"""The field of the note that tells what else goes with the VM."""


def obstacles(api: Api, spec: VMSpec, seen: SeenVM) -> Iterator[Note]:
    """Say what forbids an end that has not begun; reads once or twice."""
    binding = seen.memory.binding
    begun = binding is not None and (binding.phase is Phase.TERMINATE or is_skipped(binding.phase))
    if binding is None or begun or seen.config is None:
        return
    granted = _rights(api, seen)
    lacking = [right for right in _needed(spec, seen) if granted and right not in granted]
    if lacking:
        path = f"/vms/{binding.vmid}"
        yield _forbids(seen, f"the token lacks {', '.join(lacking)} on {path}: grant it")
    if wanted(seen).template and (clones := _linked(api, seen)):
        listed = ", ".join(str(vmid) for vmid in clones)
        yield _forbids(seen, f"it is a template, and linked clones hang on it: {listed}")


def belongings(api: Api, spec: VMSpec, seen: SeenVM) -> Iterator[Note]:
    """Say what goes with the VM beside its volumes: saved memory, and backups by policy."""
    binding = seen.memory.binding
    if binding is None or seen.config is None:
        return
    also = [f"saved memory of snapshot {name}" for name in _memories(api, seen)]
    if spec.terminate and spec.terminate.kept_for is not None:
        left = backups_of(api, seen.cluster, Lifetime(binding.vmid, binding.created_at))
        later = (
            f" (after {spec.terminate.kept_for / 86_400:g} d)" if spec.terminate.kept_for else ""
        )
        also += [count_of(len(left.backups), "backup") + later] if left.backups else []
    if also:
        yield Note(seen.key, Terminate.name, ALSO, ", ".join(also))


def _needed(spec: VMSpec, seen: SeenVM) -> Iterator[str]:
    yield "VM.Allocate"
    if running(seen):
        yield "VM.PowerMgmt"
    if retained(spec, seen):
        yield "VM.Config.Disk"
    if spec.terminate and spec.terminate.backup:
        yield "VM.Backup"


def _rights(api: Api, seen: SeenVM) -> set[str]:
    """`GET /access/permissions?path=`: what the token may do with the VM; empty: not known."""
    path = f"/vms/{vmid_of(seen)}"
    try:
        answer = api.get("/access/permissions", {"path": path})
    except ApiError:
        return set()
    granted: Json = answer.get(path) if isinstance(answer, dict) else None
    return (
        {name for name, is_so in granted.items() if is_so} if isinstance(granted, dict) else set()
    )


def _linked(api: Api, seen: SeenVM) -> list[int]:
    """The VMs whose disks rest on this one's: `GET …/content` names each volume's parent."""
    own = {drive.volume for drive in wanted(seen).disks.values()}
    names = {volume.partition(":")[2].rpartition("/")[2] for volume in own}
    found = set()
    for storage in {drive.storage for drive in wanted(seen).disks.values() if drive.storage}:
        try:
            answer = api.get(f"/nodes/{seen.node}/storage/{storage}/content", {"content": "images"})
        except ApiError:
            continue
        for row in rows(answer):
            parent = (text(row, "parent") or "").partition("@")[0].rpartition("/")[2]
            if parent in names:
                found.add(int(text(row, "vmid") or 0))
    return sorted(found - {vmid_of(seen), 0})


def _memories(api: Api, seen: SeenVM) -> list[str]:
    """The snapshots with the guest's memory, each a volume of its own."""
    if not wanted(seen).text("parent"):
        return []
    try:
        answer = api.get(f"/nodes/{seen.node}/qemu/{vmid_of(seen)}/snapshot")
    except ApiError:
        return []
    return [text(row, "name") or "" for row in rows(answer) if row.get("vmstate")]


def _forbids(seen: SeenVM, reason: str) -> Note:
    return Note(seen.key, Terminate.name, VM, reason, BLOCKED, blocking=True)
