"""Whether a call may go out now: its VM is surely ours, and nobody is at work on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from desired.source import Fleet
from desired.windows import closed_window
from handlers.exists import strange
from reconciler.effective import TERMINATE
from reconciler.guard import Gate
from reconciler.queue.rules import Rule
from reconciler.sight import see
from state.api import Api, ApiError, Refused
from state.cache import CachedVM
from state.machine import Machine, machine
from state.memory import Memory, Phase
from state.observe import read_pending
from state.observed import ClusterView, Presence, SeenVM
from state.queue import QueueJob
from state.store import Store
from state.view import cluster_view


@dataclass(frozen=True, slots=True)
class Verdict:
    """`go`; `wait`: not now, nothing has failed; `fail`: counts as a try; `never`."""

    word: Literal["go", "wait", "fail", "never"]
    why: str = ""
    until: datetime | None = None


GO = Verdict("go")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What is known of one cluster at one moment."""

    view: ClusterView
    api: Api
    fleet: Fleet
    store: Store

    def node_of(self, job: QueueJob) -> str:
        """The node that the call goes to: that of its VM now."""
        row = self.view.vms.get(job.vmid) if job.vmid else None
        return row.node if row else job.node

    def judge(self, job: QueueJob, rule: Rule) -> Verdict:
        """Say whether the call may go out now. Raises ApiError, where its VM cannot be read."""
        if self.view.problem:
            return Verdict("wait", self.view.problem)
        name = self.node_of(job)
        node = self.view.nodes.get(name)
        if job.vmid is None and node is None:
            return Verdict("never", f"cluster {job.cluster} has no node {name}")
        if node is not None and not node.online:
            return Verdict("wait", f"node {name} is not online")
        return self._of_vm(job, rule) if job.vmid is not None else GO

    def _of_vm(self, job: QueueJob, rule: Rule) -> Verdict:
        memory = self.store.memories([job.key])[job.key]
        binding = memory.binding
        if binding is None or (binding.cluster, binding.vmid) != (job.cluster, job.vmid):
            return Verdict("never", f"{job.key} is not vm {job.vmid} of {job.cluster} any more")
        if binding.phase is Phase.TERMINATE or TERMINATE in memory.intents:
            return Verdict("never", f"{job.key} is being ended")
        seen = self._seen(job, memory)
        if seen.presence is Presence.ABSENT:
            return Verdict("fail", f"vm {job.vmid} is not there")
        stop = self._gate().stop(seen)
        if stop is not None:
            return Verdict("never" if stop.condition == "LeftAlone" else "wait", stop.reason)
        if seen.presence is Presence.UNKNOWN:
            return Verdict("wait", seen.reason)
        if foreign := next(strange(seen), ""):
            return Verdict("never", foreign)
        return self._busy(seen) or self._closed(seen, rule) or GO

    def _seen(self, job: QueueJob, memory: Memory) -> SeenVM:
        """The VM as it is this moment: nothing cached is believed."""
        row = self.view.vms.get(job.vmid or 0)
        machines: Mapping[int, Machine] = {}
        if row is not None and not row.lock:
            document = msgspec.json.encode(read_pending(self.api, row)).decode()
            machines = {row.vmid: machine(CachedVM(row.vmid, document))}
        fleet, store = self.fleet.name, self.store.id
        return see(job.key, memory, self.view, machines, self._is_free, store, fleet)

    def _is_free(self, vmid: int) -> bool:
        try:
            self.api.get("/cluster/nextid", {"vmid": vmid})
        except Refused:
            return False
        return True

    def _gate(self) -> Gate:
        """The guard of every run, as far as it speaks of a VM and not of a change."""
        return Gate(
            self.fleet.guard,
            self.fleet.limits,
            managed=0,
            approved=lambda seen, change: False,
            beside=frozenset(),
            place_of=lambda template, storage: "",
        )

    def _busy(self, seen: SeenVM) -> Verdict | None:
        task, vmid = seen.memory.task, str(seen.row.vmid if seen.row else "")
        if task is not None:
            return Verdict("wait", f"{task.handler} is at work on it ({task.upid})")
        at_work = (one for one in self.view.tasks if one.running and one.id == vmid)
        other = next(at_work, None)
        return Verdict("wait", f"a task {other.kind} is at work on it") if other else None

    def _closed(self, seen: SeenVM, rule: Rule) -> Verdict | None:
        spec = self.fleet.vms.get(seen.key)
        closed = closed_window(spec.windows, rule.effect.value, seen.at) if spec else None
        if closed is None:
            return None
        why = f"window {closed.name} denies it until {closed.until:%Y-%m-%d %H:%M} UTC"
        return Verdict("wait", why, closed.until)


def looked(api: Api, name: str, at: datetime) -> ClusterView:
    """Read a cluster: `GET /cluster/status`, `/cluster/tasks`, `/cluster/resources`."""
    try:
        status, tasks = api.get("/cluster/status"), api.get("/cluster/tasks")
        resources = api.get("/cluster/resources")
    except ApiError as error:
        return ClusterView(name, at, problem=f"cluster {name}: {error.text}")
    return cluster_view(name, at, resources, status, tasks, None)
