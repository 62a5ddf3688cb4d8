"""What follows when nothing differs any more: the VM is ready, and gives back what it had."""

from dataclasses import dataclass, field, replace

from desired.source import Fleet
from handlers.reclaim import ERASE, erases, given_up
from handlers.retained import is_over
from reconciler.allocation.addressing import VACATE, in_use, rest_of, surplus
from reconciler.clock import Clock
from reconciler.drift import WISHES
from reconciler.execute import WRITE
from reconciler.guard import Guarded
from reconciler.redo import REDO
from reconciler.stopping import conclude
from reconciler.turn import Standing, Turn
from reconciler.verbs.anew import renewed
from reconciler.verbs.restore import restored
from reconciler.verbs.suspend import at_rest
from state.api import Json
from state.applied import AppliedSpec
from state.memory import Intent, Memory, Phase
from state.observed import SeenVM
from state.outbox import Event
from state.store import Store

ENDS = {Phase.DEPLOY: "vm_ready", Phase.CHANGE: "vm_changed"}
"""The phases that end when nothing differs, and the event of each (NOTE-01, CP-14)."""

DELETED = "additional_disk_deleted"
"""The event of a disk that was erased (CP-07)."""


@dataclass(frozen=True, slots=True)
class Settler:
    """Writes down that a VM is ready; each step is a transaction that may be made again."""

    store: Store
    clock: Clock
    fleet: Fleet
    settled: list[Turn] = field(default_factory=list)

    def settle(self, turn: Turn, guarded: Guarded, memory: Memory) -> None:
        """Nothing differs that counts: the VM is ready; what it no longer uses is given back."""
        seen = guarded.plan.seen
        turn.standing, turn.why = Standing.READY, ""
        if not restored(self.store, seen, self.clock.now()):
            self._ready(turn.key, seen)
        at_rest(self.store, seen, self.clock.now())
        renewed(self.store, seen, self.clock.now())
        if all(change.drift or change.handler in WISHES for change in guarded.withheld):
            # An edit of which something is still to come stays one: that part is no drift.
            self.settled.append(turn)
        self._give_back(turn, seen, memory)
        self._confirm(seen)
        conclude(self.store, seen)
        for kind in seen.memory.intents:
            if is_over(kind, turn.spec, seen):
                self.store.intents.drop(turn.key, kind)
        if REDO in seen.memory.intents:
            self.store.intents.drop(turn.key, REDO)
        self._erased(turn, seen)
        open_handlers = {change.handler for change in guarded.withheld}
        for handler in sorted(seen.memory.attempts.keys() - open_handlers):
            if "." not in handler:  # with one it is another loop's
                self.store.attempts.clear(turn.key, handler)

    def _ready(self, key: str, seen: SeenVM) -> None:
        """What was deployed or changed is ready: the event stands with that, or not at all."""
        binding, now = seen.memory.binding, self.clock.now()
        if binding is not None and binding.phase in ENDS:
            detail: dict[str, Json] = {"vmid": binding.vmid, "node": seen.node}
            event = Event(ENDS[binding.phase], key, now, detail)
            since = now if binding.phase is Phase.DEPLOY else binding.ready_at
            ready = replace(binding, phase=Phase.READY, ready_at=since)
            self.store.bindings.change(ready, event=event)

    def keep(self) -> None:
        """Keep the specs that the VMs now are as they say, so that drift is told from edits."""
        at, fresh = self.clock.now(), list[AppliedSpec]()
        known = self.store.applied.documents({turn.key for turn in self.settled})
        for turn in self.settled:
            document = turn.spec.document()
            if known.get(turn.key) != document or any(change.drift for change in turn.changes):
                fresh.append(AppliedSpec(turn.key, document, at))
        self.store.applied.put(*fresh)
        self.settled.clear()

    def _give_back(self, turn: Turn, seen: SeenVM, memory: Memory) -> None:
        """Release what the spec no longer asks for, once the guest cannot use it any more."""
        there = seen.config.live.nics if seen.config else ()
        now, waiting = self.clock.now(), dict(seen.memory.intents)
        for lease in surplus(turn.spec, memory.leases, there):
            kind = VACATE + lease.address
            since = waiting.pop(kind, None)
            if not in_use(lease, seen, since.at if since else None):
                why = f"given back by {lease.key}/{lease.nic}"
                self.store.leases.release(lease, rest_of(lease, self.fleet, now, why))
                waiting |= {kind: since} if since else {}
            elif since is None:
                self.store.intents.put(Intent(turn.key, kind, now))
        for kind in waiting:
            if kind.startswith(VACATE):  # What is wanted again, or was given back just now.
                self.store.intents.drop(turn.key, kind)

    def _erased(self, turn: Turn, seen: SeenVM) -> None:
        """Tell of disks that are gone for good; what is no longer given up may not be erased."""
        for kind, intent in seen.memory.intents.items():
            slot = kind.removeprefix(ERASE)
            if slot == kind or (erases(seen, intent) and slot in given_up(turn.spec)):
                continue
            if not erases(seen, intent):
                detail = {"field": slot, "text": f"{intent.detail} is erased"}
                occurrence = f"{DELETED}/{turn.key}/{intent.detail}/{intent.at.isoformat()}"
                self.store.outbox.add(DELETED, turn.key, seen.at, detail, occurrence)
            self.store.intents.drop(turn.key, kind)

    def _confirm(self, seen: SeenVM) -> None:
        """Close the writes whose answer was never heard: their values are there."""
        for kind, intent in seen.memory.intents.items():
            if kind.startswith(WRITE):
                use = kind.removeprefix(WRITE)
                self.store.vault.set_fingerprint(seen.key, use, intent.detail)
                self.store.intents.drop(seen.key, kind)
