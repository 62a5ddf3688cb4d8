"""What was last read of each VM, and the mark that says not to believe it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, select, update

from state import tables
from state.database import Database, upsert

MOST_NAMED = 1000
"""Values in one list of a statement: databases take so many and no more."""

DirtyReason = Literal["", "write", "maybe-running", "hint"]


@dataclass(frozen=True, slots=True)
class CachedVM:
    """One VM's config (the answer of `GET .../pending`, as text) and firewall, as last read.

    `read_at` is when the reading of the config began. `hints` is the reader's own: what the row
    in `/cluster/resources` was. A VM marked before it was ever read has no `pending_json`.
    `settled` is what a quiet look at this config and firewall went by; empty once they are read
    anew or marked.
    """

    vmid: int
    pending_json: str
    firewall_json: str | None = None
    digest: str = ""
    hints: str = ""
    read_at: datetime | None = None
    firewall_read_at: datetime | None = None
    dirty: bool = False
    dirty_reason: DirtyReason = ""
    dirty_since: datetime | None = None
    settled: str = ""


class Cache:
    """Cached VMs by (cluster, vmid)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, cluster: str) -> dict[int, CachedVM]:
        with self._database.reading(f"read the cache of {cluster}") as link:
            return _cached(link, cluster)

    def put(self, cluster: str, vm: CachedVM, *, begun_at: datetime) -> bool:
        """Keeps what a read begun at `begun_at` saw; tells whether it is clean now.

        The mark's fields in `vm` are not looked at; a config whose own `read_at` is older than
        `begun_at` (only the firewall was read again) counts as read then. A mark goes by a read
        that began after it; one left by a lost answer (`maybe-running`) only by a second such
        read of the same digest (mark it again when a task or a lock is seen in between, and the
        count starts afresh).
        """
        return vm.vmid in self.put_many(cluster, [vm], begun_at=begun_at)

    def put_many(self, cluster: str, vms: Sequence[CachedVM], *, begun_at: datetime) -> set[int]:
        """Keeps several in one transaction (`begun_at`: the earliest); the vmids now clean."""
        with self._database.writing(f"keep what was read of {cluster}") as link:
            if len(vms) == 1:
                before = _cached(link, cluster, vms[0].vmid)
            else:
                before = _cached(link, cluster)
            after = [_settled(before.get(vm.vmid), vm, begun_at) for vm in vms]
            upsert(link, tables.cache, [{**_row(vm), "cluster": cluster} for vm in after])
        return {vm.vmid for vm in after if not vm.dirty}

    def mark_dirty(
        self,
        cluster: str,
        vmid: int,
        at: datetime,
        reason: DirtyReason = "write",
        *,
        firewall: bool = False,
    ) -> None:
        """Marks a VM; committed before anything is written to it. The latest mark counts.

        A mark of a lost answer stays one, whatever comes after it. With `firewall` what is known
        of the firewall goes too, so that it is read again as well.
        """
        with self._database.writing(f"mark {cluster}/{vmid} dirty") as link:
            old = _cached(link, cluster, vmid).get(vmid, CachedVM(vmid, ""))
            if old.dirty_reason == "maybe-running":
                reason = old.dirty_reason
            kept = None if firewall else old.firewall_json
            marked = replace(old, dirty=True, dirty_reason=reason, dirty_since=at)
            marked = replace(marked, firewall_json=kept, settled="")
            upsert(link, tables.cache, [{**_row(marked), "cluster": cluster}])

    def settle(self, cluster: str, signatures: Mapping[int, str]) -> None:
        """Notes what quiet looks went by, of those VMs that are not marked."""
        if not signatures:
            return
        columns = tables.cache.c
        mine = (columns.cluster == cluster, columns.vmid == bindparam("of"), ~columns.dirty)
        statement = update(tables.cache).where(*mine).values(settled=bindparam("signature"))
        rows = [{"of": vmid, "signature": text} for vmid, text in sorted(signatures.items())]
        with self._database.writing(f"settle VMs of {cluster}") as link:
            link.execute(statement, rows)

    def suspect(self, cluster: str, vmids: Collection[int], at: datetime) -> None:
        """Marks those of the VMs that are cached and clean: something hints that they moved."""
        if not vmids:
            return
        columns = tables.cache.c
        every = sorted(vmids)
        marks = {"dirty": True, "dirty_reason": "hint", "dirty_since": at, "settled": ""}
        with self._database.writing(f"suspect VMs of {cluster}") as link:
            for first in range(0, len(every), MOST_NAMED):
                named = every[first : first + MOST_NAMED]
                mine = (columns.cluster == cluster, columns.vmid.in_(named), ~columns.dirty)
                link.execute(update(tables.cache).where(*mine).values(marks))

    def inherit(self, at: datetime) -> None:
        """A new process cannot know whether an older one heard the answers to its writes."""
        columns = tables.cache.c
        with self._database.writing("inherit marks") as link:
            link.execute(
                update(tables.cache)
                .where(columns.dirty_reason == "write")
                .values(dirty_reason="maybe-running", dirty_since=at)
            )

    def drop(self, cluster: str, vmid: int) -> None:
        columns = tables.cache.c
        with self._database.writing(f"drop {cluster}/{vmid} from the cache") as link:
            link.execute(
                delete(tables.cache).where(columns.cluster == cluster, columns.vmid == vmid)
            )


def _cached(link: Connection, cluster: str, vmid: int | None = None) -> dict[int, CachedVM]:
    columns = tables.cache.c
    statement = select(*list(columns)[1:]).where(columns.cluster == cluster)
    statement = statement.order_by(columns.vmid)
    if vmid is not None:
        statement = statement.where(columns.vmid == vmid)
    return {row.vmid: CachedVM(*row) for row in link.execute(statement)}


def _row(vm: CachedVM) -> dict[str, object]:
    return {name: getattr(vm, name) for name in CachedVM.__slots__}


def _settled(before: CachedVM | None, read: CachedVM, begun_at: datetime) -> CachedVM:
    """What was read, bearing the mark that is still due; no look has settled it yet."""
    read = replace(read, settled="")
    began = min(begun_at, read.read_at or begun_at)
    since = before.dirty_since if before else None
    if before is None or since is None:
        return replace(read, read_at=began, dirty=False, dirty_reason="", dirty_since=None)
    believed = began > since
    if before.dirty_reason == "maybe-running":
        second = before.read_at is not None and before.read_at > since
        believed = believed and second and before.digest == read.digest
    return replace(
        read,
        read_at=began,
        dirty=not believed,
        dirty_reason="" if believed else before.dirty_reason,
        dirty_since=None if believed else since,
    )
