"""What a VM leaves behind that a destroy does not take along: its backups, on every storage."""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

from state.api import Api, ApiError
from state.change import Call, Method
from state.memory import Binding
from state.observed import ClusterView, StorageRow
from state.view import rows, text, whole


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup of a VM as a storage lists it; `size` in bytes."""

    volume: str
    node: str
    storage: str
    size: int = 0
    protected: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """The backups of a VM, and what could not be asked for them."""

    backups: tuple[Backup, ...] = ()
    problems: tuple[str, ...] = ()


def backups_of(api: Api, view: ClusterView, binding: Binding) -> Left:
    """Return the backups of this machine on all storages (TERM-04).

    A vmid is used again: what was made before our machine was is another one's, and stays.
    """
    found: list[Backup] = []
    problems = []
    if binding.created_at is None:
        return Left(problems=("when it was made is not known: no backup is surely its own",))
    for place in _places(view):
        path = f"/nodes/{place.node}/storage/{place.storage}/content"
        try:
            answer = api.get(path, {"content": "backup", "vmid": binding.vmid})
        except ApiError as error:
            problems.append(f"{place.storage} on {place.node}: {error.text}")
            continue
        for row in rows(answer):
            mine = whole(row, "vmid") == binding.vmid
            if mine and whole(row, "ctime") >= int(binding.created_at.timestamp()):
                volume = text(row, "volid") or ""
                sizes = whole(row, "size"), bool(whole(row, "protected"))
                found.append(Backup(volume, place.node, place.storage, *sizes))
    return Left(tuple(found), tuple(problems))


def remove(api: Api, backup: Backup) -> None:
    """Ask for the end of one backup; its task is not waited for. Raises ApiError."""
    path = f"/nodes/{backup.node}/storage/{backup.storage}/content/{quote(backup.volume, safe='')}"
    api.send(Call(Method.DELETE, path), heavy=True)


def _places(view: ClusterView) -> Iterator[StorageRow]:
    """Each storage that holds backups, once where all nodes see the same."""
    seen: set[str] = set()
    for one in sorted(view.storages, key=lambda one: (one.storage, one.node)):
        node = view.nodes.get(one.node)
        if "backup" not in one.content or node is None or not node.online:
            continue
        if one.shared and one.storage in seen:
            continue
        seen.add(one.storage)
        yield one
