"""Observe one cluster: the constant reads, and of the VMs only what may have moved (design 3.2)."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, TypeVar, cast

import msgspec

from state.api import Api, ApiError, Forbidden, Json, Misconfigured, NotFound
from state.cache import CachedVM
from state.conf import split_pending
from state.hints import (
    known_tasks,
    log_suspects,
    log_traces,
    row_hints,
    row_moved,
    task_suspects,
)
from state.machine import Machine, Machines, machine, unreadable
from state.observed import ClusterView, HAResource, TaskRow, VMRow
from state.store import Store
from state.traces import Trace
from state.view import Row, cluster_view, ha_resources, rows, text

LOG_LINES = 500
AGAIN = "looking again"
LATER = "not read yet: the time for observation is out; the next tick goes on"
UNSURE = "the answer to our last write was lost: waiting until its effect is certain"
STOPS, HANGS = ("qmshutdown", "qmstop"), 120.0
_Due = tuple[VMRow, CachedVM | None, bool]
"""A VM to read: its row, what is cached of it, and whether its firewall is read too."""

_T = TypeVar("_T")
_R = TypeVar("_R")


class Workers(Protocol):
    """Runs a function over items, in parallel or inline; results in the order of the items."""

    def map(self, work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """Which VMs to look into: ours, others (templates), those whose firewall is ours.

    Of ours the `rotation` VMs that were verified longest ago are re-read without a hint.
    """

    vmids: Collection[int]
    others: Collection[int] = ()
    firewalls: Collection[int] = ()
    rotation: int = 0


@dataclass(slots=True)
class Observer:
    """Reads one cluster through its API and keeps what it read in the store's cache.

    With `dry` nothing is written, so that the same reads are made again by the next run. What
    the log tells of users other than `own` is kept as traces.
    """

    name: str
    api: Api
    store: Store
    clock: Callable[[], datetime]
    dry: bool = False
    suspects: set[int] = field(default_factory=set)
    own: str = ""
    fresh_traces: tuple[Trace, ...] = ()

    def view(self, at: datetime, firewall: bool | None = None, ha: bool = False) -> ClusterView:
        """Make the constant reads. An unreachable cluster gives a view with its `problem`.

        The HA resources are read when `ha` asks for them, and when a row says that there are some.
        """
        try:
            # The status first: it may lead away from a server that was cut off from the others.
            status = self.api.get("/cluster/status")
            log = self.api.get("/cluster/log", {"max": LOG_LINES})
            tasks = self.api.get("/cluster/tasks")
            resources = self.api.get("/cluster/resources")
        except ApiError as error:
            passing = not isinstance(error, Forbidden | Misconfigured)
            problem = f"cluster {self.name}: {error.text}"
            return ClusterView(self.name, at, problem=problem, passing=passing)
        view = cluster_view(self.name, at, resources, status, tasks, firewall)
        self._note_suspects(view, log)
        if ha or any(row.hastate for row in view.vms.values()):
            return replace(view, ha=self._resources())
        return view

    def _resources(self) -> Mapping[int, HAResource] | None:
        """`GET /cluster/ha/resources`; None where that may not be read (Sys.Audit on /)."""
        try:
            return ha_resources(self.api.get("/cluster/ha/resources"))
        except ApiError:
            return None

    def _note_suspects(self, view: ClusterView, log: Json) -> None:
        """Mark the VMs that the log or a task names; only then move the position on."""
        log_name, task_name = f"log:{self.name}", f"tasks:{self.name}"
        position = cast("Mapping[str, int]", self.store.settings.get(log_name) or {})
        known = cast("Mapping[str, bool]", self.store.settings.get(task_name) or {})
        found = log_suspects(log, position)
        vmids = found.vmids | task_suspects(view.tasks, known)
        lost = view.nodes if found.everything else found.nodes
        vmids |= {vm.vmid for vm in view.vms.values() if vm.node in lost}
        self._suspect(vmids, view.at)
        traces = [one for one in log_traces(log, position) if one.user != self.own]
        mine = self.store.bindings.vmids(self.name) if traces else set()
        self.fresh_traces = tuple(one for one in traces if one.vmid in mine)
        if self.dry:
            return
        self.store.traces.add(self.name, self.fresh_traces)
        for name, before, now in (
            (log_name, position, found.position),
            (task_name, known, known_tasks(view.tasks)),
        ):
            if before != now:
                self.store.settings.put(name, dict(now))

    def _suspect(self, vmids: Collection[int], at: datetime) -> None:
        """Believe nothing cached of these VMs until they are read, by this run or a later one."""
        self.suspects.update(vmids)
        if not self.dry:
            self.store.cache.suspect(self.name, vmids, at)

    def machines(
        self, view: ClusterView, reading: Reading, workers: Workers, out_of_time: Callable[[], bool]
    ) -> Machines:
        """Return the machines asked for, re-reading what may have moved.

        Those not read when the time is out carry a problem: Unknown and untouched. Those on a node
        that is not online are not asked for.
        """
        begun_at = self.clock()
        cached = self.store.cache.all(self.name)
        due, found = self._due(view, reading, cached)

        def read(item: _Due) -> CachedVM | str:
            if out_of_time():
                return LATER
            return self._read(view, *item)

        answers = workers.map(read, due)
        unsure = self._keep(view, [a for a in answers if isinstance(a, CachedVM)], cached, begun_at)
        failed: set[int] = set()
        for (row, _, _), answer in zip(due, answers, strict=True):
            if isinstance(answer, str):
                found[row.vmid] = Machine(problem=answer, passing=answer.endswith(AGAIN))
                failed |= {row.vmid} if answer != LATER else set()
            else:
                self.suspects.discard(row.vmid)
                fresh = machine(answer)
                if row.vmid in unsure:
                    fresh = replace(fresh, problem=UNSURE, passing=True)
                found[row.vmid] = fresh
        self._suspect(failed, view.at)
        return found

    def _due(
        self, view: ClusterView, reading: Reading, cached: Mapping[int, CachedVM]
    ) -> tuple[list[_Due], Machines]:
        """Return what must be read, and the machines that are as they were cached."""
        found = Machines()
        due: list[_Due] = []
        still: dict[int, tuple[VMRow, CachedVM]] = {}
        for row in _reachable(view, {*reading.vmids, *reading.others}):
            kept = cached.get(row.vmid)
            filtered = row.vmid in reading.firewalls
            bare = filtered and (kept is None or kept.firewall_json is None)
            if kept is None or bare or self._moved(row, kept, view.at):
                due.append((row, kept, bare))
            else:
                still[row.vmid] = (row, kept)
        ours = [kept for vmid, (_, kept) in still.items() if vmid in reading.vmids]
        turn = rotation(ours, reading.firewalls, reading.rotation)
        for vmid, (row, kept) in still.items():
            if vmid in turn:
                due.append((row, kept, vmid in reading.firewalls))
            else:
                found.keep(kept)
        return due, found

    def _keep(
        self,
        view: ClusterView,
        fresh: list[CachedVM],
        cached: Mapping[int, CachedVM],
        begun_at: datetime,
    ) -> set[int]:
        """Cache what was read; return the VMs whose last write is still unsure.

        After a lost answer a VM is known again by two equal digests with no task or lock between.
        """
        doubtful = {
            vm.vmid
            for vm in fresh
            if vm.vmid in cached and cached[vm.vmid].dirty_reason == "maybe-running"
        }
        if self.dry or not fresh:
            return doubtful
        clean = self.store.cache.put_many(self.name, fresh, begun_at=begun_at)
        tasks = {task.id for task in view.tasks if task.running and not _hangs(task, view.at)}
        for vmid in doubtful:
            if view.vms[vmid].lock or str(vmid) in tasks:
                self.store.cache.mark_dirty(self.name, vmid, self.clock(), "maybe-running")
                clean.discard(vmid)
        return doubtful - clean

    def _moved(self, row: VMRow, kept: CachedVM, at: datetime) -> bool:
        if kept.dirty or row.vmid in self.suspects:
            return True
        return row_moved(kept.hints, row_hints(row, at.timestamp()))

    def _read(
        self, view: ClusterView, row: VMRow, kept: CachedVM | None, firewall: bool
    ) -> CachedVM | str:
        try:
            pending = read_pending(self.api, row)
            rules = read_firewall(self.api, row) if firewall else None
            digest = split_pending(pending)[3]
        except NotFound:
            return f"vm/{row.vmid} has moved from {row.node} or is being removed: {AGAIN}"
        except ApiError as error:
            return f"vm/{row.vmid} could not be read: {error.text}"
        except KeyError as error:
            return unreadable(row.vmid, error)
        now = self.clock()
        before = kept or CachedVM(row.vmid, "")
        return CachedVM(
            vmid=row.vmid,
            pending_json=msgspec.json.encode(pending).decode(),
            firewall_json=rules if firewall else before.firewall_json,
            digest=digest,
            hints=row_hints(row, view.at.timestamp()),
            read_at=now,
            firewall_read_at=now if firewall else before.firewall_read_at,
        )


def _hangs(task: TaskRow, at: datetime) -> bool:
    """Whether a task that stops a guest runs on beyond its time: no write of ours waits in it."""
    return task.kind in STOPS and at.timestamp() - task.starttime > HANGS


def _reachable(view: ClusterView, vmids: Iterable[int]) -> list[VMRow]:
    """The rows of those VMs that are there, on a node that is online."""
    online = {node.node for node in view.nodes.values() if node.online}
    rows = [view.vms[vmid] for vmid in sorted(vmids) if vmid in view.vms]
    return [row for row in rows if row.node in online]


def rotation(kept: Iterable[CachedVM], firewalls: Collection[int], share: int) -> set[int]:
    """Return the `share` VMs that were verified longest ago; with a firewall of ours, it counts."""

    def age(vm: CachedVM) -> tuple[float, int]:
        verified = vm.firewall_read_at if vm.vmid in firewalls else vm.read_at
        return (verified.timestamp() if verified else 0, vm.vmid)

    return {vm.vmid for vm in sorted(kept, key=age)[:share]}


def rotation_share(count: int, since_last: float, verify_every: float | None) -> int:
    """Return how many VMs this look re-reads so that all are verified within `verify_every` s.

    Default: 15 min for fleets under 500 VMs, else 24 h.
    """
    every = verify_every or (900.0 if count < 500 else 86400.0)
    return min(count, max(1, math.ceil(count * since_last / every))) if count else 0


def read_pending(api: Api, row: VMRow) -> list[Row]:
    """`GET /nodes/N/qemu/V/pending`: both views of the config and its digest in one call."""
    return rows(api.get(f"/nodes/{row.node}/qemu/{row.vmid}/pending"))


def read_firewall(api: Api, row: VMRow) -> str:
    """Read the VM's firewall (3 calls and one per `ipfilter-netN` set) into JSON text."""
    base = f"/nodes/{row.node}/qemu/{row.vmid}/firewall"
    options, rules = api.get(f"{base}/options"), rows(api.get(f"{base}/rules"))
    names = sorted(text(item, "name") or "" for item in rows(api.get(f"{base}/ipset")))
    sets = {
        name: sorted(text(entry, "cidr") or "" for entry in rows(api.get(f"{base}/ipset/{name}")))
        for name in names
        if name.startswith(("ipfilter-net", "wm-"))
    }
    others: dict[str, list[str]] = {name: [] for name in names if name not in sets}
    seen = {"options": options, "rules": rules, "ipsets": {**others, **sets}}
    return msgspec.json.encode(seen).decode()
