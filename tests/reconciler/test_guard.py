"""What may run now: holds, locks, back-off, approvals, thresholds and limits."""

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired.catalog import Guard as Thresholds
from desired.catalog import Limits
from reconciler.guard import Gate, Guarded, counted
from reconciler.plan import VMPlan, approval_digest, approval_hashes, change_hash
from reconciler.spent import Spent
from state.change import Change, Effect, Note
from state.memory import Attempt, Hold, Memory
from state.observed import SeenVM
from state.store import Store
from tests.engine import AT, SECOND, UUID, absent, binding, change, destroy, seen, vm

KEY = b"k" * 32
RESTART = change("power", "restart", effect=Effect.STOP_START)
THIRTY = Thresholds.model_validate({"restarts": "30%", "destroys": "30%"})


def spent_by(effects: Counter[Effect]) -> Spent:
    """As many VMs as told, of which no plan is."""
    spent = Spent()
    for effect, number in effects.items():
        spent.learn(effect, {f"other-{one}" for one in range(number)})
    return spent


def gate(
    managed: int = 10,
    approved: frozenset[str] = frozenset(),
    effects: Counter[Effect] | None = None,
    clones: Counter[str] | None = None,
    limits: Limits | None = None,
) -> Gate:
    """A gate that knows which hashes a person approved."""
    return Gate(
        thresholds=THIRTY,
        limits=limits or Limits(),
        managed=managed,
        approved=lambda found, one: change_hash(found, one, KEY) in approved,
        beside=frozenset({"tags"}),
        place_of=lambda template, storage: storage or f"the storage of {template}",
        spent=spent_by(effects or Counter()),
        clones=clones or Counter(),
    )


def plan_of(*changes: Change, found: SeenVM | None = None, notes: tuple[Note, ...] = ()) -> VMPlan:
    return VMPlan(found or seen(), changes, notes)


def only_note(guarded: Guarded) -> tuple[str | None, str, bool]:
    (note,) = guarded.notes
    return note.condition, note.reason, note.blocking


CPU, TAGS = change("cpu"), change("tags")


def test_a_plan_without_trouble_passes_whole_and_in_order() -> None:
    told = Note("web-1", "disks", "scsi1", "shrink refused", "ShrinkRefused")
    guarded = gate().check(plan_of(CPU, TAGS, notes=(told,)))
    assert (guarded.allowed, guarded.withheld, guarded.notes) == ((CPU, TAGS), (), (told,))


def test_a_vm_with_nothing_to_do_is_not_told_that_it_is_held() -> None:
    held = seen(memory=Memory(binding(), hold=Hold("web-1", "why", AT)))
    assert gate().check(plan_of(found=held)) == Guarded(plan_of(found=held))


def held_by(hold: Hold) -> Guarded:
    return gate().check(plan_of(CPU, found=seen(memory=Memory(binding(), hold=hold))))


def test_a_hold_withholds_everything_until_it_is_lifted() -> None:
    guarded = held_by(Hold("web-1", "debugging", AT))
    assert (guarded.allowed, guarded.withheld) == ((), (CPU,))
    condition, reason, blocking = only_note(guarded)
    assert (condition, blocking) == ("Held", True)
    assert reason == "held: debugging; lift it with reconcile unhold web-1"


def test_a_hold_until_a_moment_ends_at_it() -> None:
    assert "held until 20" in only_note(held_by(Hold("web-1", "w", AT, AT + SECOND)))[1]
    assert held_by(Hold("web-1", "w", AT, AT)).allowed == (CPU,)


def test_the_tag_hold_in_proxmox_holds_too() -> None:
    guarded = gate().check(plan_of(CPU, found=seen(row=vm(101, tags=("hold", "web")))))
    condition, reason, _ = only_note(guarded)
    assert (guarded.allowed, condition) == ((), "Held")
    assert "remove the tag" in reason


def test_a_lock_in_proxmox_pauses_everything() -> None:
    """DEP-26"""
    guarded = gate().check(plan_of(CPU, TAGS, found=seen(row=vm(101, lock="backup"))))
    assert (guarded.allowed, guarded.withheld) == ((), (CPU, TAGS))
    assert only_note(guarded)[0] == "Locked"
    assert "the lock backup" in only_note(guarded)[1]


def test_stop_says_why_nothing_at_all_may_be_written() -> None:
    """DEP-26"""
    assert gate().stop(seen()) is None
    assert gate().stop(absent()) is None
    for row in (vm(101, lock="migrate"), vm(101, tags=("hold",))):
        assert gate().stop(seen(row=row)) is not None


def failed(handler: str, seconds: float) -> SeenVM:
    again = AT + timedelta(seconds=seconds)
    attempt = Attempt("web-1", handler, 3, "cannot allocate", AT, again)
    return seen(memory=Memory(binding(), attempts={handler: attempt}))


def test_a_failed_handler_waits_for_its_next_try_and_the_others_go_on() -> None:
    """C-23, DEP-06"""
    guarded = gate().check(plan_of(CPU, change("memory"), found=failed("cpu", 30)))
    assert ([one.handler for one in guarded.allowed], guarded.withheld) == (["memory"], (CPU,))
    condition, reason, blocking = only_note(guarded)
    assert (condition, blocking) == ("BackOff", True)
    assert "failed 3 times: cannot allocate; next try at" in reason


def test_the_moment_of_the_next_try_is_not_waited_past() -> None:
    assert gate().check(plan_of(CPU, found=failed("cpu", 0))).allowed == (CPU,)


def test_what_is_withheld_of_a_handler_that_blocks_nobody_does_not_block() -> None:
    guarded = gate().check(plan_of(TAGS, found=failed("tags", 30)))
    assert only_note(guarded)[2] is False


def test_one_reason_for_several_fields_is_told_once_for_each_field() -> None:
    same = (change("cpu", "cores", new=2), change("cpu", "cores", new=3))
    assert len(gate().check(plan_of(*same, found=failed("cpu", 30))).notes) == 1


ASKS = change("disks", "scsi1", approval=True)


def test_a_change_that_needs_a_person_waits_for_one() -> None:
    guarded = gate().check(plan_of(CPU, ASKS))
    assert (guarded.allowed, guarded.withheld) == ((CPU,), (ASKS,))
    condition, reason, _ = only_note(guarded)
    assert condition == "ApprovalNeeded"
    assert "reconcile approve DIGEST" in reason


def test_an_approved_change_passes() -> None:
    approved = frozenset({change_hash(seen(), ASKS, KEY)})
    assert gate(approved=approved).check(plan_of(ASKS)).allowed == (ASKS,)


CLONE = change("exists", "vm", old=None, new="clone", gate=True)


def waiting(template: int | None = 9000, storage: str | None = None) -> SeenVM:
    return absent(memory=Memory(binding(template=template, storage=storage)))


@pytest.mark.parametrize(
    ("clones", "words"),
    [
        ({"template 9000": 4}, "4 clones are at work on template 9000 (limit 4)"),
        ({"the storage of 9000": 2}, "2 clones are at work on the storage of 9000 (limit 2)"),
    ],
)
def test_a_clone_waits_while_its_template_or_storage_is_busy(
    clones: dict[str, int], words: str
) -> None:
    guarded = gate(clones=Counter(clones)).check(plan_of(CLONE, found=waiting()))
    condition, reason, blocking = only_note(guarded)
    assert (guarded.allowed, condition, blocking) == ((), None, True)
    assert words in reason


def test_a_clone_takes_a_slot_from_the_next_of_its_storage() -> None:
    one = gate(limits=Limits(clones_per_storage=1))
    assert one.check(plan_of(CLONE, found=waiting(9000, "ceph"))).allowed
    assert not one.check(plan_of(CLONE, found=waiting(9001, "ceph"))).allowed
    assert one.check(plan_of(CLONE, found=waiting(9000, "local"))).allowed


def test_a_clone_that_must_wait_takes_no_slot() -> None:
    busy = gate(clones=Counter({"ceph": 2}))
    for _ in range(9):
        busy.check(plan_of(CLONE, found=waiting(9000, "ceph")))
    assert busy.clones["template 9000"] == 0


def test_copies_of_an_image_are_limited_as_clones_are() -> None:
    made = Memory(binding(image="a:import/b.raw", storage="local-lvm", node="pve1"))
    for busy, words in (("image a:import/b.raw", "limit 4"), ("local-lvm on pve1", "limit 2")):
        guarded = gate(clones=Counter({busy: 4})).check(plan_of(CLONE, found=absent(memory=made)))
        assert guarded.allowed == ()
        assert f"4 clones are at work on {busy} ({words})" in only_note(guarded)[1]
    bare = replace(made, binding=binding(image="a:import/b.raw"))
    assert gate().check(plan_of(CLONE, found=absent(memory=bare))).allowed == (CLONE,)


def test_only_clones_of_a_known_template_are_limited() -> None:
    full = gate(clones=Counter({"template 9000": 99, "ceph": 99}))
    for found in (waiting(None), absent(), waiting(9001)):
        assert full.check(plan_of(CLONE, found=found)).allowed == (CLONE,)
    assert full.check(plan_of(CPU, found=waiting())).allowed == (CPU,)


def test_thresholds_count_destroys_and_restarts_of_the_guest_only() -> None:
    assert counted(destroy()) is Effect.DESTROY
    assert counted(RESTART) is Effect.STOP_START
    assert counted(change("cpu", effect=Effect.STOP_START)) is None
    assert counted(change("power")) is None


def test_what_exceeds_the_share_is_marked_so_that_it_stands_in_the_digest() -> None:
    full = gate(managed=10, effects=Counter({Effect.DESTROY: 3}))
    guarded = full.check(plan_of(destroy(), CPU))
    assert guarded.plan.changes == (replace(destroy(), approval=True), CPU)
    assert guarded.allowed == (CPU,)
    assert approval_digest([guarded.plan], KEY)


def test_several_destroys_in_one_vm_are_one_vm() -> None:
    """The share is one of VMs, not of disks."""
    one = gate(managed=10, effects=Counter({Effect.DESTROY: 2}))
    both = (destroy(), replace(destroy(), field="disk"))
    assert one.check(plan_of(*both)).allowed == both
    assert len(one.spent.keys[Effect.DESTROY]) == 3


def test_each_threshold_withholds_its_own_effect_only() -> None:
    full = gate(managed=10, effects=Counter({Effect.DESTROY: 3}))
    assert full.check(plan_of(RESTART)).allowed == (RESTART,)


def test_a_restart_beyond_the_share_says_why_it_needs_approval() -> None:
    full = gate(managed=10, effects=Counter({Effect.STOP_START: 3}))
    reason = only_note(full.check(plan_of(RESTART)))[1]
    assert reason.startswith("more than 30% of the VMs would be restarted within 24 h")


def several(kinds: list[bool]) -> list[VMPlan]:
    """A plan for each VM: True destroys it, False restarts it."""
    plans = []
    for number, kind in enumerate(kinds):
        key = f"vm-{number}"
        found = seen(key, Memory(binding(key, 100 + number, uuid=UUID)))
        plans.append(VMPlan(found, (replace(destroy() if kind else RESTART, subject=key),)))
    return plans


@given(
    st.lists(st.lists(st.booleans(), max_size=4), max_size=12),
    st.integers(1, 40),
)
def test_without_approval_never_more_than_the_share_passes_over_many_runs(
    runs: list[list[bool]], managed: int
) -> None:
    """Design 4: many small runs of one day are counted together."""
    passed: Counter[Effect] = Counter()
    for run in runs:
        now = gate(managed, effects=Counter(passed))
        for plan in several(run):
            passed.update(effect for one in now.check(plan).allowed if (effect := counted(one)))
    assert passed[Effect.DESTROY] <= 0.3 * managed
    assert passed[Effect.STOP_START] <= max(1, 0.3 * managed)


@given(st.integers(1, 40))
def test_all_of_the_share_passes(managed: int) -> None:
    now = gate(managed)
    passed = sum(len(now.check(plan).allowed) for plan in several([True] * managed))
    assert passed == int(0.3 * managed + 1e-9)


def allowed_by(store: Store, plans: list[VMPlan], managed: int) -> list[str]:
    """Run the gate over the plans as a run does, using approvals up; the keys let through."""
    now = replace(
        gate(managed),
        approved=lambda found, one: (
            change_hash(found, one, KEY) in store.approvals.open_changes(AT)
        ),
    )
    through = []
    for plan in plans:
        for one in now.check(plan).allowed:
            if one.approval:
                assert store.approvals.use(change_hash(plan.seen, one, KEY), AT)
            through.append(one.subject)
    return through


@given(
    count=st.integers(2, 9),
    extra=st.integers(0, 3),
    lost=st.sets(st.integers(0, 8)),
)
def test_an_approved_digest_lets_exactly_its_changes_pass_once(
    count: int, extra: int, lost: set[int]
) -> None:
    """Design 4: a plan may shrink, never grow."""
    store = Store.temporary(at=AT)
    plans = several([True] * count)
    planned = [gate(1).check(plan).plan for plan in plans]
    hashes = approval_hashes(planned, KEY)
    assert len(hashes) == count
    digest = approval_digest(planned, KEY)
    store.approvals.grant(digest, json.dumps(hashes), AT + SECOND, "ann", AT)
    later = [plan for n, plan in enumerate(several([True] * (count + extra))) if n not in lost]
    expected = [f"vm-{n}" for n in range(count) if n not in lost]
    assert allowed_by(store, later, managed=1) == expected
    assert allowed_by(store, later, managed=1) == []


def test_an_approval_ends_with_its_time() -> None:
    store = Store.temporary(at=AT)
    plan = several([True])[0]
    marked = gate(1).check(plan).plan
    (only,) = approval_hashes([marked], KEY)
    store.approvals.grant("d", f'["{only}"]', AT, "ann", AT)
    assert allowed_by(store, [plan], managed=1) == []
