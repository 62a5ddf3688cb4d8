"""Planning one VM: whom to ask, in which order; and the hashes that name what needs approval."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired.spec import VMSpec
from handlers.handler import Context, Subject
from reconciler.plan import (
    VMPlan,
    approval_digest,
    approval_hashes,
    change_hash,
    in_order,
    plan_vm,
)
from state.change import Change, Note, Outcome, Value
from state.memory import Memory, Phase
from state.observed import Presence, SeenVM
from state.secret import Secret
from tests.engine import AT, UUID, absent, binding, change, later, seen, spec

KEY = b"k" * 32


@dataclass(frozen=True)
class Aspect:
    """A handler that finds what it was told to find."""

    name: str
    after: tuple[str, ...] = ()
    finds: tuple[Change | Note, ...] = ()
    blocking: bool = True
    keys: tuple[str, ...] = ()
    subject: Subject = Subject.VM

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        return self.finds

    def apply(self, changes: Sequence[Change], ctx: Context) -> Outcome:
        raise AssertionError("planning applies nothing")


def note(handler: str, *, blocking: bool) -> Note:
    return Note("web-1", handler, "value", "because", "Odd", blocking)


def planned(*aspects: Aspect, found: SeenVM | None = None) -> VMPlan:
    return plan_vm(spec(), found or seen(), aspects)


def test_changes_stand_in_the_handlers_order() -> None:
    one, other = change("cpu"), change("tags")
    plan = planned(Aspect("cpu", finds=(one,)), Aspect("tags", finds=(other,)))
    assert (plan.changes, plan.notes) == ((one, other), ())


def test_nothing_is_asked_while_what_it_comes_after_still_differs() -> None:
    """C-23: also at second hand, and not what stands beside."""
    plan = planned(
        Aspect("exists", finds=(change("exists"),)),
        Aspect("cpu", ("exists",), (change("cpu"),)),
        Aspect("power", ("cpu",), (change("power"),)),
        Aspect("dns", (), (change("dns"),)),
    )
    assert [one.handler for one in plan.changes] == ["exists", "dns"]


def test_a_blocking_note_holds_back_like_a_difference_and_another_does_not() -> None:
    held = planned(
        Aspect("disks", finds=(note("disks", blocking=True),)),
        Aspect("power", ("disks",), (change("power"),)),
    )
    assert (held.changes, held.remaining) == ((), {("disks", "value")})
    told = planned(
        Aspect("disks", finds=(note("disks", blocking=False),)),
        Aspect("power", ("disks",), (change("power"),)),
    )
    assert (len(told.notes), told.remaining) == (1, {("power", "value")})


def test_a_handler_that_blocks_nobody_holds_nothing_back() -> None:
    plan = planned(
        Aspect("tags", finds=(change("tags"),), blocking=False),
        Aspect("power", ("tags",), (change("power"),)),
    )
    assert [one.handler for one in plan.changes] == ["tags", "power"]


def test_a_vm_that_is_absent_is_only_asked_whether_it_exists() -> None:
    clone = change("exists")
    plan = planned(
        Aspect("tags", finds=(change("tags"),)), Aspect("exists", finds=(clone,)), found=absent()
    )
    assert plan.changes == (clone,)


@pytest.mark.parametrize(("passing", "condition"), [(True, None), (False, "Unknown")])
def test_a_vm_that_is_not_surely_there_is_not_planned(passing: bool, condition: str | None) -> None:
    """Design 4: Unknown is untouched."""
    found = replace(seen(), presence=Presence.UNKNOWN, reason="half an answer", passing=passing)
    plan = planned(Aspect("cpu", finds=(change("cpu"),)), found=found)
    assert plan.changes == ()
    assert plan.notes == (
        Note("web-1", "observe", "vm", "half an answer", condition, blocking=True),
    )


NAMES = [f"h{n}" for n in range(8)]


@st.composite
def ordered_aspects(draw: st.DrawFn) -> list[Aspect]:
    """Handlers without circles, in any order."""
    aspects = [
        Aspect(name, tuple(draw(st.sets(st.sampled_from(NAMES[:place]))) if place else ()))
        for place, name in enumerate(NAMES[: draw(st.integers(1, 8))])
    ]
    random.Random(draw(st.integers())).shuffle(aspects)
    return aspects


@given(ordered_aspects())
def test_every_handler_stands_behind_all_that_it_comes_after(aspects: list[Aspect]) -> None:
    names = [one.name for one in in_order(aspects)]
    assert sorted(names) == sorted(one.name for one in aspects)
    for one in aspects:
        assert all(names.index(before) < names.index(one.name) for before in one.after)


def test_where_after_leaves_a_choice_the_order_given_stands() -> None:
    aspects = [Aspect("b"), Aspect("a"), Aspect("c", ("a",))]
    assert list(in_order(aspects)) == aspects


def test_a_circle_or_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="wait for each other: a, b"):
        in_order([Aspect("a", ("b",)), Aspect("b", ("a",)), Aspect("c")])
    with pytest.raises(ValueError, match="handler a comes after b, which is unknown"):
        in_order([Aspect("a", ("b",))])


def gone(key: str, vmid: int, **fields: object) -> VMPlan:
    """A plan whose one change needs approval, beside one that does not."""
    asks = change("exists", "vm", subject=key, approval=True, **fields)
    memory = Memory(binding(key, vmid, uuid=UUID))
    return VMPlan(absent(key, memory), (asks, change("cpu", subject=key)))


PLANS = [gone("web-1", 101), gone("web-2", 102), gone("web-3", 103)]


@given(st.permutations(PLANS), st.integers(0, 10**6))
def test_a_digest_depends_on_no_order_no_time_no_note_and_no_other_change(
    plans: list[VMPlan], seconds: int
) -> None:
    """Design 4, Approval."""
    extra = note("cpu", blocking=True)
    same = [
        replace(
            plan,
            seen=replace(later(plan.seen, seconds), reason="x", store="y"),
            changes=(*plan.changes[:1], change("memory", new=seconds)),
            notes=(extra,),
        )
        for plan in plans
    ]
    assert approval_digest(same, KEY) == approval_digest(PLANS, KEY)


def test_a_digest_depends_on_nothing_that_approval_itself_changes() -> None:
    """The phase, the place and the leases of the machine may have been chosen anew."""
    memory = PLANS[0].seen.memory
    assert memory.binding is not None
    moved = replace(memory.binding, node="pve3", template=9002, phase=Phase.READY, ready_at=AT)
    plan = replace(PLANS[0], seen=replace(PLANS[0].seen, memory=replace(memory, binding=moved)))
    assert approval_digest([plan, *PLANS[1:]], KEY) == approval_digest(PLANS, KEY)


@pytest.mark.parametrize(
    "other",
    [
        [],
        PLANS[:2],
        [*PLANS, gone("web-4", 104)],
        [*PLANS[:2], gone("web-3", 104)],
        [*PLANS[:2], gone("web-3", 103, new="another")],
        [*PLANS[:2], gone("web-3", 103, old="another")],
    ],
)
def test_a_digest_names_exactly_the_changes_that_need_approval(other: list[VMPlan]) -> None:
    assert approval_digest(other, KEY) != approval_digest(PLANS, KEY)


def test_a_plan_that_needs_no_approval_has_no_digest() -> None:
    assert approval_digest([VMPlan(seen(), (change("cpu"),))], KEY) == ""
    assert approval_hashes([], KEY) == []


@pytest.mark.parametrize("field", ["cluster", "vmid", "uuid", "handler", "field", "old", "new"])
def test_a_hash_names_the_machine_the_field_and_the_values(field: str) -> None:
    found, one = seen(), change("disks", "scsi1")
    if field == "cluster":
        other = change_hash(replace(found, cluster=replace(found.cluster, name="lab")), one, KEY)
    elif field in ("vmid", "uuid"):
        value: object = 102 if field == "vmid" else "another"
        bound = replace(binding(uuid=UUID), **{field: value})  # type: ignore[arg-type]
        other = change_hash(replace(found, memory=Memory(bound)), one, KEY)
    else:
        other = change_hash(found, replace(one, **{field: "another"}), KEY)  # type: ignore[arg-type]
    assert other != change_hash(found, one, KEY)


def test_an_unbound_machine_has_a_hash_too() -> None:
    assert change_hash(absent(), change("exists"), KEY)


@pytest.mark.parametrize("value", [Secret("geheim"), ("a", "b"), 1.5, None, True])
def test_every_value_can_be_hashed_and_a_secret_only_by_the_stores_key(value: Value) -> None:
    """C-17: who has the digest learns nothing of the password, and cannot guess it."""
    one = change("cloudinit", new=value)
    assert change_hash(seen(), one, KEY) == change_hash(seen(), one, KEY)
    same = change_hash(seen(), one, KEY) == change_hash(seen(), one, b"other")
    assert same == (not isinstance(value, Secret))
