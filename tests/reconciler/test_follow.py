"""Following the tasks that we started."""

from dataclasses import dataclass, field

import pytest

from reconciler.follow import HEARTBEAT, Follower
from reconciler.pve.tasks import TaskEnd
from reconciler.report import Heartbeat
from state.api import Json, NotFound, Refused, Unavailable
from state.memory import OpenTask
from tests.engine import AT, UPID, Answers, HandClock, Told

RUNNING: Json = {"status": "running"}
ENDED: Json = {"status": "stopped", "exitstatus": "OK"}
ONE, OTHER = (UPID.format(kind="qmclone", id=vmid) for vmid in (9000, 9001))


def path(upid: str) -> str:
    return f"/nodes/pve1/tasks/{upid.replace(':', '%3A').replace('@', '%40')}/status"


def task(upid: str = ONE, key: str = "web-1") -> OpenTask:
    return OpenTask(upid, key, "demo", "exists", AT)


@dataclass
class Watch:
    """A follower with its clock, the API that it asks and what it tells."""

    clock: HandClock = field(default_factory=HandClock)
    told: Told = field(default_factory=Told)
    api: Answers = field(
        default_factory=lambda: Answers({path(ONE): [ENDED], path(OTHER): [ENDED]})
    )

    def __post_init__(self) -> None:
        self.follower = Follower(self.clock, self.told, lambda cluster: self.api)

    def answer(self, upid: str, *answers: Json | Exception) -> None:
        self.api.answers = {**self.api.answers, path(upid): answers}

    def ended(
        self, *tasks: OpenTask, patience: float = 60, limit: float = 600
    ) -> dict[str, TaskEnd | None]:
        over = self.clock.at.timestamp() + limit
        return self.follower.ended(tasks, lambda: self.clock.at.timestamp() >= over, patience)

    @property
    def seconds(self) -> float:
        return (self.clock.at - AT).total_seconds()


@pytest.fixture
def watch() -> Watch:
    return Watch()


def test_an_ended_task_is_known_by_its_first_poll(watch: Watch) -> None:
    assert watch.ended(task()) == {ONE: TaskEnd(True, "OK")}
    assert watch.api.reads == 1
    assert watch.seconds < 0.3


def test_a_task_is_polled_at_most_once_a_second(watch: Watch) -> None:
    """Design 3.5"""
    watch.answer(ONE, *[RUNNING] * 10, ENDED)
    watch.ended(task())
    assert watch.api.reads == 11
    assert 10 <= watch.seconds < 12


def test_nothing_is_waited_for_past_the_time_limit(watch: Watch) -> None:
    """C-24, FRM-11"""
    watch.answer(ONE, RUNNING)
    assert watch.ended(task(), limit=5) == {}
    assert watch.seconds < 5.5


def test_others_that_wait_have_their_turn_after_a_while(watch: Watch) -> None:
    watch.answer(ONE, RUNNING)
    assert watch.ended(task(), patience=2) == {}
    assert watch.seconds < 2.5


def test_one_that_ended_is_told_at_once_while_another_goes_on(watch: Watch) -> None:
    watch.answer(OTHER, RUNNING)
    assert watch.ended(task(), task(OTHER, "web-2")).keys() == {ONE}
    assert watch.seconds < 0.3


def test_tasks_of_the_same_age_are_all_asked_before_any_is_told(watch: Watch) -> None:
    late = OpenTask(OTHER, "web-2", "demo", "exists", watch.clock.at)
    assert watch.ended(task(), late).keys() == {ONE, OTHER}


@pytest.mark.parametrize("error", [NotFound("no such task"), Refused("bad upid")])
def test_a_task_that_nobody_knows_any_more_is_over(watch: Watch, error: Exception) -> None:
    """Design 4: the world is the truth; an open UPID in the store is a hint."""
    watch.answer(ONE, error)
    assert watch.ended(task()) == {ONE: None}


def test_a_upid_without_sense_is_over(watch: Watch) -> None:
    assert watch.ended(task("UPID:nonsense")) == {"UPID:nonsense": None}


def test_a_node_that_does_not_answer_is_asked_again(watch: Watch) -> None:
    watch.answer(ONE, Unavailable("refused"), Unavailable("refused"), ENDED)
    assert watch.ended(task()) == {ONE: TaskEnd(True, "OK")}


def test_a_long_wait_shows_that_it_goes_on(watch: Watch) -> None:
    watch.answer(ONE, *[RUNNING] * 40, ENDED)
    watch.ended(task())
    beats = [one for one in watch.told.events if isinstance(one, Heartbeat)]
    assert [(one.key, one.what) for one in beats] == [("web-1", "exists")] * 2
    assert beats[0].seconds >= HEARTBEAT
    assert beats[1].seconds >= 2 * HEARTBEAT


def test_a_vm_that_waits_without_a_task_shows_that_too(watch: Watch) -> None:
    for _ in range(4):
        watch.follower.waits({"web-1": "clones are at work"})
        watch.clock.sleep(HEARTBEAT / 2)
    (beat,) = watch.told.events
    assert isinstance(beat, Heartbeat)
    assert (beat.key, beat.status, beat.seconds) == ("web-1", "clones are at work", HEARTBEAT)


def test_a_vm_that_no_longer_waits_begins_anew(watch: Watch) -> None:
    watch.follower.waits({"web-1": "busy"})
    watch.clock.sleep(HEARTBEAT)
    watch.follower.waits({})
    watch.follower.waits({"web-1": "busy"})
    assert watch.told.events == []
