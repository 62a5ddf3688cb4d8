"""A disk that goes to a holder and comes back, killed anywhere: no byte of it is lost."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.lab import Killed, Lab, Sent
from tests.laws.test_crash import commits
from tests.laws.test_restart import twin
from tests.portrait import Portrait
from tests.reconciler.verbs.test_retained import DB, OTHER, deployed, files, holders, intents, on
from tests.verbs import asked

Kill = tuple[int, Callable[[Lab], object]]
WRITTEN = "written to scsi1"
HOLDER = 102
TAKER: dict[str, Any] = {**OTHER, "disks": {"scsi4": {"adopt": f"{HOLDER}/scsi1"}}}


def base(folder: Path, way: str) -> Lab:
    """A VM with a retained disk, of which something is asked that moves it; no run has begun."""
    lab = deployed(folder, a=DB, b=OTHER)
    if way == "adopt":
        lab.write(files(a={"state": "absent"}, b=OTHER))
        lab.settle()
        assert holders(lab) == [HOLDER]
        lab.write(files(b=TAKER))
    else:
        asked(lab, way)
    lab.wire.calls.clear()
    return lab


def finished(lab: Lab) -> None:
    """Run until nothing is left: the run that ends a machine leaves the next one to another."""
    for _ in range(2):
        lab.settle(apart=20.0)


def ends_well(lab: Lab, way: str) -> None:
    key, slot = ("b", "scsi4") if way == "adopt" else ("a", "scsi1")
    assert on(lab, slot, key) == WRITTEN
    assert [one.notes for one in lab.world.volumes.values()].count(WRITTEN) == 1
    assert holders(lab) == [] and intents(lab, key) == []


@cache
def undisturbed(way: str) -> tuple[tuple[tuple[Sent, ...], ...], Portrait]:
    """The calls of each run that writes, where nothing disturbs, and the world at the end."""
    with TemporaryDirectory() as folder:
        lab = base(Path(folder, "lab"), way)
        first = lab.wire.run
        finished(lab)
        runs = tuple(tuple(lab.wire.of(one)) for one in range(first + 1, lab.wire.run + 1))
        ends_well(lab, way)
        return tuple(one for one in runs if any(call.is_write for call in one)), lab.shot()


def wrong_after(folder: Path, way: str, kills: list[Kill]) -> list[str]:
    """Let each of them kill a run of its own, behind so many whole ones; tell what went wrong."""
    first, wrong = base(folder / "base", way), []
    for number, (whole, kill) in enumerate(kills):
        lab = twin(first, folder / str(number))
        for _ in range(whole):
            lab.run()
            lab.clock.sleep(20.0)
        try:
            kill(lab)
        except Killed as killed:
            said = str(killed)
        else:
            continue
        lab.clock.sleep(1.0)
        try:
            finished(lab)
            ends_well(lab, way)
            assert lab.shot() == undisturbed(way)[1]
        except AssertionError as error:
            wrong.append(f"run {whole}, {said}: {error}")
    return wrong


def at_writes(way: str, ending: str = "") -> list[Kill]:
    """Before each write of each run whose path ends so, and after it."""
    kills: list[Kill] = []
    for whole, calls in enumerate(undisturbed(way)[0]):
        for index, call in enumerate(calls):
            if call.is_write and call.path.endswith(ending):
                kills += [(whole, _before(index)), (whole, _after(index))]
    return kills


def _before(index: int) -> Callable[[Lab], object]:
    return lambda lab: lab.run(before=index)


def _after(index: int) -> Callable[[Lab], object]:
    return lambda lab: lab.run(after=index)


def at_commits(way: str, most: int) -> list[Kill]:
    def kill(index: int) -> Callable[[Lab], object]:
        def run(lab: Lab) -> None:
            with commits(kill_at=index):
                lab.run()

        return run

    runs = range(len(undisturbed(way)[0]))
    return [(whole, kill(index)) for whole in runs for index in range(most)]


@pytest.mark.parametrize(
    ("way", "ending"),
    [
        ("reinstall", "/move_disk"),
        ("reinstall", "/100"),
        ("adopt", ""),
        pytest.param("reinstall", "", marks=pytest.mark.nightly),
        pytest.param("redeploy", "", marks=pytest.mark.nightly),
    ],
)
def test_a_disk_on_its_way_outlives_a_kill_at_any_write(
    tmp_path: Path, way: str, ending: str
) -> None:
    """DEP-28, DEP-09; `/100` is what destroys the old machine."""
    kills = at_writes(way, ending)
    assert len(kills) >= 2
    assert wrong_after(tmp_path, way, kills) == []


@pytest.mark.nightly
@pytest.mark.parametrize("way", ["reinstall", "redeploy", "adopt"])
def test_a_disk_on_its_way_outlives_a_kill_at_any_commit(tmp_path: Path, way: str) -> None:
    assert wrong_after(tmp_path, way, at_commits(way, 60)) == []
