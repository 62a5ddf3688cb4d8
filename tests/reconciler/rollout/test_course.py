"""What is set down of a batch at work, and what a person's word changes."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.guard import Guarded
from reconciler.plan import VMPlan
from reconciler.rollout.course import booked, line_of, waits_for
from reconciler.rollout.health import Health
from reconciler.turn import Standing, Turn
from state.api import ApiError, Forbidden, Refused
from state.change import Note
from state.rollouts import Rollout
from state.store import Store
from tests.engine import AT, UUID, Answers, binding, seen, spec
from tests.lab import Lab
from tests.laws.test_rollout import RULES, conditions, deployed, files, rollouts, states, written
from tests.reconciler.rollout.test_renewal import TWO, out, told

LATER = AT + timedelta(minutes=11)


def turn(key: str, standing: Standing = Standing.READY, *notes: Note, why: str = "") -> Turn:
    last = Guarded(VMPlan(seen(key)), notes=notes)
    return Turn(spec(key), standing, why=why, last=last)


def book(one: Rollout, *turns: Turn, lacks: str = "", at: object = AT) -> Rollout:
    return booked(one, {each.key: each for each in turns}, lambda _: lacks, at)  # type: ignore[arg-type]


def test_a_vm_that_is_ready_and_well_is_done_and_the_pause_begins() -> None:
    one = out({TWO}, a="working", b="waiting")
    after = book(one, turn("a"), at=LATER)
    assert (told(after), after.moved_at, after.state) == (
        {"a": "done", "b": "waiting"},
        LATER,
        "active",
    )
    assert book(after, turn("a"), at=LATER + timedelta(hours=1)) == after
    last = book(out({TWO}, a="working"), turn("a"))
    assert (last.state, last.ended_at) == ("done", AT)


def test_a_vm_that_is_not_looked_at_or_not_ready_stays_at_work() -> None:
    one = out({TWO}, a="working", b="waiting")
    assert book(one) == one
    after = book(one, turn("a", Standing.PAUSED, why="held: x"))
    assert (told(after)["a"], after.members[0].why, after.state) == ("working", "held: x", "active")


def test_a_failure_pauses_and_is_named() -> None:
    one = out({TWO}, a="working", b="waiting")
    after = book(one, turn("a", Standing.FAILED, why="no room"))
    assert (after.state, after.why) == ("paused", "a: no room")
    beside = turn("a", Standing.READY, Note("a", "tags", "tags", "refused: x", "BackOff"))
    assert book(one, beside).why == "a: refused: x"
    bare = Turn(spec("a"), Standing.FAILED)
    assert book(one, bare).why == "a: it is failed"
    aborted = replace(one, state="aborted")
    assert book(aborted, turn("a", Standing.FAILED, why="x")).state == "aborted"


def test_an_unwell_vm_is_given_some_time() -> None:
    one = out({TWO}, a="working", b="waiting")
    once = book(one, turn("a"), lacks="no agent")
    assert (once.state, once.members[0].why) == ("active", "no agent")
    assert book(once, turn("a"), lacks="no agent", at=AT + timedelta(minutes=9)) == once
    assert book(once, turn("a"), lacks="no agent", at=LATER).why == "a: no agent"


def test_a_vm_whose_restart_waits_for_another_is_not_done() -> None:
    waits = Note("a", "power", "stop", "waits until b runs", "GroupDown")
    after = book(out({TWO}, a="working"), turn("a", Standing.READY, waits))
    assert (told(after)["a"], after.members[0].why) == ("working", "waits until b runs")


def test_words_say_what_waits_and_what_helps() -> None:
    one = out({TWO}, a="done", b="working", c="waiting")
    assert line_of(one) == "rollout 1 (x): active, 1 of 3 VMs done; at work: b"
    assert waits_for(one) == "waits for its batch in rollout 1 (x)"
    paused = replace(one, state="paused", why="b: no")
    assert waits_for(paused) == "rollout 1 (x) is paused: b: no; then reconcile rollout resume 1"
    assert line_of(paused).endswith("at work: b: b: no")
    assert "was aborted" in waits_for(replace(one, state="aborted"))


@pytest.mark.parametrize(
    ("answer", "lacks"),
    [
        (None, ""),
        (Forbidden("no"), ""),
        (Refused("not running"), "its guest agent does not answer: not running"),
    ],
)
def test_a_guest_agent_that_the_spec_has_must_answer(answer: ApiError | None, lacks: str) -> None:
    api = Answers({"/nodes/pve1/qemu/101/agent/info": [answer]})
    site = type("S", (), {"api": api})()
    with Store.temporary(at=AT) as store:
        asks = Health({"demo": site}, store)
        asked = Turn(spec("a", agent=True))
        assert asks(asked) == ""
        store.bindings.bind(binding("a", 101, uuid=UUID, node="pve1"))
        assert asks(asked) == lacks
        assert asks(Turn(spec("a", agent=True), last=turn("a").last)) == lacks
        for other in (spec("a"), spec("a", agent=True, power="stopped")):
            assert asks(Turn(other)) == ""
        assert Health({}, store)(asked) == ""


def said(lab: Lab, **fields: object) -> None:
    with Store.open(lab.where, at=lab.clock.now()) as store:
        (one,) = store.rollouts.holding()
        store.rollouts.save([replace(one, **fields)])  # type: ignore[arg-type]


def test_aborted_what_is_applied_stays_and_the_rest_until_it_is_edited(tmp_path: Path) -> None:
    lab = deployed(tmp_path)
    lab.write(files("2GiB"))
    lab.run()
    said(lab, state="aborted", why="a person aborted it")
    lab.clock.sleep(1000.0)
    lab.run()
    assert written(lab) == [100]
    assert len(conditions(lab, "RolloutAborted")) == 5
    lab.write(files("1GiB"))
    lab.settle(apart=400.0)
    assert {lab.world.vms[vmid].config["memory"] for vmid in range(100, 106)} == {"1024"}
    assert rollouts(lab)[0].state == "superseded"
    assert conditions(lab, "RolloutAborted") == {}


def test_paused_by_a_person_it_goes_on_when_resumed(tmp_path: Path) -> None:
    lab = deployed(tmp_path)
    lab.write(files("2GiB"))
    lab.run()
    said(lab, state="paused", why="slow")
    lab.clock.sleep(1000.0)
    lab.run()
    assert written(lab) == [100]
    said(lab, state="active", why="")
    lab.settle(apart=400.0)
    assert (rollouts(lab)[0].state, states(rollouts(lab)[0])) == ("done", "oooooo")
    with lab.store() as store:
        assert len(store.outbox.past("rollout_done")) == 1


def test_turned_off_every_vm_gets_it_at_once(tmp_path: Path) -> None:
    lab = deployed(tmp_path)
    lab.write(files("2GiB"))
    lab.run()
    lab.write(files("2GiB", rules="rollout: off\n"))
    lab.run()
    assert len(written(lab)) == 6
    assert RULES.startswith("rollout")


def test_a_rollout_follows_a_vm_to_its_new_key(tmp_path: Path) -> None:
    lab = deployed(tmp_path, b1="memory: 1GiB")
    with Store.open(lab.where, at=lab.clock.now()) as store:
        store.rollouts.save([out({TWO}, b1="waiting")])
        store.bindings.rename_key("b1", "b2")
        assert [one.key for one in store.rollouts.recent()[0].members] == ["b2"]
