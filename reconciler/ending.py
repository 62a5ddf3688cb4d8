"""The end of a VM beyond its plan: its phase, what follows once it is gone, and its failure.

Told in the lines of TERM-11. Each step may be made again: who comes after a crash goes on.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from desired.ending import End
from desired.source import Fleet
from handlers.effects import running, wanted
from handlers.holder import HOLDER, way_back
from handlers.stop import SKEW, STAY_OFF, begun_stop
from handlers.terminate import BACKUP, GRACE, Terminate, destroys
from handlers.wishes import REDEPLOY, wish_of
from reconciler.allocation.addressing import rest_of
from reconciler.allocation.allocate import Vmids
from reconciler.clock import Clock
from reconciler.effective import REMOVED, TERMINATE, asked
from reconciler.endplan import DELETED, RECORD
from reconciler.execute import Done
from reconciler.guard import Guarded
from reconciler.notices.events import EXPIRING
from reconciler.remains import Backup, Lifetime, backups_of, remove
from reconciler.report import Remark
from reconciler.show.text import count_of
from reconciler.site import Site
from reconciler.spent import machine_of
from reconciler.stopping import kind_of
from reconciler.turn import Narrator, Standing, Turn
from reconciler.verbs.anew import reborn, redeployed
from state.api import ApiError, Json
from state.change import Change, Effect
from state.kept import KeptBackups
from state.memory import BACK, Binding, Intent, OpenTask, Phase
from state.observed import SeenVM
from state.outbox import Event
from state.store import Store

logger = logging.getLogger(__name__)
DELETE = "delete"
"""The intent of a DELETE that was sent: what came of it is looked up after a crash."""

BEGUN = frozenset({DELETE, DELETED, GRACE, BACKUP})
"""The intents of an end that is under way; one that is taken back takes them along."""

GONE, FAILED = "vm_terminated", "terminate_failed"
"""Events."""

FAILURE = "termination FAILED - admin attention required: "
PURGE = "purge=1"


class Farewell(Protocol):
    """What else knows of a VM, and is told when the machine is surely gone (DNS)."""

    def records(self, key: str) -> Iterable[str]:
        """Remove what stands there of the VM; yields the lines of the log (TERM-05, TERM-11)."""
        ...


@dataclass(frozen=True, slots=True)
class Ending:
    """Carries out the end of one cluster's VMs."""

    store: Store
    site: Site
    clock: Clock
    narrator: Narrator
    fleet: Fleet
    farewells: Sequence[Farewell] = ()

    def carry(self, turn: Turn, guarded: Guarded, own: Sequence[Change]) -> Done | None:
        """Make the next step; None when the turn is over with it."""
        seen, first = guarded.plan.seen, next(iter(own), None)
        if first is not None and first.field == RECORD:
            self._close(turn, seen, first)
            return None
        seen = self._begin(turn, seen)
        if first is not None and not first.calls:
            self._set_down(turn, seen, first)
            return Done()
        if first is not None and destroys(first):
            if reason := self._failed_before(seen):
                self.failed(turn, reason)
                return None
            self._tell_destroy(turn, seen)
        if first is not None and (back := way_back(first, seen)):
            self.store.intents.put(back)
        done = self.site.executor.run(seen, own)
        if first is not None:
            self._judge(turn, seen, first, done)
        return None if turn.standing is Standing.FAILED else done

    def failed(self, turn: Turn, reason: str) -> None:
        """The DELETE failed: all is kept, none is tried again, one entry tells of it (TERM-08)."""
        now, binding = self.clock.now(), self.store.bindings.of(turn.key)
        if binding is None:
            return
        asked = self.store.intents.of(turn.key).get(DELETE)
        stamp = (asked.at if asked else now).isoformat()
        detail: dict[str, Json] = {
            "vmid": binding.vmid,
            "node": binding.node,
            "text": FAILURE + reason,
        }
        event = Event(FAILED, turn.key, now, detail, f"{FAILED}/{turn.key}/{binding.uuid}/{stamp}")
        self.store.bindings.change(replace(binding, phase=Phase.ERROR_TERMINATE), event=event)
        self.store.intents.drop(turn.key, DELETE)
        self.store.attempts.clear(turn.key, "terminate")
        turn.phase, turn.standing, turn.why = (
            Phase.ERROR_TERMINATE,
            Standing.FAILED,
            FAILURE + reason,
        )
        self.narrator.failed(turn, now, "terminate", FAILURE + reason)

    def _begin(self, turn: Turn, seen: SeenVM) -> SeenVM:
        """From now on the VM is one that ends (TERM-01)."""
        binding = seen.memory.binding
        if binding is None or binding.phase is Phase.TERMINATE:
            return seen
        for stale in sorted(seen.memory.intents.keys() & BEGUN):
            self.store.intents.drop(turn.key, stale)
        ends = replace(binding, phase=Phase.TERMINATE)
        self.store.bindings.change(ends)
        # A guest that is stopped for its end counts for the thresholds from then on.
        self.store.journal.effect(machine_of(turn.key, binding), Effect.DESTROY, self.clock.now())
        turn.enter(Phase.TERMINATE)
        self._tell(turn, "[terminate] starting")
        self._tell(turn, f"remote status: {seen.status}, vmid: {binding.vmid}")
        return replace(seen, memory=replace(seen.memory, binding=ends))

    def _set_down(self, turn: Turn, seen: SeenVM, step: Change) -> None:
        """Keep what a step needs that calls nothing: since when a VM is kept, a holder's vmid."""
        now, detail = self.clock.now(), ""
        if step.field == HOLDER:
            used = self.store.bindings.vmids(self.site.name) | seen.cluster.vms.keys()
            vmids = Vmids(used, self.site.cluster.first_vmid, self.site.vmid_free)
            detail = str(vmids.take())
        else:
            self._tell(turn, f"stopped, and kept for {step.new}")
            kept: dict[str, Json] = {"text": f"It is kept for {step.new}, and deleted then."}
            occurrence = f"{EXPIRING}/{turn.key}/{now:%Y-%m-%d}"
            self.store.outbox.add(EXPIRING, turn.key, now, kept, occurrence)
        self.store.intents.put(Intent(turn.key, step.field, now, 0, detail))

    def landed(self, task: OpenTask) -> None:
        """Keep that a task went through: a backup is not made again, a machine is destroyed."""
        kinds = {"vzdump": BACKUP, "qmdestroy": DELETED}
        if task.handler == Terminate.name and (kind := kinds.get(kind_of(task))):
            self.store.intents.put(Intent(task.key, kind, self.clock.now(), 0, task.upid))

    def _tell_destroy(self, turn: Turn, seen: SeenVM) -> None:
        stop, binding = begun_stop(seen), seen.memory.binding
        assert binding is not None
        if stop and not running(seen):
            seconds = (seen.at - stop.intent.at).total_seconds()
            self._tell(turn, f"stopped after ~{seconds:.0f}s")
        self._tell(turn, f"DELETE VM vmid={binding.vmid} node={seen.node} {PURGE}")
        for slot in wanted(seen).disks:  # What dies with it never comes back.
            if (kind := BACK + slot) in seen.memory.intents:
                self.store.intents.drop(turn.key, kind)
        self.store.intents.put(Intent(turn.key, DELETE, self.clock.now()))

    def _judge(self, turn: Turn, seen: SeenVM, first: Change, done: Done) -> None:
        """What was refused of a DELETE ends in `error_terminate`; what was not begun does not."""
        if first.field == STAY_OFF and done.landed(first.handler):
            self._tell(turn, "stop request sent")
        outcome = done.outcomes.get(first.handler)
        if destroys(first) and outcome and outcome.error and not done.over:
            self.failed(turn, outcome.error)

    def _failed_before(self, seen: SeenVM) -> str:
        """Why a DELETE that was sent by a process that died has failed; empty if it has not."""
        asked, binding = seen.memory.intents.get(DELETE), seen.memory.binding
        if asked is None or binding is None:
            return ""
        began = (asked.at - SKEW).timestamp()
        for task in seen.cluster.tasks:
            mine = task.kind == "qmdestroy" and task.id == str(binding.vmid)
            if mine and task.starttime >= began and task.status not in (None, "OK"):
                return str(task.status)
        return ""

    def _close(self, turn: Turn, seen: SeenVM, change: Change) -> None:
        """The machine is gone: DNS, backups, and then the record in one transaction (TERM-07)."""
        began, binding = self.clock.now(), seen.memory.binding
        assert binding is not None
        self._begin(turn, seen)
        self.narrator.begin(turn, seen)
        self._tell(turn, "VM deleted")
        if self._is_wanted(seen) and reborn(self.store, seen.memory, self.clock.now()):
            turn.enter(Phase.DEPLOY)
            turn.standing, turn.why = Standing.PAUSED, "deleted: the next run makes it anew"
            return
        self._bid_farewell(turn)
        self._backups(turn, binding, seen)
        now = self.clock.now()
        self.store.bindings.end(
            turn.key,
            self._gone(turn, binding, seen),
            lambda lease: rest_of(lease, self.fleet, now, "its VM was terminated"),
            _tombstone(seen, turn),
            _kept(turn, binding, now),
            again=wish_of(seen.memory, REDEPLOY) is not None,
        )
        self._close_wish(seen, now)
        redeployed(self.store, seen.memory, now)
        turn.changes.append(change)
        took = (now - began).total_seconds()
        freed = ", ".join(lease.address for lease in seen.memory.leases) or "no addresses"
        self.narrator.landed(turn, now, "removed", f"vmid {binding.vmid}, {freed}", took)
        turn.phase, turn.standing, turn.why = Phase.REMOVED, Standing.READY, ""
        since = turn.started_at or began
        took = (now - since).total_seconds()
        self._tell(turn, f"[terminate] done ({took:.2f}s) result=success")

    def _is_wanted(self, seen: SeenVM) -> bool:
        """Whether a spec still asks for the VM, so that a reinstall makes another machine."""
        spec = self.fleet.vms.get(seen.key)
        return spec is not None and spec.state == "present" and TERMINATE not in seen.memory.intents

    def _close_wish(self, seen: SeenVM, now: datetime) -> None:
        """Set down that what was asked for by word of mouth is done."""
        intent = seen.memory.intents.get(TERMINATE)
        if intent is not None:
            self.store.verbs.end(asked(intent), "done", "the machine is gone", now)

    def _gone(self, turn: Turn, binding: Binding, seen: SeenVM) -> Event:
        detail: dict[str, Json] = {
            "vmid": binding.vmid,
            "cluster": binding.cluster,
            "name": binding.name,
            "addresses": [lease.address for lease in seen.memory.leases],
            "kept_for": (turn.spec.terminate or End()).kept_for,
        }
        stamp = binding.created_at.isoformat() if binding.created_at else ""
        occurrence = f"{GONE}/{turn.key}/{binding.cluster}/{binding.vmid}/{binding.uuid}/{stamp}"
        return Event(GONE, turn.key, self.clock.now(), detail, occurrence)

    def _bid_farewell(self, turn: Turn) -> None:
        """What fails here is told, and holds nothing back (TERM-05)."""
        if self.farewells:
            self._tell(turn, "deleting DNS records")
        for one in self.farewells:
            try:
                for line in one.records(turn.key):
                    self._tell(turn, line)
            except Exception as error:
                logger.exception("%s: a farewell failed", turn.key)
                self._warn(turn, f"deleting DNS records failed: {error}")

    def _backups(self, turn: Turn, binding: Binding, seen: SeenVM) -> None:
        """Remove its backups where the policy says so, as far as that goes (TERM-04, C-22)."""
        end = turn.spec.terminate or End()
        if end.kept_for != 0:
            return
        deleted = seen.memory.intents.get(DELETED)
        life = Lifetime(binding.vmid, binding.created_at, deleted.at if deleted else None)
        left = backups_of(self.site.api, seen.cluster, life)
        self._tell(turn, "removing backups")
        gone = [backup for backup in left.backups if self._removed(turn, backup)]
        for problem in left.problems:
            self._warn(turn, f"backups: {problem}")
        self._tell(
            turn, f"backups removed ({len(gone)} of {count_of(len(left.backups), 'backup')})"
        )

    def _removed(self, turn: Turn, backup: Backup) -> bool:
        if backup.protected:
            self._warn(turn, f"backup {backup.volume} is protected, and stays")
            return False
        try:
            remove(self.site.api, backup)
        except ApiError as error:
            self._warn(turn, f"backup {backup.volume} stays: {error.text}")
            return False
        return True

    def _tell(self, turn: Turn, text: str) -> None:
        self.narrator.reporter.report(Remark(self.clock.now(), text, "note", turn.key))

    def _warn(self, turn: Turn, text: str) -> None:
        self.narrator.reporter.report(Remark(self.clock.now(), text, "warning", turn.key))


def _tombstone(seen: SeenVM, turn: Turn) -> Intent | None:
    """What keeps a VM that was ended by word of mouth from being made again by its spec."""
    asked = seen.memory.intents.get(TERMINATE)
    return Intent(turn.key, REMOVED, seen.at, 0, asked.detail) if asked else None


def _kept(turn: Turn, binding: Binding, now: datetime) -> KeptBackups | None:
    """What stands for its backups while they outlive the VM; None where they go, or stay."""
    length = (turn.spec.terminate or End()).kept_for
    if not length or binding.created_at is None:
        return None
    until = now + timedelta(seconds=length)
    since = binding.created_at
    return KeptBackups(binding.cluster, binding.vmid, since, turn.key, now, until)
