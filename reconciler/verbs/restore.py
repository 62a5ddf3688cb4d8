"""Carries out a restore: looks the backup over, sends one call, and finds out what came of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from desired.spec import VMSpec
from handlers.effects import running, wanted
from handlers.handler import vm_path, vmid_of
from handlers.restore import (
    BACK,
    CHECK,
    CHECKED,
    CONFIG,
    COPY,
    FAILED,
    IDENTITY,
    OUTCOME,
    RAN,
    RESTORED,
    SENT,
    STEP,
)
from handlers.safeguard import GUARD
from handlers.stop import SKEW
from handlers.wishes import DONE, RESTORE, wish_of
from reconciler.clock import Clock
from reconciler.execute import PASSWORD, Done
from reconciler.guard import Gate, Guarded
from reconciler.plan import plan_vm
from reconciler.pve.tasks import TaskEnd, task_status
from reconciler.registry import restoring_handlers
from reconciler.site import Site
from reconciler.verbs.archive import Asked, unfit
from state.api import Api, Json, NotFound
from state.change import Change, Outcome
from state.conf import VMConfig
from state.memory import Memory, OpenTask, Phase
from state.observed import SeenVM
from state.outbox import Event
from state.store import Store
from state.verbs import Result, Wish
from state.view import rows, text, whole

SOON = timedelta(seconds=2)
KIND = "qmrestore"
RESTORED_EVENT, FAILED_EVENT = "backup_restored", "restore_failed"
UNSEEN = "nobody can tell how it ended: no task of it is known"


def decide_restore(spec: VMSpec, seen: SeenVM, gate: Gate) -> Guarded | None:
    """Plan and guard the next step of a restore; None when none is open, or the rest is usual.

    What is half copied comes to its end first, also of a VM that is to end.
    """
    wish = wish_of(seen.memory, RESTORE)
    if wish is None or seen.row is None:
        return None
    plan = plan_vm(spec, seen, restoring_handlers())
    usual = not plan.changes and not plan.notes
    if spec.state == "absent":
        usual = not any(change.field in (OUTCOME, CONFIG, IDENTITY) for change in plan.changes)
    return None if usual else gate.check(plan, spec.windows, spec)


def carry_restore(store: Store, site: Site, clock: Clock, seen: SeenVM, step: Change) -> Done:
    """Make the one step of a restore. Raises ApiError."""
    wish = wish_of(seen.memory, RESTORE)
    assert wish is not None
    return Carrier(store, site, clock, seen, wish, step).go()


def restored(store: Store, seen: SeenVM, at: datetime) -> bool:
    """Nothing differs any more of a VM that was restored: tell it once. False of other VMs."""
    wish, binding = wish_of(seen.memory, RESTORE), seen.memory.binding
    if wish is None or wish.text(STEP) != BACK or binding is None:
        return False
    if binding.phase is Phase.CHANGE:
        store.bindings.change(replace(binding, phase=Phase.READY))
    volume = wish.text("backup") or ""
    detail: dict[str, Json] = {"by": wish.by, "backup": volume, "vmid": binding.vmid}
    event = Event(RESTORED_EVENT, wish.key, at, detail, f"{RESTORED_EVENT}/{wish.key}/{wish.token}")
    store.verbs.end(wish, "done", f"restored from {volume}", at, event)
    return True


def laid_over(spec: VMSpec, memory: Memory) -> VMSpec:
    """The spec by which a restored VM is put right: it runs again if it did, and no snapshot
    guards what is no edit. Pure."""
    wish = wish_of(memory, RESTORE)
    if wish is None or wish.text(STEP) != BACK:
        return spec
    laid: dict[str, object] = {}
    if GUARD not in memory.intents:
        laid["guard"] = None
    if spec.power == "unmanaged" and wish.params.get(RAN) is True:
        laid["power"] = "running"
    return spec.model_copy(update=laid)


@dataclass(frozen=True, slots=True)
class Carrier:
    """One step of one VM. What it stores it stores before the call that follows from it."""

    store: Store
    site: Site
    clock: Clock
    seen: SeenVM
    wish: Wish
    step: Change

    def go(self) -> Done:
        if self.step.field == CHECK:
            return self._check()
        if self.step.field == COPY:
            return self._copy()
        if self.step.field == OUTCOME:
            return self._outcome()
        if self.step.field == CONFIG:
            return self._mend()
        return self._send()

    def _check(self) -> Done:
        """Look the backup over, and keep what the VM has, before anything is stopped."""
        reason = unfit(self.site.api, self.seen, Asked.of(self.wish))
        if reason:
            self._end("refused", reason, "verb_refused")
            return Done({RESTORE: Outcome(error=reason)})
        disks: dict[str, Json] = {
            slot: drive.render() for slot, drive in sorted(wanted(self.seen).disks.items())
        }
        self._keep(step=CHECKED, disks=disks, ran=running(self.seen))
        return Done()

    def _copy(self) -> Done:
        """Keep that it is sent, send it, and keep its task."""
        now = self.clock.now()
        wish = self._keep(step=SENT, sent=now.isoformat(), upid="")
        done = self._send()
        outcome = done.outcomes.get(RESTORE)
        if outcome and outcome.upid:
            self.store.verbs.keep(replace(wish, params={**wish.params, "upid": outcome.upid}))
        elif outcome and outcome.error:
            self._keep(step=CHECKED)
        return done

    def _outcome(self) -> Done:
        """Find out how the copy ended, and go on from there."""
        upid = self.wish.text("upid") or _task_since(self.site.api, self.seen, self.wish)
        try:
            end = task_status(self.site.api, upid) if upid else None
        except NotFound:
            upid, end = "", None
        if upid and end is None:
            return self._follow(upid)
        config = self._config()
        if end is not None and end.ok:
            self._adopt(config)
            return Done()
        binding = self.seen.memory.binding
        intact = binding is not None and config.uuid == (binding.uuid or "").lower()
        if end is None and intact and not config.lock:
            self._keep(step=CHECKED)  # It never arrived.
            return Done()
        self._failed(end, intact=intact)
        return Done()

    def _follow(self, upid: str) -> Done:
        """Have the run follow a task whose answer was never heard."""
        key = self.seen.key
        if self.seen.memory.task is None:
            self.store.tasks.open(OpenTask(upid, key, self.site.name, RESTORE, self.clock.now()))
            return Done({RESTORE: Outcome(upid=upid)})
        return Done({RESTORE: Outcome(retry_at=self.clock.now() + SOON)}, why="it is restored")

    def _adopt(self, config: VMConfig) -> None:
        """It went through: whatever uuid the backup had is the machine's own now.

        The password of the backup is not the one that was written last.
        """
        key, binding = self.seen.key, self.seen.memory.binding
        if binding is not None and config.uuid and config.uuid != (binding.uuid or "").lower():
            self.store.bindings.change(replace(binding, uuid=config.uuid))
        if self.seen.memory.fingerprints.get(PASSWORD):
            self.store.vault.set_fingerprint(key, PASSWORD, "")
        self._read_again()
        self.store.attempts.clear(key, RESTORE)
        self._keep(step=RESTORED)

    def _failed(self, end: TaskEnd | None, *, intact: bool) -> None:
        """Nothing was overwritten: all goes on. Else the VM waits, off, for a person."""
        why = f"the restore of {self.wish.text('backup')} failed: {end.text if end else UNSEEN}"
        self._read_again()
        if intact:
            self._end("failed", f"{why}; the VM is as it was", FAILED_EVENT)
            return
        params = {**self.wish.params, STEP: FAILED, DONE: True, "why": why}
        self._end("failed", why, FAILED_EVENT, stands=replace(self.wish, params=params))

    def _mend(self) -> Done:
        """Write what lacks; when nothing does, the other handlers go on."""
        if self.step.calls:
            return self._send()
        self.store.attempts.clear(self.seen.key, RESTORE)
        self._keep(step=BACK)
        return Done()

    # ------------------------------------------------------------------ small things

    def _config(self) -> VMConfig:
        """`GET …/config` as it is now, and not as it was read while data was copied."""
        answer = self.site.api.get(f"{vm_path(self.seen)}/config", {"current": True})
        found = answer.items() if isinstance(answer, dict) else ()
        return VMConfig({name: one for name, one in found if isinstance(one, str | int | float)})

    def _read_again(self) -> None:
        vmid, now = vmid_of(self.seen), self.clock.now()
        self.store.cache.mark_dirty(self.site.name, vmid, now, firewall=True)

    def _keep(self, **params: Json) -> Wish:
        kept = replace(self.wish, params={**self.wish.params, **params})
        self.store.verbs.keep(kept)
        return kept

    def _send(self) -> Done:
        return self.site.executor.run(self.seen, (self.step,))

    def _end(self, result: Result, message: str, event: str, stands: Wish | None = None) -> None:
        now, wish = self.clock.now(), self.wish
        detail: dict[str, Json] = {"verb": RESTORE, "by": wish.by, "text": message}
        told = Event(event, wish.key, now, detail, f"{event}/{wish.key}/{RESTORE}/{wish.token}")
        closing = stands or wish
        self.store.verbs.end(closing, result, message, now, told, stands=stands is not None)
        self.store.attempts.clear(wish.key, RESTORE)


def _task_since(api: Api, seen: SeenVM, wish: Wish) -> str:
    """The task that our call started, if its answer was never heard: `GET /nodes/N/tasks`."""
    since = datetime.fromisoformat(wish.text("sent") or "") - SKEW
    asked: dict[str, str | int] = {
        "vmid": vmid_of(seen),
        "typefilter": KIND,
        "since": int(since.timestamp()),
        "source": "all",
    }
    found: Iterable[tuple[int, str]] = (
        (whole(row, "starttime"), text(row, "upid") or "")
        for row in rows(api.get(f"/nodes/{seen.node}/tasks", asked))
    )
    return max(found, default=(0, ""))[1]
