"""What an edited source makes of rollouts that are out."""

from dataclasses import replace
from datetime import timedelta

from desired.rollout import RolloutRules
from reconciler.rollout.edits import Survey
from reconciler.rollout.renewal import renewed, words
from state.rollouts import Edit, Member, MemberState, Rollout
from tests.engine import AT
from tests.reconciler.rollout.test_batches import rollout

NOW = AT + timedelta(hours=1)
RULES = RolloutRules(over=2)
TWO: Edit = (("memory",), '"2GiB"')
THREE: Edit = (("memory",), '"3GiB"')
CORES: Edit = (("cpu", "cores"), "2")


def needing(edit: Edit, keys: str, also: dict[str, Edit] | None = None) -> Survey:
    more = also or {}
    return Survey({key: frozenset({edit, more.get(key, edit)}) for key in keys})


def out(edits: set[Edit], **states: MemberState) -> Rollout:
    members = tuple(
        Member(key, state, 0 if state == "waiting" else 1, "", AT) for key, state in states.items()
    )
    return rollout(edits=frozenset(edits), members=members)


def told(one: Rollout) -> dict[str, str]:
    return {member.key: member.state for member in one.members}


def test_an_edit_of_many_begins_a_rollout_and_one_of_few_none() -> None:
    (new,) = renewed([], needing(TWO, "abc"), RULES, AT)
    assert (new.id, new.state, new.about) == (0, "active", "memory = 2GiB")
    assert new.edits == frozenset({TWO})
    assert told(new) == dict.fromkeys("abc", "waiting")
    assert renewed([], needing(TWO, "ab"), RULES, AT) == []


def test_an_edit_that_is_out_goes_on_with_those_that_still_need_it() -> None:
    one = out({TWO}, a="done", b="working", c="waiting", d="waiting")
    assert renewed([one], needing(TWO, "bcd"), RULES, NOW) == [one]
    (same,) = renewed([one], needing(TWO, "ce"), RULES, NOW)
    assert told(same) == {"a": "done", "b": "done", "c": "waiting", "d": "left", "e": "waiting"}
    assert same.id == 1


def test_who_needs_it_again_waits_again_but_for_whom_a_person_left_out() -> None:
    one = out({TWO}, a="done", b="left", c="left", d="waiting")
    members = [replace(one.members[2], batch=0)]
    (same,) = renewed([one.with_members(members)], needing(TWO, "abcd"), RULES, NOW)
    assert told(same) == {"a": "waiting", "b": "left", "c": "waiting", "d": "waiting"}


def test_another_value_takes_its_place_and_begins_with_what_is_at_work() -> None:
    one = out({TWO}, a="done", b="working", c="waiting")
    old, new = renewed([one], needing(THREE, "abc"), RULES, NOW)
    assert (old.state, old.why, old.ended_at) == ("superseded", "the specs were edited again", NOW)
    assert told(old) == {"a": "done", "b": "left", "c": "left"}
    assert told(new) == {"a": "waiting", "b": "working", "c": "waiting"}
    assert (new.id, new.state) == (0, "active")


def test_a_further_field_makes_one_rollout_of_both() -> None:
    one = out({TWO}, a="done", b="working", c="waiting")
    found = Survey({"a": frozenset({CORES}), **dict.fromkeys("bc", frozenset({TWO, CORES}))})
    old, new = renewed([one], found, RULES, NOW)
    assert old.state == "superseded"
    assert new.edits == {TWO, CORES}
    assert told(new) == {"a": "waiting", "b": "working", "c": "waiting"}


def test_a_rollout_that_nobody_needs_any_more_is_over() -> None:
    (back,) = renewed([out({TWO}, a="done", b="waiting")], Survey({}), RULES, NOW)
    assert (back.state, back.why, told(back)["b"]) == (
        "superseded",
        "no VM needs it any more",
        "left",
    )
    (done,) = renewed([out({TWO}, a="done", b="working")], Survey({}), RULES, NOW)
    assert (done.state, done.why, told(done)["b"]) == ("done", "", "done")


def test_rollouts_that_are_turned_off_let_go_of_all() -> None:
    one = out({TWO}, a="waiting")
    (over,) = renewed([one], needing(TWO, "a"), RolloutRules(over=None), NOW)
    assert over.state == "superseded"


def test_a_vm_whose_spec_cannot_be_read_stays_where_it_is() -> None:
    one = out({TWO}, a="done", b="waiting", c="working", d="waiting")
    assert renewed([one], Survey({}), RULES, NOW, {"b", "c", "d"}) == [one]
    (same,) = renewed([one], needing(TWO, "d"), RULES, NOW, {"b"})
    assert told(same) == {"a": "done", "b": "waiting", "c": "done", "d": "waiting"}


def test_an_edit_is_told_in_words() -> None:
    edits: list[Edit] = [
        (("agent",), "true"),
        (("nics", "net1"), ""),
        (("nics", "net2"), '{"bridge": "vmbr0"}'),
        (("pool",), "null"),
        TWO,
    ]
    assert words(edits[:2]) == "agent = true, nics.net1 taken out"
    assert words(edits[2:]) == "memory = 2GiB, nics.net2 = {...}, pool = none"
    assert words(edits).endswith(" and 2 more fields")
