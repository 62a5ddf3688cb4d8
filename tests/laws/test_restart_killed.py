"""A restart killed anywhere: the runs after it stop the guest once, and end in the same world."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from reconciler.sim.faults import Fault
from tests.lab import Killed, Lab, Sent
from tests.laws.fleets import fleet_files
from tests.laws.test_crash import commits
from tests.laws.test_restart import LARGE, RESTARTED, SMALL, deployed, edit, power, twin
from tests.portrait import Portrait


@cache
def undisturbed(speed: float) -> tuple[tuple[Sent, ...], int, Portrait]:
    """The calls and commits of a run that edits and restarts a VM, and what it comes to."""
    with TemporaryDirectory() as folder:
        lab = twin(deployed(Path(folder, "base"), speed=speed), Path(folder, "lab"))
        edit(lab, LARGE)
        with commits() as counted:
            lab.run()
        calls, made = tuple(lab.wire.calls), counted[0]
        lab.settle(apart=20.0)
        assert power(lab) == RESTARTED
        return calls, made, lab.shot()


def killed_at(folder: Path, speed: float, kills: Iterable[Callable[[Lab], object]]) -> list[str]:
    """Let each of them kill a run of its own; tell where the runs after it did not end well."""
    base, wrong = deployed(folder / "base", speed=speed), []
    edit(base, LARGE)
    for number, kill in enumerate(kills):
        lab = twin(base, folder / str(number))
        with pytest.raises(Killed) as killed:
            kill(lab)
        lab.clock.sleep(1.0)
        try:
            lab.settle(apart=20.0)
            assert lab.shot() == undisturbed(speed)[2]
            assert power(lab) == RESTARTED
        except AssertionError as error:
            wrong.append(f"{killed.value}: {error}")
    return wrong


def before_calls(points: Iterable[int]) -> list[Callable[[Lab], object]]:
    return [lambda lab, index=index: lab.run(before=index) for index in points]


def after_calls(points: Iterable[int]) -> list[Callable[[Lab], object]]:
    return [lambda lab, index=index: lab.run(after=index) for index in points]


def at_calls(points: Sequence[int]) -> list[Callable[[Lab], object]]:
    return [*before_calls(points), *after_calls(points)]


def at_commit(index: int) -> Callable[[Lab], object]:
    def kill(lab: Lab) -> None:
        with commits(kill_at=index):
            lab.run()

    return kill


def writes_of(calls: Iterable[Sent]) -> list[int]:
    return [index for index, one in enumerate(calls) if one.is_write]


def test_cp_04_a_restart_killed_at_any_call_stops_the_guest_once(tmp_path: Path) -> None:
    """CP-04, CP-08, CP-12: before each write is sent, and before any answer is heard."""
    calls = undisturbed(600.0)[0]
    assert [one.path.rpartition("/")[2] for one in calls if one.is_write][-2:] == RESTARTED
    kills = [*before_calls(writes_of(calls)), *after_calls(range(len(calls)))]
    assert killed_at(tmp_path, 600.0, kills) == []


def test_a_restart_killed_at_any_write_at_the_pace_of_real_hardware_stops_once(
    tmp_path: Path,
) -> None:
    """CP-04: the shutdown of the killed run is still at work when the next run begins."""
    assert killed_at(tmp_path, 1.0, at_calls(writes_of(undisturbed(1.0)[0]))) == []


def test_a_restart_killed_between_two_transactions_stops_the_guest_once(tmp_path: Path) -> None:
    count = undisturbed(600.0)[1]
    assert count > 20
    assert killed_at(tmp_path, 600.0, map(at_commit, range(0, count, 3))) == []


@pytest.mark.nightly
@pytest.mark.parametrize("speed", [1.0, 600.0])
def test_a_restart_killed_anywhere_at_any_pace_stops_the_guest_once(
    tmp_path: Path, speed: float
) -> None:
    calls, count, _ = undisturbed(speed)
    kills = [*at_calls(range(len(calls))), *map(at_commit, range(count))]
    assert killed_at(tmp_path, speed, kills) == []


def unheeded(folder: Path) -> Lab:
    """A guest was asked to shut down two minutes ago, and does not."""
    lab = deployed(folder, speed=1.0)
    lab.simulator.faults.add(Fault("task-hang", task="qmshutdown", times=None))
    edit(lab, LARGE)
    lab.run(time_limit=3.0)
    assert power(lab) == ["shutdown"]
    lab.clock.sleep(125.0)
    return lab


def under_ha(folder: Path) -> Lab:
    """A VM that the HA manager keeps, and an edit that asks for its restart."""
    lab = Lab(folder, fleet_files({"a": {**SMALL, "ha": {}}}))
    who = {"users": "reconcile@pve", "tokens": "reconcile@pve!fleet"}
    lab.ask("PUT", "/access/acl", path="/", roles="PVESysAdmin", **who)
    lab.settle()
    edit(lab, {**LARGE, "ha": {}})
    return lab


def requested(lab: Lab) -> list[str]:
    """The states that were asked of the HA manager, in order."""
    writes = [one for one in lab.wire.writes() if one.path.endswith("/vm:100") and not one.error]
    return [str(one.params["state"]) for one in writes]


BEGUN = pytest.mark.parametrize(
    ("begin", "told", "wanted"),
    [(unheeded, power, ["stop", "start"]), (under_ha, requested, ["stopped", "started"])],
)
Tell = Callable[[Lab], list[str]]


def killed_where(
    folder: Path, base: Lab, told: Tell, wanted: list[str], kept: Callable[[Sent], bool]
) -> None:
    """Kill the next run at each of its calls that is `kept`; the runs after it end the same."""
    calm = twin(base, folder / "calm")
    calm.run()
    points = [index for index, one in enumerate(calm.wire.calls) if kept(one)]
    calm.settle(apart=30.0)
    assert told(calm) == wanted
    for number, kill in enumerate(at_calls(points)):
        lab = twin(base, folder / str(number))
        with pytest.raises(Killed):
            kill(lab)
        lab.settle(apart=30.0)
        assert lab.shot() == calm.shot()
        assert told(lab) == wanted


@BEGUN
def test_c_09_a_stop_by_force_or_by_ha_killed_at_any_write_is_made_once(
    tmp_path: Path, begin: Callable[[Path], Lab], told: Tell, wanted: list[str]
) -> None:
    """CP-04, C-09: before each write is sent, and before its answer is heard."""
    killed_where(tmp_path, begin(tmp_path / "base"), told, wanted, lambda one: one.is_write)


@pytest.mark.nightly
@BEGUN
def test_c_09_a_stop_by_force_or_by_ha_killed_at_any_call_is_made_once(
    tmp_path: Path, begin: Callable[[Path], Lab], told: Tell, wanted: list[str]
) -> None:
    killed_where(tmp_path, begin(tmp_path / "base"), told, wanted, lambda one: True)
