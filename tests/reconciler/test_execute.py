"""Sending one VM's changes: what goes together, what follows from each kind of error."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from handlers.handler import Handler
from handlers.stop import START
from reconciler.execute import Done, Executor
from reconciler.outgoing import starts_task, turn
from reconciler.plan import change_hash
from reconciler.registry import ending_handlers, vm_handlers
from state.api import (
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
from state.cache import CachedVM
from state.change import Call, Change, Effect, Method, Outcome
from state.memory import Binding, Intent, Memory, Phase
from state.observed import SeenVM
from state.store import Store
from tests.engine import (
    AT,
    SECOND,
    UPID,
    UUID,
    Answer,
    Answers,
    HandClock,
    absent,
    binding,
    change,
    config_put,
    seen,
)

VM = "/nodes/pve1/qemu/101"
CONFIG = f"{VM}/config"
CPU = config_put("cpu", "cores", cores=4)
MEMORY = config_put("memory", "memory", memory=2048)
TAGS = config_put("tags", "tags", tags="a;b", delete="description")
START_CALL = change(
    "power", "power", new="running", calls=(Call(Method.POST, f"{VM}/status/start"),)
)
FIREWALL = change("firewall", "policy", calls=(Call(Method.PUT, f"{VM}/firewall/options"),))
GROW = change("disks", "scsi0.size", calls=(Call(Method.PUT, f"{VM}/resize", {"size": "9G"}),))
ADD = change("disks", "scsi1", calls=(Call(Method.POST, CONFIG, {"scsi1": "local:5"}),))
CLONE = change("exists", "vm", old=None, new="clone", gate=True, calls=(
    Call(Method.POST, "/nodes/pve1/qemu/9000/clone"),
))  # fmt: skip
TASK = UPID.format(kind="qmstart", id=101)


@dataclass
class Hands:
    """An executor on an API that answers as told, and the store that it writes to."""

    answers: dict[str, Sequence[Answer]] = field(default_factory=dict)
    bound: Binding = field(default_factory=lambda: binding(uuid=UUID))
    clock: HandClock = field(default_factory=lambda: HandClock(step=0.5))

    def __post_init__(self) -> None:
        self.store = Store.temporary(at=AT)
        self.store.bindings.bind(self.bound)
        self.api = Answers(self.answers)
        every = (*vm_handlers(), *ending_handlers())
        handlers: Mapping[str, Handler] = {one.name: one for one in every}
        self.executor = Executor(self.api, self.store, handlers, self.clock.now, "demo")

    def run(self, *changes: Change, found: SeenVM | None = None) -> Done:
        self.api.sent.clear()
        return self.executor.run(found or self.seen(), changes)

    def seen(self) -> SeenVM:
        """The VM with what the store remembers of it."""
        return seen(memory=self.store.memories(["web-1"])["web-1"])

    def refuse(self, path: str, *errors: Exception) -> None:
        """The first calls to a path fail like this, the next goes through."""
        self.answers[path] = [*errors, None]

    @property
    def sent(self) -> list[tuple[str, set[str]]]:
        """What went out: the end of each path, and the parameters' names."""
        return [(call.path.rpartition("/")[2], set(call.params)) for call in self.api.sent]

    def failures(self) -> dict[str, int]:
        return {name: one.count for name, one in self.store.attempts.of("web-1").items()}

    def intents(self) -> set[str]:
        return set(self.store.intents.of("web-1"))


@pytest.fixture
def hands() -> Hands:
    return Hands()


def errors(done: Done) -> dict[str, str | None]:
    return {name: outcome.error for name, outcome in done.outcomes.items()}


def test_c_09_nobody_is_stopped_by_a_look_from_before_a_pause_of_the_runner() -> None:
    hands = Hands()
    stop = change(
        "power", "stop", new="stopped", calls=(Call(Method.POST, f"{VM}/status/shutdown"),)
    )
    hands.clock.sleep(60.0)
    done = hands.run(stop)
    assert (done.again, done.over, hands.api.sent) == (True, True, [])
    assert "stood still" in done.why


def test_all_config_keys_of_a_vm_go_out_as_one_call_with_the_digest_seen(hands: Hands) -> None:
    """Design 3.5"""
    done = hands.run(CPU, MEMORY, TAGS)
    (call,) = hands.api.sent
    assert call == Call(
        Method.PUT,
        CONFIG,
        {"cores": 4, "memory": 2048, "tags": "a;b", "delete": "description", "digest": "d1"},
    )
    assert all(done.landed(name) for name in ("cpu", "memory", "tags"))
    assert not done.landed("disks")
    assert done.seconds.keys() == {"cpu", "memory", "tags"}


def test_a_vm_whose_config_was_not_read_is_sent_no_digest(hands: Hands) -> None:
    hands.run(CPU, found=replace(hands.seen(), config=None))
    assert hands.sent == [("config", {"cores"})]


def test_config_goes_first_quick_calls_next_and_what_starts_a_task_last(hands: Hands) -> None:
    done = hands.run(GROW, FIREWALL, CPU)
    assert [path for path, _ in hands.sent] == ["config", "options", "resize"]
    assert all(outcome.done for outcome in done.outcomes.values())


def test_a_call_that_starts_a_task_ends_the_vms_turn(hands: Hands) -> None:
    """Design 3.5: the UPID is stored at once."""
    hands.answers[f"{VM}/resize"] = [UPID.format(kind="resize", id=101)]
    done = hands.run(GROW, START_CALL)
    assert [path for path, _ in hands.sent] == ["resize"]
    assert done.landed("disks")
    task = hands.store.tasks.all()["web-1"]
    assert (task.upid, task.handler, task.cluster) == (
        UPID.format(kind="resize", id=101),
        "disks",
        "demo",
    )


def test_a_gate_goes_out_only_alone(hands: Hands) -> None:
    assert turn([CLONE, CPU]) == [CPU]
    assert turn([CLONE, CLONE]) == [CLONE]
    assert turn([]) == []


@pytest.mark.parametrize(
    ("one", "starts"),
    [(GROW, True), (ADD, True), (START_CALL, True), (CLONE, True), (CPU, False), (FIREWALL, False)],
)
def test_what_may_answer_with_a_task_is_known_by_its_path(one: Change, starts: bool) -> None:
    assert starts_task([one]) is starts


def test_an_allocation_carries_the_digest_and_a_resize_does_not(hands: Hands) -> None:
    hands.run(ADD, GROW)
    assert hands.sent == [("config", {"scsi1", "digest"}), ("resize", {"size"})]


def test_before_any_write_the_cached_row_is_dirty(hands: Hands) -> None:
    """Design 3.2"""

    def looked() -> None:
        kept = hands.store.cache.all("demo")[101]
        assert (kept.dirty, kept.dirty_reason, kept.firewall_json) == (True, "write", None)

    hands.answers[CONFIG] = [looked]
    hands.run(CPU)
    assert len(hands.api.sent) == 1


@pytest.mark.parametrize("one", [FIREWALL, CLONE])
def test_what_touches_the_firewall_makes_it_be_read_again(hands: Hands, one: Change) -> None:
    kept = CachedVM(101, "[]", firewall_json="{}", read_at=AT, firewall_read_at=AT)
    hands.store.cache.put("demo", kept, begun_at=AT)
    hands.run(CPU)
    assert hands.store.cache.all("demo")[101].firewall_json == "{}"
    hands.run(one)
    assert hands.store.cache.all("demo")[101].firewall_json is None


def test_a_refused_key_leaves_its_owner_out_and_sends_the_rest_once_more(hands: Hands) -> None:
    """C-23, DEP-07: nothing was applied, so the digest is still the same."""
    hands.refuse(CONFIG, Refused("bad memory", 400, {"memory": "too much"}))
    done = hands.run(CPU, MEMORY, TAGS)
    assert hands.sent[1] == ("config", {"cores", "tags", "delete", "digest"})
    assert errors(done) == {"cpu": None, "memory": "bad memory", "tags": None}
    assert hands.failures() == {"memory": 1}
    assert not done.landed("memory")


def test_a_key_that_nobody_sent_blames_its_owner(hands: Hands) -> None:
    hands.refuse(CONFIG, Refused("bad", 400, {"sockets": "too many"}))
    assert errors(hands.run(CPU, MEMORY)) == {"cpu": "bad", "memory": None}


def test_a_second_refusal_counts_for_those_that_it_names(hands: Hands) -> None:
    """Nothing of the second call was applied either: nobody landed."""
    hands.refuse(
        CONFIG, Refused("one", 400, {"cores": "no"}), Refused("two", 400, {"memory": "no"})
    )
    done = hands.run(CPU, MEMORY, TAGS)
    assert (hands.failures(), done.again) == ({"cpu": 1, "memory": 1}, True)
    assert not any(done.landed(name) for name in ("cpu", "memory", "tags"))


def test_when_all_are_to_blame_nothing_is_sent_again(hands: Hands) -> None:
    hands.refuse(CONFIG, Refused("bad", 400, {"cores": "no"}))
    done = hands.run(CPU)
    assert (len(hands.sent), hands.failures(), done.again) == (1, {"cpu": 1}, False)


@pytest.mark.parametrize("kind", [Refused, Forbidden])
def test_a_refusal_that_names_no_owned_key_sends_them_one_by_one(
    hands: Hands, kind: type[ApiError]
) -> None:
    """Design 3.5: each after a new look; `delete`, `revert` and `digest` are nobody's."""
    hands.refuse(CONFIG, kind("no", 403, {"delete": "unknown"}))
    done = hands.run(CPU, MEMORY, START_CALL)
    assert (done.again, done.why, hands.failures()) == (True, "no", {})
    assert (hands.executor.separate, len(hands.sent)) == ({"web-1"}, 1)
    done = hands.run(CPU, MEMORY, FIREWALL)
    assert hands.sent == [("config", {"cores", "digest"})]
    assert hands.run(FIREWALL).landed("firewall")


def test_one_handler_alone_that_is_refused_without_a_name_has_failed(hands: Hands) -> None:
    hands.refuse(CONFIG, Forbidden("Permission check failed", 403))
    assert errors(hands.run(CPU)) == {"cpu": "Permission check failed"}
    assert hands.failures() == {"cpu": 1}


def test_failures_in_a_row_are_counted_and_wait_longer(hands: Hands) -> None:
    """DEP-06"""
    for count in (1, 2, 3):
        hands.refuse(CONFIG, Refused("bad", 400))
        hands.api.sent.clear()
        hands.run(CPU)
        attempt = hands.store.attempts.of("web-1")["cpu"]
        assert attempt.count == count
    assert (attempt.not_before - attempt.at).total_seconds() > 60


def test_what_is_refused_stops_none_of_the_others(hands: Hands) -> None:
    """C-23"""
    hands.refuse(f"{VM}/firewall/options", Refused("no", 400))
    done = hands.run(CPU, FIREWALL, GROW)
    assert [path for path, _ in hands.sent] == ["config", "options", "resize"]
    assert errors(done) == {"cpu": None, "firewall": "no", "disks": None}


@pytest.mark.parametrize("error", [Stale("modified by another"), NotFound("no such vm")])
def test_what_moved_under_us_is_looked_at_again_and_is_no_failure(
    hands: Hands, error: ApiError
) -> None:
    hands.refuse(CONFIG, error)
    done = hands.run(CPU, FIREWALL)
    assert (done.again, done.why, len(hands.sent)) == (True, error.text, 1)
    assert (hands.failures(), done.landed("cpu")) == ({}, False)


def test_a_lost_answer_leaves_the_vm_in_doubt(hands: Hands) -> None:
    """Design 3.2: only two equal digests end it."""
    hands.refuse(CONFIG, MaybeRunning("cut"))
    done = hands.run(CPU, FIREWALL)
    assert (done.again, len(hands.sent)) == (True, 1)
    assert hands.store.cache.all("demo")[101].dirty_reason == "maybe-running"


@pytest.mark.parametrize("error", [Locked("VM is locked (backup)"), Contention("got timeout")])
def test_a_busy_lock_is_tried_again_soon_and_is_no_failure(hands: Hands, error: ApiError) -> None:
    """DEP-08, DEP-26"""
    hands.refuse(CONFIG, error)
    done = hands.run(CPU, FIREWALL)
    outcome = done.outcomes["cpu"]
    assert outcome.retry_at is not None
    assert SECOND < outcome.retry_at - hands.clock.at < 3 * SECOND
    assert (done.again, done.over, len(hands.sent), hands.failures()) == (False, True, 1, {})


def test_a_node_that_is_not_reached_fails_the_step_and_ends_the_turn(hands: Hands) -> None:
    hands.refuse(CONFIG, Unavailable("refused"))
    done = hands.run(CPU, FIREWALL)
    assert (hands.failures(), done.over, len(hands.sent)) == ({"cpu": 1}, True, 1)


def test_a_failed_hot_plug_is_taken_back_and_the_others_have_landed(hands: Hands) -> None:
    """Design 3.5: never resent; a later stop must not apply it."""
    hands.refuse(CONFIG, PartlyApplied("hotplug problem", 400, {"memory": "no"}))
    done = hands.run(CPU, MEMORY, FIREWALL)
    assert hands.api.sent[1] == Call(Method.PUT, CONFIG, {"revert": "memory"})
    assert (len(hands.sent), done.over, hands.failures()) == (2, True, {"memory": 1})
    assert (done.landed("cpu"), done.landed("memory"), hands.intents()) == (True, False, set())


def test_what_could_not_be_taken_back_is_by_the_next_look_and_nothing_else(
    hands: Hands, caplog: pytest.LogCaptureFixture
) -> None:
    hands.refuse(CONFIG, PartlyApplied("hotplug", 400, {"memory": "no"}), Unavailable("refused"))
    with caplog.at_level(logging.WARNING):
        hands.run(MEMORY)
    assert "taking back memory failed; the next look does it" in caplog.text
    assert hands.intents() == {"revert"}
    hands.answers.clear()
    done = hands.run(CPU)
    assert hands.sent == [("config", {"revert"})]
    assert (done.again, done.why, hands.intents()) == (
        True,
        "a pending value was taken back",
        set(),
    )
    assert hands.store.cache.all("demo")[101].dirty


def test_a_failed_hot_plug_of_no_known_key_takes_nothing_back(hands: Hands) -> None:
    hands.refuse(CONFIG, PartlyApplied("hotplug problem", 400, {"digest": "?"}))
    hands.run(MEMORY)
    assert (len(hands.sent), hands.intents()) == (1, set())


def test_nothing_is_taken_back_on_a_vm_that_is_not_there(hands: Hands) -> None:
    hands.store.intents.put(Intent("web-1", "revert", AT, 0, "memory"))
    found = absent(memory=hands.seen().memory)
    assert hands.run(CLONE, found=found).again
    assert (hands.sent, hands.intents()) == ([], {"revert"})


def test_a_start_is_intended_before_it_is_sent(hands: Hands) -> None:
    """C-08, C-24: the window is a stored instant of our own clock."""

    def looked() -> str:
        assert START in hands.intents()
        return TASK

    hands.answers[f"{VM}/status/start"] = [looked]
    assert hands.run(START_CALL).outcomes["power"].upid == TASK
    assert START in hands.intents()


@pytest.mark.parametrize(
    "error",
    [Locked("locked"), Contention("busy"), NotFound("moved"), Refused("no"), Forbidden("no")],
)
def test_a_start_that_surely_did_not_begin_opens_no_window(hands: Hands, error: ApiError) -> None:
    """C-08: else the VM would be waited for a minute, and called failed."""
    hands.refuse(f"{VM}/status/start", error)
    hands.run(START_CALL)
    assert hands.intents() == set()


def test_a_start_that_may_have_begun_keeps_its_window(hands: Hands) -> None:
    hands.refuse(f"{VM}/status/start", MaybeRunning("cut"))
    hands.run(START_CALL)
    assert hands.intents() == {START}


PASSWORD = config_put("cloudinit", "password", cipassword="x")


def with_print(one: Change) -> Change:
    return replace(one, remember=(("password", "f1"),))


def fingerprints(hands: Hands) -> Mapping[str, str]:
    return hands.store.memories(["web-1"])["web-1"].fingerprints


def test_a_fingerprint_is_intended_before_the_write_and_a_fact_after_it(hands: Hands) -> None:
    """C-17, design 4, Secrets"""

    def looked() -> None:
        assert hands.store.intents.of("web-1")["write:password"].detail == "f1"
        assert "password" not in fingerprints(hands)

    hands.answers[CONFIG] = [looked]
    hands.run(with_print(PASSWORD), CPU)
    assert (fingerprints(hands), hands.intents()) == ({"password": "f1"}, set())


@pytest.mark.parametrize("error", [MaybeRunning("cut"), Refused("no"), Stale("old")])
def test_a_write_that_was_not_confirmed_stays_an_intent(hands: Hands, error: ApiError) -> None:
    hands.refuse(CONFIG, error)
    hands.run(with_print(PASSWORD))
    assert (fingerprints(hands), hands.intents()) == ({}, {"write:password"})


def test_the_rest_of_a_refused_call_is_remembered(hands: Hands) -> None:
    hands.refuse(CONFIG, Refused("no", 400, {"cores": "no"}))
    hands.run(CPU, with_print(PASSWORD))
    assert fingerprints(hands) == {"password": "f1"}


def test_what_landed_beside_a_failed_hot_plug_is_remembered(hands: Hands) -> None:
    hands.refuse(CONFIG, PartlyApplied("no", 400, {"memory": "no"}))
    hands.run(MEMORY, with_print(PASSWORD))
    assert fingerprints(hands) == {"password": "f1"}


def test_a_machine_cloned_anew_begins_as_a_deploy_without_identity_or_password() -> None:
    """DEP-13, CI-01: until it is seen nothing may destroy it; the template's password goes."""
    ready = binding(uuid=UUID, phase=Phase.READY, ready_at=AT, created_at=AT, template=9000)
    hands = Hands(bound=ready)
    hands.store.vault.set_fingerprint("web-1", "password", "f1")
    hands.run(CLONE, found=absent(memory=hands.seen().memory))
    bound = hands.store.bindings.all()["web-1"]
    assert (bound.uuid, bound.phase, bound.ready_at) == (None, Phase.DEPLOY, None)
    assert bound.created_at is not None
    assert (bound.created_at > AT, fingerprints(hands)) == (True, {"password": ""})


def test_a_first_clone_changes_nothing_in_the_binding() -> None:
    first = binding(created_at=AT)
    hands = Hands(bound=first)
    hands.run(CLONE, found=absent(memory=Memory(first)))
    assert hands.store.bindings.all()["web-1"] == first


def test_an_approval_is_used_up_when_its_change_is_sent(hands: Hands) -> None:
    asks = replace(CPU, approval=True)
    hashed = change_hash(hands.seen(), asks, hands.store.vault.key)
    hands.store.approvals.grant("d", f'["{hashed}"]', AT + 60 * SECOND, "ann", AT)
    hands.run(asks)
    assert hands.store.approvals.open_changes(AT) == set()


def test_destroys_and_restarts_are_counted_in_the_journal_before_they_are_sent(
    hands: Hands,
) -> None:
    """Design 4: thresholds hold over a rolling 24 h, over many runs."""
    hands.refuse(f"{VM}/status/start", MaybeRunning("cut"))
    hands.run(replace(START_CALL, effect=Effect.STOP_START))
    hands.run(replace(GROW, effect=Effect.DESTROY), CPU)
    journal = hands.store.journal
    assert (len(journal.restarted_since(AT)), len(journal.destroyed_since(AT))) == (1, 0)
    hands.run(replace(START_CALL, handler="terminate", field="vm", effect=Effect.DESTROY))
    assert (len(journal.restarted_since(AT)), len(journal.destroyed_since(AT))) == (1, 1)


POOL = [
    (key, change("pool", subject=key, group="pool:customers", calls=(
        Call(Method.PUT, "/pools", {"poolid": "customers", "vms": str(vmid)}),
    )))
    for key, vmid in (("web-1", 101), ("web-2", 102))
]  # fmt: skip


def test_what_several_vms_share_goes_out_as_one(hands: Hands) -> None:
    done = hands.executor.run_group("pool", POOL)
    (call,) = hands.api.sent
    assert call.params == {"poolid": "customers", "vms": "101,102"}
    assert done.landed("pool")
    assert done.seconds["pool"] > 0


def test_a_failure_of_the_group_is_each_vms_own(hands: Hands) -> None:
    hands.refuse("/pools", Refused("pool 'customers' does not exist", 400))
    done = hands.executor.run_group("pool", POOL)
    assert errors(done) == {"pool": "pool 'customers' does not exist"}
    for key, _ in POOL:
        assert hands.store.attempts.of(key)["pool"].count == 1


def test_an_error_of_our_own_is_nobodys_to_hide(hands: Hands) -> None:
    """It is caught in one place, once for the VM (DEP-27)."""

    def broken() -> None:
        raise ZeroDivisionError

    hands.answers[CONFIG] = [broken]
    with pytest.raises(ZeroDivisionError):
        hands.run(CPU)


def test_outcomes_are_done_only_without_task_error_and_wait() -> None:
    assert Outcome().done
    for other in (Outcome(upid="u"), Outcome(error="e"), Outcome(retry_at=AT)):
        assert not other.done
