"""The end of a VM killed anywhere: the runs after it come to the same world, and free the same."""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.endings import ABSENT, VM, bound, events, files
from tests.lab import Killed, Lab, Sent
from tests.laws.test_crash import commits
from tests.laws.test_restart import twin
from tests.portrait import Portrait

KEPT = {"scsi1": {"size": "5GiB", "storage": "local-lvm", "reclaim": "retain"}}
END = {**ABSENT, "terminate": {"backups": {"keep": "30d"}}}


def given_up(folder: Path, speed: float) -> Lab:
    """A VM with a backup and a disk that is retained, whose spec now says absent."""
    lab = Lab(folder, files({"old-1": {**VM, "disks": KEPT}, "web-1": VM}), speed=speed)
    lab.settle()
    lab.ask("POST", "/nodes/pve1/vzdump", vmid=101, storage="local", mode="stop")
    lab.clock.sleep(600.0)
    lab.run()
    lab.write(files({"old-1": END, "web-1": VM}))
    lab.wire.calls.clear()
    return lab


@cache
def undisturbed(speed: float) -> tuple[tuple[Sent, ...], int, Portrait]:
    """The calls and commits of the run that ends the VM, and what it comes to."""
    with TemporaryDirectory() as folder:
        lab = twin(given_up(Path(folder, "base"), speed), Path(folder, "lab"))
        with commits() as counted:
            lab.run()
        calls, made = tuple(lab.wire.calls), counted[0]
        lab.settle(apart=20.0)
        ends_well(lab)
        return calls, made, lab.shot()


def ends_well(lab: Lab) -> None:
    """Gone, told once, one holder, and one DELETE that went through."""
    assert bound(lab) is None and 100 not in lab.world.vms
    assert len(events(lab, "vm_terminated")) == 1 and events(lab, "terminate_failed") == []
    holders = [
        one for one in lab.world.vms.values() if one.config.get("tags") == "reconcile-holder"
    ]
    assert len(holders) == 1 and "scsi1" in holders[0].config
    done = [task for task in lab.world.tasks.all.values() if task.kind == "qmdestroy"]
    assert len(done) == 1
    with lab.store() as store:
        assert [one.vmid for one in store.kept.all()] == [100]


def killed_at(folder: Path, speed: float, kills: Iterable[Callable[[Lab], object]]) -> list[str]:
    """Let each of them kill a run of its own; tell where the runs after it did not end well."""
    base, wrong = given_up(folder / "base", speed), []
    for number, kill in enumerate(kills):
        lab = twin(base, folder / str(number))
        with pytest.raises(Killed) as killed:
            kill(lab)
        lab.clock.sleep(1.0)
        try:
            lab.settle(apart=20.0)
            ends_well(lab)
            assert lab.shot() == undisturbed(speed)[2]
        except AssertionError as error:
            wrong.append(f"{killed.value}: {error}")
    return wrong


def at_calls(points: Sequence[int]) -> list[Callable[[Lab], object]]:
    before = [lambda lab, index=index: lab.run(before=index) for index in points]
    return [*before, *(lambda lab, index=index: lab.run(after=index) for index in points)]


def at_commit(index: int) -> Callable[[Lab], object]:
    def kill(lab: Lab) -> None:
        with commits(kill_at=index):
            lab.run()

    return kill


def writes_of(calls: Iterable[Sent]) -> list[int]:
    return [index for index, one in enumerate(calls) if one.is_write]


def test_an_end_killed_at_any_write_ends_the_same(tmp_path: Path) -> None:
    """TERM-07, TERM-09, TERM-16: no address is freed twice, and no machine destroyed twice."""
    assert killed_at(tmp_path, 600.0, at_calls(writes_of(undisturbed(600.0)[0]))) == []


def test_an_end_killed_between_two_transactions_ends_the_same(tmp_path: Path) -> None:
    count = undisturbed(600.0)[1]
    assert count > 20
    assert killed_at(tmp_path, 600.0, map(at_commit, range(0, count, 9))) == []


@pytest.mark.nightly
@pytest.mark.parametrize(("speed", "step"), [(1.0, 3), (600.0, 1)])
def test_an_end_killed_anywhere_at_any_pace_ends_the_same(
    tmp_path: Path, speed: float, step: int
) -> None:
    calls, count, _ = undisturbed(speed)
    kills = [*at_calls(range(0, len(calls), step)), *map(at_commit, range(0, count, step))]
    assert killed_at(tmp_path, speed, kills) == []
