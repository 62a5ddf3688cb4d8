"""One VM's turn and its story: each step once, in the pipeline's order."""

from dataclasses import dataclass, field, replace

import pytest

from reconciler.execute import Done
from reconciler.guard import Guarded
from reconciler.pipeline import CHANGE, DEPLOY
from reconciler.plan import VMPlan
from reconciler.report import Step, VMDone, VMError, VMPaused, VMStarted
from reconciler.skips import TOLD_BELOW
from reconciler.turn import Narrator, Standing, Turn
from state.change import Effect, Note, Outcome
from state.memory import Memory, Phase
from state.observed import SeenVM
from state.secret import Secret
from state.store import Store
from tests.engine import AT, SECOND, Told, absent, binding, change, seen, spec

EVERYTHING = [("allocate", "vm"), ("exists", "vm"), ("cpu", "cores"), ("power", "power")]
START = [("power", "power")]


@dataclass
class Story:
    """A narrator with its reporter and journal, and one turn."""

    store: Store = field(default_factory=lambda: Store.temporary(at=AT))
    told: Told = field(default_factory=Told)
    turn: Turn = field(default_factory=lambda: Turn(spec()))

    def __post_init__(self) -> None:
        self.next_run()

    def next_run(self) -> None:
        """Another process: only the journal is left."""
        run = self.store.journal.start_run(AT, "--once", "r1")
        self.narrator = Narrator(self.told, self.store.journal, run)
        self.turn, self.told.events = Turn(spec()), []

    def progress(self, remaining: list[tuple[str, str]], found: SeenVM | None = None) -> list[str]:
        """Tell what has landed; the states reached."""
        before = len(self.steps())
        changes = tuple(change(*one) for one in remaining)
        self.narrator.progress(self.turn, Guarded(VMPlan(found or seen(), changes)))
        return [step.after for step in self.steps()[before:]]

    def steps(self) -> list[Step]:
        return [one for one in self.told.events if isinstance(one, Step)]

    def end(self, standing: Standing, why: str = "") -> None:
        self.turn.standing, self.turn.why = standing, why
        self.narrator.ended(self.turn, AT + SECOND)


@pytest.fixture
def story() -> Story:
    return Story()


def test_a_deploy_tells_its_sixteen_states_in_order(story: Story) -> None:
    """DEP-02, DEP-03, DEP-04"""
    assert story.progress(EVERYTHING) == []
    reached = story.progress(EVERYTHING[1:]) + story.progress(EVERYTHING[2:])
    reached += story.progress(START) + story.progress([])
    assert reached == list(DEPLOY.names[1:])
    assert [step.label for step in story.steps()] == [one.label for one in DEPLOY.transitions]


def test_a_step_is_told_once_also_by_the_next_run(story: Story) -> None:
    """DEP-05: a killed run leaves what it told in the journal."""
    story.progress(EVERYTHING[2:])
    story.next_run()
    assert story.progress(EVERYTHING[2:]) == []
    assert story.progress(START)[0] == "set_cpu_ram"


def test_work_begins_once_and_says_where(story: Story) -> None:
    story.progress(EVERYTHING)
    story.progress(START)
    (began,) = [one for one in story.told.events if isinstance(one, VMStarted)]
    assert (began.action, began.state, began.vmid) == ("deploy", "creation", 101)


def test_a_vm_that_is_not_bound_begins_without_a_vmid(story: Story) -> None:
    story.progress(EVERYTHING, absent())
    assert isinstance(story.told.events[0], VMStarted)
    assert story.told.events[0].vmid is None


def test_a_step_that_had_nothing_to_do_is_told_as_skipped(story: Story) -> None:
    """LOG-02: skip, and no time."""
    story.turn.changes.append(change("cpu", "cores"))
    story.turn.spent = {"cpu": 1.5, "exists": 2.0}
    story.progress(START)
    results = {step.after: (step.result, step.seconds) for step in story.steps()}
    assert results["set_cpu_ram"] == ("success", 1.5)
    assert results["set_system_disk_size"] == ("skip", 0.0)
    assert results["clone"][0] == "success"


def test_a_vm_that_is_ready_has_no_story(story: Story) -> None:
    story.turn.enter(Phase.READY)
    assert story.progress([("tags", "tags")]) == []
    assert story.told.events == []
    assert (story.turn.action, story.turn.state) == ("change", "ready")


def test_a_change_tells_its_thirteen_states_in_order(story: Story) -> None:
    """CP-01, CP-05, C-04: what is equal is skipped with zero duration."""
    story.turn.enter(Phase.READY)
    assert story.progress([("power", "stop"), ("cpu", "cores")]) == ["cp_update_ip"]
    story.turn.changes.append(change("cpu", "cores", old=1, new=2))
    story.turn.spent = {"cpu": 1.5}
    assert story.progress([("power", "power")])[-1] == "cp_firewall"
    story.progress([])
    assert [step.after for step in story.steps()] == list(CHANGE.names[1:])
    told = {step.after: (step.result, step.seconds, step.detail) for step in story.steps()}
    assert told["cp_cpu_ram"] == ("success", 1.5, "cores: 1 -> 2")
    assert told["cp_network"] == ("skip", 0.0, "")


def test_a_start_that_was_seen_to_work_is_a_step_that_was_made(story: Story) -> None:
    story.turn.enter(Phase.READY)
    story.progress([("power", "power")])
    story.turn.changes.append(change("power", "power", old="stopped", new="running"))
    story.progress([])
    assert [one.result for one in story.steps()[-2:]] == ["success", "success"]


def test_a_change_is_told_on_by_the_next_run(story: Story) -> None:
    """CP-09: only what is left is done and told again."""
    story.turn.enter(Phase.READY)
    story.progress([("power", "power")])
    story.next_run()
    story.turn.enter(Phase.CHANGE)
    assert story.progress([]) == ["cp_start", "ready"]


def test_the_next_change_begins_anew(story: Story) -> None:
    story.turn.enter(Phase.READY)
    story.progress([("power", "power")])
    story.next_run()
    story.turn.enter(Phase.READY)
    assert story.progress([("cpu", "cores")]) == ["cp_update_ip", "cp_stop"]


@pytest.mark.parametrize(
    ("restart", "reached"), [("allow", ["cp_update_ip"]), ("never", ["cp_update_ip", "cp_stop"])]
)
def test_the_stop_is_open_while_a_cold_value_is_to_be_written(
    story: Story, restart: str, reached: list[str]
) -> None:
    """CP-01: values are written first, and told behind the stop that they may need."""
    story.turn = Turn(spec(restart=restart))
    story.turn.enter(Phase.READY)
    cold = change("cpu", "cores", effect=Effect.STOP_START)
    story.narrator.progress(story.turn, Guarded(VMPlan(seen(status="running"), (cold,))))
    assert [step.after for step in story.steps()] == reached


def test_a_refused_shrink_says_why_it_is_skipped(story: Story) -> None:
    """CP-06"""
    story.turn.enter(Phase.READY)
    shrink = Note("web-1", "disks", "system.size", "shrink not allowed", "ShrinkRefused")
    story.narrator.progress(story.turn, Guarded(VMPlan(seen(), (change("cpu", "cores"),))))
    story.narrator.progress(story.turn, Guarded(VMPlan(seen()), notes=(shrink,)))
    told = {step.after: (step.result, step.detail) for step in story.steps()}
    assert told["cp_system_disk_size"] == ("skip", "shrink not allowed")


@pytest.mark.parametrize(
    ("field", "told"),
    [("ipconfig0", TOLD_BELOW), ("ipfilter-net0", TOLD_BELOW), ("cores", "")],
)
def test_addresses_that_move_are_not_told_as_no_change(story: Story, field: str, told: str) -> None:
    """CP-02"""
    story.turn.enter(Phase.READY)
    story.progress([("cloudinit", field), ("cpu", "sockets")])
    story.progress([])
    found = {step.after: (step.result, step.detail) for step in story.steps()}
    assert found["cp_update_ip"] == ("skip", told)


def test_what_was_ready_and_is_made_anew_is_told_from_the_beginning(story: Story) -> None:
    story.progress([])
    story.end(Standing.READY)
    story.next_run()
    story.turn.enter(Phase.READY)
    story.turn.enter(Phase.DEPLOY)
    assert (story.turn.action, story.progress(EVERYTHING[2:])) == (
        "deploy",
        [
            "set_ip",
            "clone",
            "set_dns",
            "migrated",
        ],
    )


def test_a_story_that_has_begun_keeps_its_kind(story: Story) -> None:
    story.progress(EVERYTHING)
    story.turn.enter(Phase.READY)
    assert (story.turn.phase, story.turn.action) == (Phase.READY, "deploy")


def test_a_change_beside_is_one_line_by_handler_with_what_it_changed(story: Story) -> None:
    story.turn.enter(Phase.READY)
    sent = [change("tags", "tags", old="a", new="b"), change("tags", "more", old=None, new="c")]
    done = Done({"tags": Outcome()}, {"tags": 0.4})
    story.narrator.changed(story.turn, seen(), done, sent)
    (step,) = story.steps()
    assert (step.label, step.result, step.seconds, step.action) == (
        "Change tags",
        "success",
        0.4,
        "change",
    )
    assert "a -> b" in step.detail
    assert "c" in step.detail


def test_what_was_not_done_is_not_told_as_changed(story: Story) -> None:
    story.turn.enter(Phase.READY)
    outcomes = {"tags": Outcome(error="no")}
    sent = [change("tags"), change("pool")]
    story.narrator.changed(story.turn, seen(), Done(outcomes), sent)
    assert story.steps() == []


def test_a_deploy_tells_steps_and_no_changes(story: Story) -> None:
    story.narrator.changed(story.turn, seen(), Done({"cpu": Outcome()}), [change("cpu")])
    assert story.told.events == []


def test_no_secret_is_told_or_written_down(story: Story) -> None:
    """C-17"""
    story.turn.enter(Phase.READY)
    secret = change("options", "password", old="another", new=Secret("geheim-1"))
    story.narrator.changed(story.turn, seen(), Done({"options": Outcome()}), [secret])
    assert "geheim" not in repr(story.told.events)
    assert "geheim" not in repr(story.store.journal.vm_runs("web-1"))
    assert any("***" in step.detail for step in story.steps())


def test_a_failed_step_leaves_the_state_where_it_is(story: Story) -> None:
    """DEP-05"""
    story.progress(START)
    story.narrator.failed(story.turn, AT, "power", "no such bridge")
    step = story.steps()[-1]
    assert (step.label, step.result, step.detail) == ("Start VM", "error", "no such bridge")
    assert step.before == step.after == "set_cloudinit"


def test_a_failed_change_is_named_by_its_handler(story: Story) -> None:
    story.turn.enter(Phase.READY)
    story.narrator.failed(story.turn, AT, "tags", "no")
    assert story.steps()[0].label == "Change tags"


def test_a_ready_vm_tells_how_long_it_took_and_is_a_success_in_the_journal(story: Story) -> None:
    """LOG-01"""
    story.progress([])
    story.end(Standing.READY)
    done = story.told.events[-1]
    assert isinstance(done, VMDone)
    assert (done.state, done.seconds) == ("ready", 1.0)
    (run,) = story.store.journal.vm_runs("web-1")
    assert (run.action, run.state_before, run.state_after) == ("deploy", "creation", "ready")
    assert (run.result, run.error, len(run.steps)) == ("success", "", 15)


@pytest.mark.parametrize(
    ("standing", "result"), [(Standing.FAILED, "error"), (Standing.WAITING, "waiting")]
)
def test_a_vm_that_is_not_ready_is_paused_with_its_reason(
    story: Story, standing: Standing, result: str
) -> None:
    """LOG-01: paused runs are marked with the error."""
    story.progress(START)
    story.end(standing, "no space left")
    paused = story.told.events[-1]
    assert isinstance(paused, VMPaused)
    assert (paused.state, paused.why) == ("set_cloudinit", "no space left")
    (run,) = story.store.journal.vm_runs("web-1")
    assert (run.result, run.error) == (result, "no space left")


def test_a_vm_that_waits_without_a_step_shows_in_every_run_and_fills_no_history(
    story: Story,
) -> None:
    """DEP-06, LOG-01: a stuck VM shows; its last 50 runs stay those that did something."""
    story.progress(START)
    story.end(Standing.WAITING)
    story.next_run()
    story.end(Standing.PAUSED, "held")
    assert isinstance(story.told.events[-1], VMPaused)
    assert story.told.events[-1].state == "set_cloudinit"
    assert len(story.store.journal.vm_runs("web-1")) == 1


@pytest.mark.parametrize("standing", [Standing.READY, Standing.FAILED])
def test_a_turn_that_told_nothing_ends_without_a_word(story: Story, standing: Standing) -> None:
    """A failure was told as an error when it happened."""
    story.end(standing)
    assert story.told.events == []


@pytest.mark.parametrize(("known", "vmid"), [(True, 101), (False, None)])
def test_an_error_that_is_no_steps_is_told_with_the_vmid_if_it_has_one(
    story: Story, known: bool, vmid: int | None
) -> None:
    memory = Memory(binding()) if known else Memory()
    story.turn.last = Guarded(VMPlan(replace(seen(), memory=memory)))
    story.narrator.broke(story.turn, AT, "env:X is not set")
    story.turn.last = None
    story.narrator.broke(story.turn, AT, "env:X is not set")
    first, second = story.told.events
    assert isinstance(first, VMError)
    assert isinstance(second, VMError)
    assert (first.error, first.vmid, second.vmid) == ("env:X is not set", vmid, None)
