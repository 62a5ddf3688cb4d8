"""What the guard makes of windows, of stops that were begun, and of the share of restarts."""

from collections import Counter
from dataclasses import replace

import pytest

from desired.catalog import Guard
from desired.windows import Window
from reconciler.plan import VMPlan
from state.change import Change, Effect, Note
from state.memory import Intent, Memory
from state.observed import SeenVM
from tests.engine import AT, SECOND, UUID, binding, change, seen, vm
from tests.reconciler.test_guard import gate

FREEZE = {"freeze": Window.model_validate({"start": "0 0 * * *", "for": "1d", "kind": "deny"})}
RESTARTS = {
    "freeze": Window.model_validate(
        {"start": "0 0 * * *", "for": "1d", "kind": "deny", "effects": ["stop-start"]}
    )
}


def restart(**fields: object) -> Change:
    plain: dict[str, object] = {"old": "running", "new": "stopped", "effect": Effect.STOP_START}
    return change("power", "stop", **plain | fields)


def with_intent(kind: str, detail: str = "", ago: float = 10, status: str = "running") -> SeenVM:
    intent = Intent("web-1", kind, AT - ago * SECOND, 0, detail)
    memory = Memory(binding(uuid=UUID), intents={kind: intent})
    row = vm(101, status=status, uptime=9000)
    return seen(memory=memory, row=row, status=status)


def test_c_24_a_deny_window_withholds_what_it_names() -> None:
    found = gate(10).check(VMPlan(seen(), (change("cpu"), change("tags"))), FREEZE)
    assert [one.handler for one in found.withheld] == ["cpu", "tags"]
    assert [(one.condition, one.blocking) for one in found.notes] == [
        ("WindowClosed", True),
        ("WindowClosed", False),
    ]
    assert found.notes[0].reason == "window freeze denies it until 2026-03-02 00:00 UTC"
    assert gate(10).check(VMPlan(seen(), (change("cpu"),)), RESTARTS).allowed


def test_c_24_a_restart_that_a_window_denies_leaves_the_vm_as_it_should_be_for_now() -> None:
    found = gate(10).check(VMPlan(seen(), (restart(),)), RESTARTS)
    assert [(one.condition, one.blocking) for one in found.notes] == [("WindowClosed", False)]


@pytest.mark.parametrize(
    ("kind", "detail", "passes"),
    [("restart", "", False), ("restart", "now", True), ("stop", "ab UPID:x", True)],
)
def test_c_24_now_and_what_was_begun_go_before_a_deny_window(
    kind: str, detail: str, passes: bool
) -> None:
    found = gate(10).check(VMPlan(with_intent(kind, detail), (restart(),)), RESTARTS)
    assert bool(found.allowed) is passes


def test_c_09_while_a_guest_shuts_down_nothing_else_is_sent_to_it() -> None:
    going, wait = (
        with_intent("stop", "ab UPID:x"),
        Note("web-1", "power", "stop", "", blocking=True),
    )
    plan = VMPlan(going, (change("cpu"), change("tags")), (wait,))
    found = gate(10).check(plan)
    assert not found.allowed
    assert [one.reason for one in found.notes[1:]] == ["waits: the guest is being stopped"] * 2
    off = with_intent("stop", "ab UPID:x", status="stopped")
    assert len(gate(10).check(VMPlan(off, (change("cpu"), change("tags")), (wait,))).allowed) == 2
    given_up = VMPlan(going, (change("cpu"),))
    assert gate(10).check(given_up).allowed


def test_the_share_has_room_for_one_and_for_what_is_counted_or_asked_for() -> None:
    assert gate(1).check(VMPlan(seen(), (restart(),))).allowed
    spent = Counter({Effect.STOP_START: 1})
    assert not gate(1, effects=Counter(spent)).check(VMPlan(seen(), (restart(),))).allowed
    again = gate(1, effects=Counter(spent))
    again.spent.learn(Effect.STOP_START, {"web-1"})
    assert again.check(VMPlan(seen(), (restart(),))).allowed
    for kind in ("restart", "stop"):
        asked = gate(1, effects=Counter(spent))
        assert asked.check(VMPlan(with_intent(kind), (restart(),))).allowed
    strict = replace(gate(1), thresholds=Guard.model_validate({"restarts": "0%"}))
    assert not strict.check(VMPlan(seen(), (restart(),))).allowed
