"""Observe one cluster: the constant reads, and of the VMs only what may have moved (design 3.2)."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol, TypeVar, cast

import msgspec

from state.api import Api, ApiError, Json, NotFound
from state.cache import CachedVM
from state.conf import VMConfig, split_pending
from state.hints import known_tasks, log_suspects, row_hints, row_moved, task_suspects
from state.observed import ClusterView, SeenConfig, SeenFirewall, SeenRule, VMRow
from state.store import Store
from state.view import Row, cluster_view, rows, text, whole

LOG_LINES = 500
AGAIN = "looking again"
UNSURE = "the answer to our last write was lost: waiting until its effect is certain"
_T = TypeVar("_T")
_R = TypeVar("_R")


class Workers(Protocol):
    """Runs a function over items, in parallel or inline; results in the order of the items."""

    def map(self, work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]: ...


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of one VM's inside; `problem` says why it must not be touched now.

    A `passing` problem solves itself within a look or two.
    """

    config: SeenConfig | None = None
    firewall: SeenFirewall | None = None
    problem: str | None = None
    passing: bool = False


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

    With `dry` nothing is written, so that the same reads are made again by the next run.
    """

    name: str
    api: Api
    store: Store
    clock: Callable[[], datetime]
    dry: bool = False
    suspects: set[int] = field(default_factory=set)

    def view(self, at: datetime, firewall: bool | None = None) -> ClusterView:
        """Make the constant reads. An unreachable cluster gives a view with its `problem`."""
        try:
            log = self.api.get("/cluster/log", {"max": LOG_LINES})
            tasks = self.api.get("/cluster/tasks")
            resources = self.api.get("/cluster/resources")
            status = self.api.get("/cluster/status")
        except ApiError as error:
            return ClusterView(self.name, at, problem=f"cluster {self.name}: {error.text}")
        view = cluster_view(self.name, at, resources, status, tasks, firewall)
        self._note_suspects(view, log)
        return view

    def _note_suspects(self, view: ClusterView, log: Json) -> None:
        """Mark the VMs that the log or a task names; only then move the position on."""
        log_name, task_name = f"log:{self.name}", f"tasks:{self.name}"
        position = cast("Mapping[str, int]", self.store.settings.get(log_name) or {})
        known = cast("Mapping[str, bool]", self.store.settings.get(task_name) or {})
        found = log_suspects(log, position)
        vmids = found.vmids | task_suspects(view.tasks, known)
        vmids |= {vm.vmid for vm in view.vms.values() if vm.node in found.nodes}
        self.suspects |= vmids
        if self.dry:
            return
        self.store.cache.suspect(self.name, vmids, view.at)
        for name, before, now in (
            (log_name, position, found.position),
            (task_name, known, known_tasks(view.tasks)),
        ):
            if before != now:
                self.store.settings.put(name, dict(now))

    def machines(
        self, view: ClusterView, reading: Reading, workers: Workers, out_of_time: Callable[[], bool]
    ) -> dict[int, Machine]:
        """Return the machines asked for, re-reading what may have moved.

        Those not read when the time is out carry a problem: Unknown and untouched.
        """
        begun_at = self.clock()
        cached = self.store.cache.all(self.name)
        present = [view.vms[v] for v in sorted({*reading.vmids, *reading.others}) if v in view.vms]
        ours = [row for row in present if row.vmid in reading.vmids]
        turn = rotation(ours, cached, reading.rotation)
        found: dict[int, Machine] = {}
        due: list[tuple[VMRow, CachedVM | None, bool]] = []
        for row in present:
            kept = cached.get(row.vmid)
            firewall = row.vmid in reading.firewalls and (
                kept is None or kept.firewall_json is None or row.vmid in turn
            )
            if firewall or row.vmid in turn or self._moved(row, kept, view.at):
                due.append((row, kept, firewall))
            elif kept is not None:
                found[row.vmid] = machine(kept)

        def read(item: tuple[VMRow, CachedVM | None, bool]) -> CachedVM | str:
            if out_of_time():
                return "not read yet: the time for observation is out; the next tick goes on"
            return self._read(view, *item)

        answers = workers.map(read, due)
        unsure = self._keep(view, [a for a in answers if isinstance(a, CachedVM)], cached, begun_at)
        for (row, _, _), answer in zip(due, answers, strict=True):
            if isinstance(answer, str):
                found[row.vmid] = Machine(problem=answer, passing=answer.endswith(AGAIN))
            else:
                self.suspects.discard(row.vmid)
                fresh = machine(answer)
                if row.vmid in unsure:
                    fresh = replace(fresh, problem=UNSURE, passing=True)
                found[row.vmid] = fresh
        return found

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
        tasks = {task.id for task in view.tasks if task.running}
        for vmid in doubtful:
            if view.vms[vmid].lock or str(vmid) in tasks:
                self.store.cache.mark_dirty(self.name, vmid, self.clock(), "maybe-running")
                clean.discard(vmid)
        return doubtful - clean

    def _moved(self, row: VMRow, kept: CachedVM | None, at: datetime) -> bool:
        if kept is None or kept.dirty or row.vmid in self.suspects:
            return True
        return row_moved(kept.hints, row_hints(row, at.timestamp()))

    def _read(
        self, view: ClusterView, row: VMRow, kept: CachedVM | None, firewall: bool
    ) -> CachedVM | str:
        try:
            pending = read_pending(self.api, row)
            rules = read_firewall(self.api, row) if firewall else None
        except NotFound:
            return f"vm/{row.vmid} has moved from {row.node} or is being removed: {AGAIN}"
        except ApiError as error:
            return f"vm/{row.vmid} could not be read: {error.text}"
        now = self.clock()
        before = kept or CachedVM(row.vmid, "")
        return CachedVM(
            vmid=row.vmid,
            pending_json=msgspec.json.encode(pending).decode(),
            firewall_json=rules if firewall else before.firewall_json,
            digest=split_pending(pending)[3],
            hints=row_hints(row, view.at.timestamp()),
            read_at=now,
            firewall_read_at=now if firewall else before.firewall_read_at,
        )


def rotation(present: Iterable[VMRow], cached: Mapping[int, CachedVM], share: int) -> set[int]:
    """Return the `share` VMs that were verified longest ago."""

    def age(vmid: int) -> tuple[float, int]:
        kept = cached.get(vmid)
        verified = kept and (kept.firewall_read_at or kept.read_at)
        return (verified.timestamp() if verified else 0, vmid)

    return set(sorted((row.vmid for row in present), key=age)[:share])


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


def parse_firewall(document: str, read_at: datetime | None) -> SeenFirewall:
    """Turn the cached JSON of `read_firewall` into values; every field becomes text."""
    seen = msgspec.json.decode(document)
    as_text = {key: str(value) for key, value in (seen["options"] or {}).items() if key != "digest"}
    rules = tuple(
        SeenRule(
            pos=whole(rule, "pos"),
            fields={key: str(value) for key, value in rule.items() if key not in ("pos", "digest")},
        )
        for rule in sorted(seen["rules"], key=lambda rule: whole(rule, "pos"))
    )
    sets = {name: tuple(cidrs) for name, cidrs in seen["ipsets"].items()}
    return SeenFirewall(options=as_text, rules=rules, ipsets=sets, read_at=read_at)


def machine(kept: CachedVM) -> Machine:
    """Turn a cached VM into what a diff sees; what cannot be read leaves the VM untouched."""
    try:
        wanted, live, pending, digest = split_pending(msgspec.json.decode(kept.pending_json))
        config = SeenConfig(VMConfig(wanted), VMConfig(live), pending, digest, kept.read_at)
        rules = kept.firewall_json
        return Machine(config, parse_firewall(rules, kept.firewall_read_at) if rules else None)
    except (KeyError, TypeError, ValueError) as error:
        return Machine(problem=f"vm/{kept.vmid}: Proxmox's answer cannot be read: {error!r}")
