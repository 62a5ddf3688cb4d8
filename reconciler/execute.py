"""Execute what the guard let pass: one VM in sequence, its config keys as one PUT (design 3.5)."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from handlers.handler import Context, Handler, is_config_call, vmid_of
from handlers.reclaim import ERASE, permit
from reconciler.backoff import not_before, soon
from reconciler.guard import counted, met_by
from reconciler.outgoing import groups, is_config, merged, names_of, signed_with, turn
from reconciler.plan import change_hash
from reconciler.stopping import begin, is_aged, not_begun, sent
from state.api import (
    Api,
    ApiError,
    Contention,
    Forbidden,
    Locked,
    MaybeRunning,
    NotFound,
    PartlyApplied,
    Refused,
    Stale,
    Unavailable,
)
from state.change import Call, Change, Method, Outcome
from state.memory import Intent, OpenTask, Phase
from state.observed import SeenVM
from state.store import Store

logger = logging.getLogger(__name__)
REVERT, WRITE = "revert", "write:"
PASSWORD = "password"
NEW = ("/clone", "/qemu")
"""How the path of a call ends that makes a VM."""
NOBODYS_KEYS = frozenset({"delete", "revert", "digest"})


@dataclass(slots=True)
class Done:
    """What came of one VM's turn: an outcome by handler, and the seconds each took.

    `again` asks for another look at once (a stale digest, a refusal to be narrowed down), `over`
    says that nothing more is sent in this look, and `why` says why in either case.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    again: bool = False
    over: bool = False
    why: str = ""

    def look_again(self, why: str) -> None:
        """Nothing more is sent before another look."""
        self.again, self.over, self.why = True, True, why

    def landed(self, handler: str) -> bool:
        """Whether the handler's calls went through: done, or a task was started."""
        outcome = self.outcomes.get(handler)
        return outcome is not None and (outcome.done or outcome.upid is not None)


@dataclass(slots=True)
class Executor:
    """Sends the changes of one cluster's VMs.

    `separate` holds the VMs whose merged config write was refused without naming an owned key:
    their handlers are sent one at a time, each after a new look. Once `stopping` says so, what is
    sent is finished and nothing more is begun. `parting` is told before anything is sent.
    """

    api: Api
    store: Store
    handlers: Mapping[str, Handler]
    clock: Callable[[], datetime]
    cluster: str
    separate: set[str] = field(default_factory=set)
    stopping: Callable[[], bool] = lambda: False
    parting: Callable[[SeenVM, Iterable[Change]], None] = lambda seen, changes: None

    def run(self, seen: SeenVM, changes: Sequence[Change]) -> Done:
        """Send one VM's changes up to the first call that starts a task.

        They are independent of each other, so what is refused stops none of the others (C-23).
        """
        done = Done()
        if REVERT in seen.memory.intents:
            self._revert(seen, seen.memory.intents[REVERT].detail)
            done.look_again("a pending value was taken back")
            return done
        if is_aged(seen, changes, self.clock()):
            done.look_again("the runner stood still, and nothing is stopped by an old look")
            return done
        for group in groups(turn(changes), separately=seen.key in self.separate):
            if self.stopping():
                break
            began = self.clock()
            outcomes = self._attempt(seen, group, done)
            took = (self.clock() - began).total_seconds()
            done.outcomes.update(outcomes)
            for name in outcomes:
                done.seconds[name] = done.seconds.get(name, 0) + took
            if done.over or any(outcome.upid for outcome in outcomes.values()):
                break
        return done

    def _attempt(self, seen: SeenVM, group: list[Change], done: Done) -> dict[str, Outcome]:
        """Send a group; where its config keys are refused by name, once more without the owners."""
        try:
            return dict.fromkeys(names_of(group), self._send(seen, group))
        except ApiError as error:
            blamed = self._blamed(group, error)
            rest = [change for change in group if change.handler not in blamed]
            if not rest or not blamed or not isinstance(error, Refused | Forbidden):
                return self._failed(seen, group, error, done)
            found = self._failed(seen, [c for c in group if c not in rest], error, done)
        try:
            return found | dict.fromkeys(names_of(rest), self._send(seen, rest))
        except ApiError as error:
            return found | self._failed(seen, rest, error, done)

    def _send(self, seen: SeenVM, group: list[Change]) -> Outcome:
        calls = [call for change in group for call in change.calls]
        # A clone begins without the firewall that a former machine of this id may have had.
        firewall = any("/firewall/" in call.path or call.path.endswith(NEW) for call in calls)
        self.parting(seen, group)
        at = self.clock()
        self.store.cache.mark_dirty(self.cluster, vmid_of(seen), at, firewall=firewall)
        self._intend(seen, group, at)
        digest = seen.config.digest if seen.config else ""
        if all(is_config(change) for change in group):
            self.api.send(merged(group, digest), heavy=True)
            outcome = Outcome()
        else:
            handler = self.handlers[group[0].handler]
            signed = [signed_with(change, digest) for change in group]
            outcome = handler.apply(signed, Context(self.api, at))
        if outcome.upid:
            task = OpenTask(outcome.upid, seen.key, self.cluster, group[0].handler, self.clock())
            self.store.tasks.open(task)
        sent(self.store, seen, group, at, outcome)
        self._remember(seen, group)
        return outcome

    def run_group(self, handler: str, members: Sequence[tuple[str, Change]]) -> Done:
        """Apply what several VMs share (a pool's members) as one; a failure is each one's."""
        done = Done()
        began = self.clock()
        try:
            changes = [change for _, change in members]
            done.outcomes[handler] = self.handlers[handler].apply(changes, Context(self.api, began))
        except ApiError as error:
            for key, _ in members:
                self.fail(key, handler, error.text, began)
            done.outcomes[handler] = Outcome(error=error.text)
        done.seconds[handler] = (self.clock() - began).total_seconds()
        return done

    def _blamed(self, group: list[Change], error: ApiError) -> set[str]:
        """Return the handlers of the group that sent or own a config key that the error names.

        Passed-through keys have a sender only; a key that did not go out has only an owner.
        """
        keys = error.keys.keys() - NOBODYS_KEYS
        return {
            change.handler
            for change in group
            for call in change.calls
            if is_config_call(call)
            if keys & _named(call) or self._owns(change.handler, keys)
        }

    def _owns(self, handler: str, keys: Iterable[str]) -> bool:
        patterns = self.handlers[handler].keys
        return any(re.fullmatch(pattern, key) for pattern in patterns for key in keys)

    def _intend(self, seen: SeenVM, group: list[Change], at: datetime) -> None:
        """Commit what must outlive us before the write: fingerprints, the start's window, that an
        approval is used up, that a machine begins anew, and what the thresholds count.
        """
        self._begin_change(seen, group)
        begin(self.store, seen, group, at)
        for effect in sorted({effect for effect in map(counted, group) if effect}):
            self.store.journal.effect(met_by(seen, effect), effect, at)
        for change in group:
            if change.approval:
                self.store.approvals.use(change_hash(seen, change, self.store.vault.key), at)
            for use, value in change.remember:
                self.store.intents.put(Intent(seen.key, f"{WRITE}{use}", at, 0, value))
            if granted := permit(change, at):
                self.store.intents.put(granted)
            if change.handler == "exists":
                self._begin_anew(seen, at)

    def _begin_change(self, seen: SeenVM, group: Iterable[Change]) -> None:
        """An edit of a ready VM's spec is a change, until nothing of it is left to do (CP-01)."""
        binding = seen.memory.binding
        if binding and binding.phase is Phase.READY and any(map(self._is_edit, group)):
            self.store.bindings.change(replace(binding, phase=Phase.CHANGE))

    def _is_edit(self, change: Change) -> bool:
        return not change.drift and self.handlers[change.handler].blocking

    def _begin_anew(self, seen: SeenVM, at: datetime) -> None:
        """A machine that was there and is gone is deployed again: the new one is not known yet.

        Nor was its password written: else one that the template brings along would stay.
        """
        if seen.memory.fingerprints.get(PASSWORD):
            self.store.vault.set_fingerprint(seen.key, PASSWORD, "")
        binding = seen.memory.binding
        if binding and (binding.uuid or binding.phase is not Phase.DEPLOY):
            fresh = replace(binding, uuid=None, phase=Phase.DEPLOY, created_at=at, ready_at=None)
            self.store.bindings.change(fresh)

    def _remember(self, seen: SeenVM, group: Iterable[Change]) -> None:
        """The write went through: its fingerprints are facts now."""
        for change in group:
            for use, value in change.remember:
                self.store.vault.set_fingerprint(seen.key, use, value)
                self.store.intents.drop(seen.key, f"{WRITE}{use}")

    def _failed(
        self, seen: SeenVM, group: list[Change], error: ApiError, done: Done
    ) -> dict[str, Outcome]:
        """Sort one error by the tree of `state.api`, and set down what follows from it."""
        at, names = self.clock(), names_of(group)
        later = dict.fromkeys(names, Outcome(retry_at=at))
        if not isinstance(error, MaybeRunning):
            not_begun(self.store, seen, group, at)
        if isinstance(error, Stale | NotFound | MaybeRunning):
            if isinstance(error, MaybeRunning):
                self.store.cache.mark_dirty(self.cluster, vmid_of(seen), at, "maybe-running")
            done.look_again(error.text)
            return later
        if isinstance(error, Locked | Contention):
            done.over, done.why = True, error.text
            return dict.fromkeys(names, Outcome(retry_at=soon(seen.key, at)))
        blamed = self._blamed(group, error)
        refused = isinstance(error, Refused | Forbidden)
        if refused and not blamed and len(names) > 1:
            self.separate.add(seen.key)
            done.look_again(error.text)
            return later
        guilty = blamed or set(names)
        for name in sorted(guilty):
            self.fail(seen.key, name, error.text, at)
        others = dict.fromkeys(names, Outcome())
        if refused and guilty != set(names):
            done.look_again(error.text)
            others = later
        if isinstance(error, PartlyApplied):
            done.over = True
            self._take_back(seen, error, at)
            self._remember(seen, [change for change in group if change.handler not in guilty])
        done.over = done.over or isinstance(error, Unavailable)
        return others | dict.fromkeys(sorted(guilty), Outcome(error=error.text))

    def fail(self, key: str, handler: str, text: str, at: datetime) -> None:
        """Count a failure of one step and set when it may be tried again (DEP-06)."""
        count = self.store.attempts.of(key).get(handler)
        again = not_before(key, handler, count.count + 1 if count else 1, at)
        self.store.attempts.fail(key, handler, text, at, again)

    def _take_back(self, seen: SeenVM, error: PartlyApplied, at: datetime) -> None:
        """Commit that the failed keys are to be taken back, then try to.

        A disk that may be erased waits for the next stop, which then detaches it.
        """
        erased = {f"{ERASE}{key}" for key in error.keys} & self.store.intents.of(seen.key).keys()
        refused = set(error.keys) - NOBODYS_KEYS - {kind.removeprefix(ERASE) for kind in erased}
        if not refused:
            return
        keys = ",".join(sorted(refused))
        self.store.intents.put(Intent(seen.key, REVERT, at, 0, keys))
        try:
            self._revert(seen, keys)
        except ApiError:
            logger.warning("%s: taking back %s failed; the next look does it", seen.key, keys)

    def _revert(self, seen: SeenVM, keys: str) -> None:
        """Take back the pending value of a failed hot-plug: a later stop must not apply it.

        The intent stands until that has gone through.
        """
        if seen.row and seen.memory.binding:
            vmid = seen.memory.binding.vmid
            self.store.cache.mark_dirty(self.cluster, vmid, self.clock())
            path = f"/nodes/{seen.row.node}/qemu/{vmid}/config"
            self.api.send(Call(Method.PUT, path, {"revert": keys}))
            self.store.intents.drop(seen.key, REVERT)


def _named(call: Call) -> set[str]:
    """The config keys that a call sets or deletes."""
    return {*call.params, *str(call.params.get("delete", "")).split(",")}
