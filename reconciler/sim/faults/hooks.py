"""Where faults take hold: at calls, at new tasks, and as states of the cluster.

The same faults are set in process (`Simulator.faults.add`), over HTTP (POST /sim/faults) and at
the start (`reconcile simulate --fault`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from reconciler.sim.answer import Answer
from reconciler.sim.cluster.tasks import Task
from reconciler.sim.errors import Dropped, Refusal
from reconciler.sim.faults import states
from reconciler.sim.faults.fault import CALL_KINDS, EVENT_KINDS, SPOILED, TASK_KINDS, Fault

if TYPE_CHECKING:
    from reconciler.sim.world import World


@dataclass(frozen=True, slots=True)
class Mishap:
    """The faults that act on one call; `busy` is how much longer a slow node takes for it."""

    faults: list[Fault]
    busy: float = 0.0

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
            if fault.kind in SPOILED:
                answer = replace(answer, spoiled=fault.kind, size=fault.size)
        return self.slowed(answer)

    def slowed(self, answer: Answer) -> Answer:
        delay = sum(fault.seconds for fault in self.faults if fault.kind == "latency")
        return replace(answer, delay=delay, busy=self.busy) if delay or self.busy else answer


class Faults:
    """The faults that are set on one world, which keeps them."""

    def __init__(self, world: World) -> None:
        self.world = world

    @property
    def set(self) -> list[Fault]:
        return self.world.faults

    @property
    def active(self) -> bool:
        return bool(self.world.faults)

    def add(self, fault: Fault) -> Fault:
        """Set a fault; a state or event that waits for no call takes effect at once.

        Raises ValueError when it names a VM, node, storage or user that is not there.
        """
        states.check(self.world, fault)
        fault.id = self.world.next_fault
        self.world.next_fault += 1
        self.world.touch()
        self.set.append(fault)
        if fault.of_cluster and not fault.waits:
            fault.acted = 1
            self._begin(fault)
        return fault

    def _begin(self, fault: Fault) -> None:
        states.turn(self.world, fault, on=True)
        fault.on = fault.kind not in EVENT_KINDS
        fault.ends_at = self.world.now + fault.lasting if fault.on and fault.lasting else None

    def remove(self, id: int) -> bool:
        for fault in self.set:
            if fault.id == id:
                self.set.remove(fault)
                self.world.touch()
                if fault.on:
                    states.turn(self.world, fault, on=False)
                    fault.on = False
                return True
        return False

    def clear(self) -> None:
        """Remove every fault; hanging tasks stay as they are."""
        for fault in list(self.set):
            self.remove(fault.id)

    def listed(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self.set]

    def pass_time(self) -> None:
        """End the states whose time is over."""
        now = self.world.now
        for fault in [one for one in self.set if one.ends_at is not None and one.ends_at <= now]:
            self.remove(fault.id)

    def meet_call(self, method: str, path: str, node: str) -> Mishap | None:
        """The faults that act on this call, which `node` answers, or None."""
        self.pass_time()
        met = [one for one in self.set if not one.on and one.meets_call(method, path)]
        for fault in met:
            if fault.waits and fault.counts():
                self._begin(fault)
        found = [one for one in met if one.kind in CALL_KINDS and one.counts()]
        slow = [one for one in self.set if one.kind == "slow-node" and one.on and one.node == node]
        if not found and not slow:
            return None
        return Mishap(found, sum(one.seconds for one in slow))

    def meet_task(self, task: Task) -> None:
        """Called with every new task before its first step."""
        for fault in self.set:
            if fault.kind not in TASK_KINDS or not fault.meets_task(task.kind, task.id):
                continue
            if not fault.counts():
                continue
            if fault.kind == "task-hang":
                task.hanging = True
            elif fault.kind == "task-warn":
                task.warn(fault.text)
            else:
                task.doomed, task.tidy = fault.text, fault.tidy
            return
