"""A run may be killed at any call, heard or not, and between any two transactions (design 6).

The runs after it end in the world of an undisturbed run: one clone, no orphan, no lease lost or
leaked, and no write made twice but for the password, whose write nobody can verify.
"""

import gc
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from sqlalchemy import Connection, Engine, event

from state.secret import Secret
from tests.lab import Killed, Lab, Sent
from tests.laws.fleets import everything
from tests.portrait import Portrait
from tests.servers.postgres import Postgres
from tests.stores import stores_on

SAFE_TO_REPEAT = re.compile(r"cipassword=")
_STORE = re.compile(r"store=[0-9a-f]+")


class Undisturbed(NamedTuple):
    """What a run that nobody kills comes to; `calls` are those of its first run."""

    calls: tuple[Sent, ...]
    commits: int
    end: Portrait
    writes: Counter[str]


@cache
def undisturbed(clone: str, speed: float) -> Undisturbed:
    with TemporaryDirectory() as folder:
        lab = Lab(Path(folder), everything(clone), speed=speed)
        with commits() as counted:
            lab.run()
        made = counted[0]
        lab.settle()
        calls = tuple(lab.wire.of(1))
        return Undisturbed(calls, made, lab.shot(), written(lab.wire.writes()))


def written(writes: Iterable[Sent]) -> Counter[str]:
    """What was written, key by key: merged differently it is still the same."""
    found: Counter[str] = Counter()
    for sent in writes:
        assert not sent.error, sent
        params = {
            key: "***" if isinstance(value, Secret) else _STORE.sub("store=S", str(value))
            for key, value in sent.params.items()
            if key != "digest"
        }
        if sent.method == "PUT" and sent.path.endswith("/config"):
            found.update(f"{sent.path} {key}={value}" for key, value in params.items())
        else:
            found[f"{sent.method} {sent.path} {sorted(params.items())}"] += 1
    return found


@contextmanager
def commits(kill_at: int | None = None) -> Iterator[list[int]]:
    """Count the store's transactions; kill the process before number `kill_at` is committed."""
    counted = [0]

    def committing(link: Connection) -> None:
        if counted[0] == kill_at:
            raise Killed(f"before commit {kill_at}")
        counted[0] += 1

    event.listen(Engine, "commit", committing)
    try:
        yield counted
    finally:
        event.remove(Engine, "commit", committing)


def ends_well(lab: Lab, wanted: Undisturbed) -> str:
    """Run until settled; the empty text, or what is not as it should be."""
    try:
        lab.settle(apart=0.5)
        assert lab.shot() == wanted.end
        made = written(lab.wire.writes())
        assert sum("/clone " in one for one in made.elements()) == 1
        assert not wanted.writes - made
        twice = [one for one in made - wanted.writes if not SAFE_TO_REPEAT.search(one)]
        assert not twice
    except AssertionError as error:
        return str(error)
    return ""


def killed_everywhere(folder: Path, clone: str, speed: float, points: Iterable[int]) -> list[str]:
    """Kill a run before and after each of these calls; tell where it did not end well."""
    wanted = undisturbed(clone, speed)
    wrong = []
    for index in points:
        for before, after in ((index, None), (None, index)):
            place = folder / f"{index}-{'before' if after is None else 'after'}"
            lab = Lab(place, everything(clone), speed=speed)
            with pytest.raises(Killed) as killed:
                lab.run(before=before, after=after)
            lab.clock.sleep(0.5)
            if trouble := ends_well(lab, wanted):
                wrong.append(f"killed {killed.value}: {trouble}")
    return wrong


def test_a_crash_at_any_call_of_a_deploy_ends_in_the_same_world(tmp_path: Path) -> None:
    """DEP-05, DEP-08, DEP-13, IP-11: every call, before it is sent and before it is heard."""
    calls = undisturbed("linked", 600).calls
    assert len(calls) > 60
    assert killed_everywhere(tmp_path, "linked", 600, range(len(calls))) == []


def test_a_crash_at_any_write_while_tasks_take_their_time_ends_in_the_same_world(
    tmp_path: Path,
) -> None:
    """DEP-08: the tasks of the killed run are still at work when the next run begins."""
    calls = undisturbed("full", 5).calls
    writes = [index for index, sent in enumerate(calls) if sent.is_write]
    assert len(writes) == 16
    assert killed_everywhere(tmp_path, "full", 5, writes) == []


@pytest.mark.nightly
@pytest.mark.parametrize("clone", ["linked", "full"])
@pytest.mark.parametrize("speed", [1.0, 30.0])
def test_a_crash_at_any_call_ends_well_at_any_pace(
    tmp_path: Path, clone: str, speed: float
) -> None:
    """DEP-08, at the pace of real hardware too."""
    every = range(len(undisturbed(clone, speed).calls))
    assert killed_everywhere(tmp_path, clone, speed, every) == []


def arrived_late(folder: Path, clone: str, speed: float, late: Iterable[int]) -> list[str]:
    """Kill a run before each write, and let the write arrive in the middle of the next run."""
    wanted = undisturbed(clone, speed)
    wrong = []
    for index, call in enumerate(wanted.calls):
        for moment in late if call.is_write else ():
            lab = Lab(folder / f"{index}-{moment}", everything(clone), speed=speed)
            with pytest.raises(Killed) as killed:
                lab.run(before=index)
            lab.wire.late = moment
            lab.clock.sleep(0.5)
            lab.run()
            lab.wire.late = None
            try:
                lab.settle()
                lab.clock.sleep(3600.0)
                lab.settle()
                assert lab.shot() == wanted.end
            except AssertionError as error:
                wrong.append(f"killed {killed.value}, arrived at call {moment}: {error}")
    return wrong


def test_a_write_that_arrives_after_its_run_was_killed_does_no_harm(tmp_path: Path) -> None:
    """DEP-08: what a killed run had sent may take effect while the next one is at work."""
    assert arrived_late(tmp_path, "linked", 600, (5, 9)) == []


@pytest.mark.nightly
def test_a_write_may_arrive_at_any_moment_of_the_next_run(tmp_path: Path) -> None:
    assert arrived_late(tmp_path, "full", 60, range(30)) == []


def killed_at_commits(
    folder: Path, points: Iterable[int], after: Callable[[], object] = lambda: None
) -> list[str]:
    wanted = undisturbed("linked", 600)
    wrong = []
    for index in points:
        lab = Lab(folder / str(index), everything("linked"))
        with pytest.raises(Killed), commits(kill_at=index):
            lab.run()
        after()
        lab.clock.sleep(0.5)
        if trouble := ends_well(lab, wanted):
            wrong.append(f"killed before commit {index}: {trouble}")
    return wrong


def test_a_crash_between_any_two_transactions_ends_in_the_same_world(tmp_path: Path) -> None:
    """IP-11, DEP-12: what was leased or bound is kept, and nothing is half written."""
    count = undisturbed("linked", 600).commits
    assert count > 60
    assert killed_at_commits(tmp_path, range(count)) == []


@contextmanager
def stores_of_the_killed(postgres: Postgres) -> Iterator[None]:
    """Stores on PostgreSQL; connections that the killed left open are dropped without a word."""
    with stores_on(postgres):
        yield
    gc.collect()


unclosed = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
SAMPLE = 12
"""One point in so many is tried on PostgreSQL, where only the store differs, not the engine."""


@unclosed
def test_a_crash_ends_in_the_same_world_on_postgresql_too(
    tmp_path: Path, postgres: Postgres
) -> None:
    """DEP-08, DEP-12, IP-11: killed at calls and between transactions."""
    wanted = undisturbed("linked", 600)
    calls, points = range(0, len(wanted.calls), SAMPLE), range(0, wanted.commits, SAMPLE)
    with stores_of_the_killed(postgres):
        assert killed_everywhere(tmp_path / "calls", "linked", 600, calls) == []
        # A process that is killed takes its session, and so its lock, with it.
        assert killed_at_commits(tmp_path / "commits", points, gc.collect) == []


@unclosed
@pytest.mark.nightly
def test_a_crash_anywhere_ends_in_the_same_world_on_postgresql_too(
    tmp_path: Path, postgres: Postgres
) -> None:
    wanted = undisturbed("linked", 600)
    with stores_of_the_killed(postgres):
        every = range(len(wanted.calls))
        assert killed_everywhere(tmp_path / "calls", "linked", 600, every) == []
        assert killed_at_commits(tmp_path / "commits", range(wanted.commits), gc.collect) == []
