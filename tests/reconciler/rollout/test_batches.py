"""Who is next: never more at work than may be, and everybody in the end."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from desired.rollout import RolloutRules
from reconciler.rollout.batches import begin, grouping, next_batch, preview
from reconciler.rollout.course import advanced
from state.rollouts import Member, Rollout
from tests.engine import AT, fleet, spec


def rollout(*keys: str, **fields: object) -> Rollout:
    members = tuple(Member(key, "waiting", 0, "", AT) for key in keys)
    plain = {"id": 1, "edits": frozenset(), "about": "x", "state": "active", "why": ""}
    return Rollout(**{**plain, "begun_at": AT, "moved_at": AT, "members": members, **fields})  # type: ignore[arg-type]


def keys_of(number: int) -> list[str]:
    return [f"web/{one}" for one in range(1, number + 1)]


def alone(key: str) -> str:
    return ""


def rules(**fields: object) -> RolloutRules:
    return RolloutRules.model_validate(fields)


def test_the_canary_goes_first_and_the_rest_in_shares() -> None:
    found = preview(rollout(*keys_of(25)), rules(max_unavailable="20%"), alone)
    assert [len(batch) for batch in found] == [1, 5, 5, 5, 5, 4]
    assert found[1] == ("web/2", "web/3", "web/4", "web/5", "web/6")
    assert preview(rollout(*keys_of(3)), rules(canary=0), alone) == [
        ("web/1",),
        ("web/2",),
        ("web/3",),
    ]


def test_more_canaries_than_may_be_unavailable_go_one_batch_after_the_other() -> None:
    found = preview(rollout(*keys_of(6)), rules(canary=3, max_unavailable=2), alone)
    assert [len(batch) for batch in found] == [2, 1, 2, 1]


def test_what_a_person_holds_is_passed_over() -> None:
    assert [one.key for one in next_batch(rollout("a", "b"), rules(), alone, {"a"})] == ["b"]
    assert next_batch(rollout("a"), rules(), alone, {"a"}) == []


def test_groups_are_counted_each_for_itself() -> None:
    group = {"a": "x", "b": "x", "c": "y", "d": "y", "e": "y"}
    each = rules(canary=0, max_unavailable=1)
    assert preview(rollout(*group), each, group.__getitem__) == [("a", "c"), ("b", "d"), ("e",)]


def test_a_group_is_that_of_the_rules() -> None:
    vms = (spec("a", anti_affinity="db", package="small"), spec("b", package="small"))

    def groups(per: str | None) -> list[str]:
        group_of = grouping(fleet(*vms, rollout=rules(per=per)))
        return [group_of(key) for key in ("a", "b", "gone")]

    assert groups(None) == ["", "", ""]
    assert groups("anti_affinity") == ["db", "", ""]
    assert groups("package") == ["small", "small", ""]


def test_a_batch_begins_when_the_one_before_is_done_and_the_pause_is_over() -> None:
    of = fleet(rollout=rules(max_unavailable=2))
    first = advanced(rollout("a", "b", "c"), of, (), AT)
    assert [(one.key, one.state, one.batch) for one in first.of("working")] == [("a", "working", 1)]
    assert advanced(first, of, (), AT + timedelta(hours=1)) == first
    done = first.with_members([replace(first.members[0], state="done")])
    assert advanced(done, of, (), AT + timedelta(seconds=299)) == done
    second = advanced(done, of, (), AT + timedelta(seconds=300))
    assert [one.key for one in second.of("working")] == ["b", "c"]
    assert {one.batch for one in second.of("working")} == {2}
    paused = replace(done, state="paused")
    assert advanced(paused, of, (), AT + timedelta(hours=1)) == paused
    assert advanced(rollout("a"), of, {"a"}, AT) == rollout("a")


@given(
    st.integers(1, 60),
    st.integers(0, 10),
    st.one_of(st.integers(1, 9), st.integers(1, 100).map(lambda share: f"{share}%")),
    st.lists(st.sampled_from("xyz"), min_size=60, max_size=60),
)
def test_never_more_than_may_be_are_at_work_and_everyone_gets_it_once(
    size: int, canary: int, most: int | str, groups: list[str]
) -> None:
    keys = keys_of(size)
    group = dict(zip(keys, groups, strict=False))
    limits = rules(canary=canary, max_unavailable=most)
    sizes = Counter(group[key] for key in keys)
    found = preview(rollout(*keys), limits, group.__getitem__)
    assert sorted(key for batch in found for key in batch) == sorted(keys)
    for batch in found:
        assert all(
            number <= limits.most(sizes[name])
            for name, number in Counter(group[key] for key in batch).items()
        )
    assert preview(rollout(*reversed(keys)), limits, group.__getitem__) == found


def test_a_batch_has_the_next_number_and_its_moment() -> None:
    at = AT + timedelta(hours=1)
    begun = begin(rollout("a", "b"), rollout("a").members, at)
    assert (begun.moved_at, begun.members[0].batch, begun.members[0].at) == (at, 1, at)
    assert begin(begun, [begun.members[1]], at).members[1].batch == 2
