"""Fault hooks: what goes wrong, for which call or task, and how often.

A fault matches by method, path glob and vmid and acts `times` times from its `nth` match on.
The same faults are set in process (`Simulator.faults.add`) and over HTTP (POST /sim/faults).
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from reconciler.sim.cluster.tasks import Task
from reconciler.sim.errors import Dropped, Refusal

if TYPE_CHECKING:
    from reconciler.sim.api import Answer
    from reconciler.sim.world import World

Kind = Literal[
    "error-before",
    "error-after",
    "drop-before",
    "drop-after",
    "latency",
    "task-fail",
    "task-hang",
    "lock",
    "storage-full",
    "node-down",
    "quorum-lost",
    "stubborn-guest",
]
CALL_KINDS = frozenset(("error-before", "error-after", "drop-before", "drop-after", "latency"))
TASK_KINDS = frozenset(("task-fail", "task-hang"))


@dataclass(slots=True)
class Fault:
    """One fault. Which fields count depends on `kind`:

    error-before, error-after   `status`, `text`; the call has its effect only with -after
    drop-before, drop-after     the connection ends without an answer
    latency                     `seconds` before the answer goes out
    task-fail                   the task ends with `text`; by `task` (its type, such as qmclone)
                                and vmid (the task's id); `tidy` false leaves everything as it
                                was, locks too, as when the worker is killed
    task-hang                   the task never ends; it can be stopped
    lock                        VM `vmid` carries config lock `text` until the fault is removed
    storage-full                nothing fits on `storage` any more
    node-down                   `node` is dead: 595, its rows offline and unknown
    quorum-lost                 every write is a 500
    stubborn-guest              the guest of VM `vmid` ignores unplugging
    """

    kind: Kind
    id: int = 0
    method: str = "*"
    path: str = "*"
    vmid: int | None = None
    task: str = "*"
    nth: int = 1
    times: int | None = 1
    status: int = 500
    text: str = "simulated fault"
    seconds: float = 0.0
    storage: str = ""
    node: str = ""
    tidy: bool = True
    met: int = 0
    acted: int = 0

    def counts(self) -> bool:
        """Count one match; True when the fault acts on it."""
        self.met += 1
        if self.met < self.nth or (self.times is not None and self.acted >= self.times):
            return False
        self.acted += 1
        return True

    @property
    def spent(self) -> bool:
        return self.times is not None and self.acted >= self.times


@dataclass(frozen=True, slots=True)
class Mishap:
    """The faults that act on one call."""

    faults: list[Fault]

    def before(self) -> None:
        for fault in self.faults:
            if fault.kind == "error-before":
                raise Refusal(fault.status, fault.text + "\n")
            if fault.kind == "drop-before":
                raise Dropped(done=False)

    def after(self, answer: Answer) -> Answer:
        for fault in self.faults:
            if fault.kind == "error-after":
                raise Refusal(fault.status, fault.text + "\n")
            if fault.kind == "drop-after":
                raise Dropped(done=True)
        return self.slowed(answer)

    def slowed(self, answer: Answer) -> Answer:
        delay = sum(fault.seconds for fault in self.faults if fault.kind == "latency")
        return replace(answer, delay=delay) if delay else answer


class Faults:
    """The faults that are set on one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.set: list[Fault] = []
        self.next_id = 1

    @property
    def active(self) -> bool:
        return bool(self.set)

    def add(self, fault: Fault) -> Fault:
        """Set a fault; those that are states of the world take effect at once.

        Raises ValueError when it names a VM, node or storage that is not there.
        """
        self._apply(fault, on=True)
        fault.id = self.next_id
        self.next_id += 1
        self.set.append(fault)
        return fault

    def remove(self, id: int) -> bool:
        for fault in self.set:
            if fault.id == id:
                self.set.remove(fault)
                self._apply(fault, on=False)
                return True
        return False

    def clear(self) -> None:
        """Remove every fault; hanging tasks stay as they are."""
        for fault in list(self.set):
            self.remove(fault.id)

    def listed(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.set]

    def _apply(self, fault: Fault, on: bool) -> None:
        world = self.world
        world.touch()
        if fault.kind == "node-down":
            _named(world.nodes, fault.node, "node").online = not on
        elif fault.kind == "storage-full":
            _named(world.storages, fault.storage, "storage").full = on
        elif fault.kind == "quorum-lost":
            world.quorate = not on
        elif fault.kind in ("lock", "stubborn-guest"):
            machine = world.vms.get(fault.vmid or 0)
            if machine is None and on:
                raise ValueError(f"there is no VM {fault.vmid}")
            if machine is not None and fault.kind == "stubborn-guest":
                machine.stubborn = on
            elif machine is not None and on:
                machine.config["lock"] = fault.text
            elif machine is not None and machine.config.get("lock") == fault.text:
                del machine.config["lock"]

    def meet_call(self, method: str, path: str) -> Mishap | None:
        """The faults that act on this call, or None."""
        found = [
            fault
            for fault in self.set
            if fault.kind in CALL_KINDS and matches_call(fault, method, path) and fault.counts()
        ]
        return Mishap(found) if found else None

    def meet_task(self, task: Task) -> None:
        """Called with every new task before its first step."""
        for fault in self.set:
            if fault.kind not in TASK_KINDS or not matches_task(fault, task):
                continue
            if not fault.counts():
                continue
            if fault.kind == "task-hang":
                task.hanging = True
            else:
                task.doomed, task.tidy = fault.text, fault.tidy
            return


def _named(where: dict[str, Any], name: str, what: str) -> Any:
    if name not in where:
        raise ValueError(f"there is no {what} {name!r}")
    return where[name]


def matches_call(fault: Fault, method: str, path: str) -> bool:
    if fault.method not in ("*", method) or not fnmatch.fnmatchcase(path, fault.path):
        return False
    if fault.vmid is None:
        return True
    return re.search(rf"/{fault.vmid}(/|$)", path) is not None


def matches_task(fault: Fault, task: Task) -> bool:
    if not fnmatch.fnmatchcase(task.kind, fault.task):
        return False
    return fault.vmid is None or task.id == str(fault.vmid)
