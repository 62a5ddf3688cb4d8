"""What the engine keeps of stops: looks, refusals, failures and their end."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from handlers.stop import ask
from reconciler import stopping
from state.change import Outcome
from state.memory import Intent, Memory, OpenTask
from state.observed import Presence, SeenVM
from state.store import Store
from tests.engine import AT, SECOND, UUID, binding, seen, vm

RUNNING = vm(101, status="running", uptime=9000)


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.temporary(at=AT) as made:
        yield made


def running(store: Store, *intents: Intent, **fields: object) -> SeenVM:
    """A running VM with these intents, which the store holds too."""
    for intent in intents:
        store.intents.put(intent)
    memory = Memory(binding(uuid=UUID), intents=store.intents.of("web-1"))
    return replace(
        seen(memory=memory),
        **{"row": RUNNING, "status": "running", **fields},  # type: ignore[arg-type]
    )


def intent(kind: str, ago: float = 10, detail: str = "") -> Intent:
    return Intent("web-1", kind, AT - ago * SECOND, 0, detail)


def kinds(store: Store) -> dict[str, str]:
    return {kind: one.detail for kind, one in store.intents.of("web-1").items()}


def test_a_look_at_a_vm_that_may_not_be_ours_does_not_count(store: Store) -> None:
    unknown = running(store, intent("stop"), presence=Presence.UNKNOWN)
    stopping.looked(store, unknown)
    assert store.intents.of("web-1")["stop"].looks == 0


def test_c_09_a_look_at_a_stop_is_counted_with_its_time(store: Store) -> None:
    stopping.looked(store, running(store, intent("stop"), intent("force")))
    found = store.intents.of("web-1")
    assert [(one.looks, one.looked_at) for one in found.values()] == [(1, AT), (1, AT)]


def test_a_vm_that_is_off_at_last_starts_without_the_back_off_of_its_stop(store: Store) -> None:
    store.attempts.fail("web-1", "power", "it runs on", AT, AT + timedelta(hours=1))
    off = running(store, intent("stop"), intent("force"), row=vm(101), status="stopped")
    stopping.looked(store, off)
    assert list(kinds(store)) == ["stop"]
    assert store.attempts.of("web-1") == {}


def test_a_request_is_kept_before_it_is_sent_and_again_with_its_answer(store: Store) -> None:
    vm_seen = running(store)
    change = ask(vm_seen, "stop.off")
    stopping.begin(store, vm_seen, [change], AT)
    assert kinds(store) == {"stop": "off"}
    stopping.sent(store, vm_seen, [change], AT, Outcome(upid="UPID:x"))
    assert kinds(store) == {"stop": "off UPID:x"}
    stopping.sent(store, vm_seen, [change], AT, Outcome())
    assert kinds(store) == {"stop": "off sent"}


def test_what_was_refused_was_not_begun(store: Store) -> None:
    vm_seen = running(store)
    change = ask(vm_seen, "stop.off")
    stopping.begin(store, vm_seen, [change], AT)
    stopping.not_begun(store, vm_seen, [change], AT)
    assert kinds(store) == {}


def test_what_was_refused_later_leaves_what_was_before(store: Store) -> None:
    vm_seen = running(store, intent("stop", 30, "off failed"))
    change = ask(vm_seen, "stop.off")
    stopping.begin(store, vm_seen, [change], AT)
    assert kinds(store) == {"stop": "off"}
    stopping.not_begun(store, vm_seen, [change], AT)
    assert kinds(store) == {"stop": "off failed"}


def task(kind: str, ago: float = 0) -> OpenTask:
    upid = f"UPID:pve1:00000001:00000002:65E1D2C0:{kind}:101:reconcile@pve:"
    return OpenTask(upid, "web-1", "demo", "power", AT - ago * SECOND)


def test_a_failed_shutdown_is_kept_with_the_stop_it_was_for(store: Store) -> None:
    assert not stopping.shutdown_failed(store, task("qmshutdown"))
    store.intents.put(intent("stop", 30, "3f9a1c5b UPID:x"))
    assert not stopping.shutdown_failed(store, task("qmstop"))
    assert stopping.shutdown_failed(store, task("qmshutdown"))
    assert kinds(store) == {"stop": "3f9a1c5b failed"}


def test_c_14_tasks_that_stop_a_guest_are_waited_for_as_long_as_their_windows() -> None:
    assert stopping.left(task("qmshutdown", 100), AT) == 20
    assert stopping.left(task("qmstop", 100), AT) == -40
    assert stopping.left(task("qmstart", 100), AT) is None
    assert stopping.left(replace(task("qmstop"), upid="odd"), AT) is None


def test_c_09_an_old_look_stops_nobody(store: Store) -> None:
    vm_seen = running(store)
    stops = [ask(vm_seen, "stop.off")]
    assert not stopping.is_aged(vm_seen, stops, AT + 29 * SECOND)
    assert stopping.is_aged(vm_seen, stops, AT + 31 * SECOND)
    assert not stopping.is_aged(vm_seen, [], AT + 31 * SECOND)


def test_a_stop_that_is_over_leaves_nothing_but_the_policy(store: Store) -> None:
    """CP-08, CP-15: also the permission that a person gave is used up."""
    back = running(store, intent("restart", 90), intent("stop", 80, "ab"), intent("start", 20))
    stopping.conclude(store, back)
    assert kinds(store) == {}


def test_a_permission_stands_until_the_restart_was_made(store: Store) -> None:
    config = seen().config
    assert config
    waiting = replace(config, pending=frozenset({"cores"}))
    stopping.conclude(store, running(store, intent("restart", 90), config=waiting))
    assert kinds(store) == {"restart": ""}
