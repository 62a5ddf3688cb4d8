"""Backups as the storages list them, and the mark in their notes by which ours are known."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from reconciler.pve.form import quote_segment
from state.api import Api, ApiError
from state.change import Call, Method
from state.memory import Binding
from state.observed import ClusterView, StorageRow
from state.view import Row, rows, text, whole

PBS = "pbs"
_MARK = re.compile(r"reconcile: backup store=(\S+) key=(\S+) uuid=(\S+) token=(\S+)")


@dataclass(frozen=True, slots=True)
class Mark:
    """What the notes of a backup of ours say: by which store, of which machine, by which token."""

    store: str
    key: str
    uuid: str
    token: str

    def __str__(self) -> str:
        key, token = quote(self.key, safe=""), quote(self.token, safe="")
        return f"reconcile: backup store={self.store} key={key} uuid={self.uuid} token={token}"


def read_mark(notes: str) -> Mark | None:
    """The mark in a backup's notes; None of one that others made."""
    found = _MARK.search(notes)
    if found is None:
        return None
    return Mark(found[1], unquote(found[2]), found[3], unquote(found[4]))


@dataclass(frozen=True, slots=True)
class Archive:
    """One backup: `size` in bytes; `verification` is a backup server's word, empty without one."""

    volume: str
    node: str
    storage: str
    vmid: int
    at: datetime
    size: int = 0
    notes: str = ""
    protected: bool = False
    on_server: bool = False
    verification: str = ""

    @property
    def mark(self) -> Mark | None:
        return read_mark(self.notes)

    def is_verified(self, by: str = "server") -> bool:
        """Whether it may stand for others (C-20): a backup server has verified it, unless the
        `task` is to do; elsewhere it is listed and holds something."""
        if self.size <= 0 or self.verification == "failed":
            return False
        return self.verification == "ok" or not self.on_server or by == "task"

    def is_of(self, binding: Binding, store: str) -> bool:
        """Whether we made it of this very machine: another's, or a former one's, is foreign."""
        mark = self.mark
        if mark is None or self.vmid != binding.vmid or mark.store != store:
            return False
        since = binding.created_at
        young = since is None or self.at.timestamp() >= int(since.timestamp())
        return young and binding.uuid is not None and mark.uuid.lower() == binding.uuid.lower()

    @property
    def path(self) -> str:
        place = f"/nodes/{self.node}/storage/{quote_segment(self.storage)}"
        return f"{place}/content/{quote_segment(self.volume)}"

    def removal(self, delay: int = 0) -> Call:
        """Remove it; with a `delay` (s) the call waits so long for the task's end."""
        return Call(Method.DELETE, self.path, {"delay": delay} if delay else {})


@dataclass(slots=True)
class Shelf:
    """The backups of some storages of a cluster, and why a storage could not be read, by name."""

    archives: tuple[Archive, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    _by_vmid: dict[int, list[Archive]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for one in self.archives:
            self._by_vmid.setdefault(one.vmid, []).append(one)

    def of(self, binding: Binding, store: str) -> list[Archive]:
        """Ours of one machine, the oldest first."""
        listed = self._by_vmid.get(binding.vmid, ())
        mine = (one for one in listed if one.is_of(binding, store))
        return sorted(mine, key=lambda one: (one.at, one.volume))

    def problem(self, storage: str) -> str:
        return next((why for name, why in self.problems if name == storage), "")


def read_shelf(api: Api, view: ClusterView, names: Collection[str] | None = None) -> Shelf:
    """Read each storage that takes backups, once where all nodes see the same (TASK-04).

    `names` says which storages; None is every one. `GET …/storage/S/content?content=backup`.
    """
    archives: list[Archive] = []
    problems: list[tuple[str, str]] = []
    for place in places(view):
        if names is not None and place.storage not in names:
            continue
        path = f"/nodes/{place.node}/storage/{quote_segment(place.storage)}/content"
        try:
            answer = rows(api.get(path, {"content": "backup"}))
        except ApiError as error:
            problems.append((place.storage, f"{place.storage} on {place.node}: {error.text}"))
            continue
        archives += [_archive(row, place) for row in answer]
    for name in sorted(set(names or ()) - {one.storage for one in places(view)}):
        problems.append((name, f"no node that is online has a storage {name} for backups"))
    return Shelf(tuple(archives), tuple(problems))


def places(view: ClusterView) -> Iterator[StorageRow]:
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


def _archive(row: Row, place: StorageRow) -> Archive:
    check = row.get("verification")
    return Archive(
        text(row, "volid") or "",
        place.node,
        place.storage,
        whole(row, "vmid"),
        datetime.fromtimestamp(whole(row, "ctime"), UTC),
        whole(row, "size"),
        text(row, "notes") or "",
        bool(whole(row, "protected")),
        place.kind == PBS or text(row, "format") == "pbs-vm",
        (text(check, "state") or "") if isinstance(check, dict) else "",
    )
