"""What a VM leaves behind that a destroy does not take along: its backups, on every storage."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from reconciler.backups.archive import places
from state.api import Api, ApiError
from state.change import Call, Method
from state.observed import ClusterView
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


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a vmid was one machine's: backups of another time are another machine's."""

    vmid: int
    since: datetime | None
    until: datetime | None = None

    def holds(self, ctime: int) -> bool:
        """Whether a backup made then (seconds since 1970) is this machine's."""
        if self.since is None or ctime < int(self.since.timestamp()):
            return False
        return self.until is None or ctime <= self.until.timestamp()


def backups_of(api: Api, view: ClusterView, life: Lifetime) -> Left:
    """Return the backups of this machine on all storages (TERM-04).

    A vmid is used again: what was made before our machine was is another one's, and stays.
    """
    found: list[Backup] = []
    problems = []
    if life.since is None:
        return Left(problems=("when it was made is not known: no backup is surely its own",))
    for place in places(view):
        path = f"/nodes/{place.node}/storage/{place.storage}/content"
        try:
            answer = api.get(path, {"content": "backup", "vmid": life.vmid})
        except ApiError as error:
            problems.append(f"{place.storage} on {place.node}: {error.text}")
            continue
        for row in rows(answer):
            if whole(row, "vmid") == life.vmid and life.holds(whole(row, "ctime")):
                volume = text(row, "volid") or ""
                sizes = whole(row, "size"), bool(whole(row, "protected"))
                found.append(Backup(volume, place.node, place.storage, *sizes))
    return Left(tuple(found), tuple(problems))


def remove(api: Api, backup: Backup) -> None:
    """Ask for the end of one backup; its task is not waited for. Raises ApiError."""
    path = f"/nodes/{backup.node}/storage/{backup.storage}/content/{quote(backup.volume, safe='')}"
    api.send(Call(Method.DELETE, path), heavy=True)
