"""A clone that is migrated before its start may be killed at any call, as any other (DEP-15)."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.lab import Killed, Lab
from tests.laws.fleets import FLEET, everything
from tests.laws.test_crash import Undisturbed, commits, ends_well, written

ONE_COPY = FLEET.replace("[9000, 9001, 9002]", "[9000]")
STORAGE_MAP = "placement: {storage_map: {local-lvm: [tank]}}\n"


def opened(folder: Path, speed: float) -> Lab:
    """One VM with everything on pve2, whose template is on pve1's own storage; pve2 names its
    storage otherwise."""
    files = {**everything("full"), "fleet.yaml": ONE_COPY + STORAGE_MAP}
    spec = files["vms/all.yaml"].replace("storage: local-lvm", "storage: tank")
    lab = Lab(folder, {**files, "vms/all.yaml": f"{spec}  storage: local-lvm\n"}, speed=speed)
    lab.ask("PUT", "/storage/local-lvm", nodes="pve1,pve3")
    lab.ask(
        "POST",
        "/storage",
        storage="tank",
        type="lvmthin",
        vgname="tank",
        thinpool="data",
        content="images",
        nodes="pve2",
    )
    return lab


@cache
def undisturbed(speed: float) -> Undisturbed:
    with TemporaryDirectory() as folder:
        lab = opened(Path(folder), speed)
        with commits() as counted:
            lab.run()
        made = counted[0]
        lab.settle()
        calls = tuple(lab.wire.of(1))
        return Undisturbed(calls, made, lab.shot(), written(lab.wire.writes()))


def killed_at(folder: Path, speed: float, before: int | None, after: int | None) -> str:
    lab = opened(folder, speed)
    with pytest.raises(Killed) as killed:
        lab.run(before=before, after=after)
    lab.clock.sleep(0.5)
    trouble = ends_well(lab, undisturbed(speed))
    return f"killed {killed.value}: {trouble}" if trouble else ""


def test_an_undisturbed_clone_is_migrated_once_before_it_is_started() -> None:
    """DEP-15, CI-06"""
    wanted = undisturbed(600)
    paths = [sent.path for sent in wanted.calls if sent.is_write]
    moves = [path for path in paths if path.endswith("/migrate")]
    assert moves == ["/nodes/pve1/qemu/100/migrate"]
    assert paths.index("/nodes/pve2/qemu/100/status/start") > paths.index(moves[0])
    (machine,) = (one for vmid, one in wanted.end["vms"].items() if vmid < 9000)
    assert (machine["node"], machine["status"]) == ("pve2", "running")
    assert machine["config"]["scsi0"].startswith("tank:")


def test_a_crash_at_any_call_around_a_migration_ends_in_the_same_world(tmp_path: Path) -> None:
    """DEP-08, DEP-15: before it is asked for, while it runs, and before it is known to be over."""
    calls = undisturbed(600).calls
    moved = next(index for index, sent in enumerate(calls) if sent.path.endswith("/migrate"))
    wrong = []
    for index in range(moved - 2, moved + 6):
        wrong.append(killed_at(tmp_path / f"{index}-before", 600, index, None))
        wrong.append(killed_at(tmp_path / f"{index}-after", 600, None, index))
    assert [text for text in wrong if text] == []


def test_a_crash_while_the_migration_takes_its_time_ends_in_the_same_world(tmp_path: Path) -> None:
    """DEP-15: the task of the killed run is still at work when the next run begins."""
    calls = undisturbed(5).calls
    writes = [index for index, sent in enumerate(calls) if sent.is_write]
    moved = next(index for index in writes if calls[index].path.endswith("/migrate"))
    wrong = [killed_at(tmp_path / str(index), 5, None, index) for index in writes if index >= moved]
    assert [text for text in wrong if text] == []


@pytest.mark.nightly
@pytest.mark.parametrize("speed", [1.0, 30.0, 600.0])
def test_a_crash_at_any_call_ends_well_at_any_pace(tmp_path: Path, speed: float) -> None:
    """DEP-08, DEP-15"""
    wrong = []
    for index in range(len(undisturbed(speed).calls)):
        wrong.append(killed_at(tmp_path / f"{index}-before", speed, index, None))
        wrong.append(killed_at(tmp_path / f"{index}-after", speed, None, index))
    assert [text for text in wrong if text] == []


def killed_between(folder: Path, points: Iterable[int]) -> list[str]:
    wrong = []
    for index in points:
        lab = opened(folder / str(index), 600)
        with commits(index), pytest.raises(Killed):
            lab.run()
        lab.clock.sleep(0.5)
        if trouble := ends_well(lab, undisturbed(600)):
            wrong.append(f"before commit {index}: {trouble}")
    return wrong


def test_a_crash_between_transactions_of_a_migrated_clone_ends_well(tmp_path: Path) -> None:
    """DEP-08: its place is known before it is bound, and forgotten when it is there."""
    assert killed_between(tmp_path, range(2, undisturbed(600).commits, 7)) == []


@pytest.mark.nightly
def test_a_crash_between_any_two_transactions_ends_well(tmp_path: Path) -> None:
    assert killed_between(tmp_path, range(undisturbed(600).commits)) == []


ENFORCED = "one: {template: ubuntu-24, node: {name: pve1, enforce: true}}\n"


def moved_away(folder: Path) -> Lab:
    """A VM on shared storage that runs on pve1 and is to be on pve2 from now on."""
    lab = Lab(folder, {"fleet.yaml": FLEET, "vms/all.yaml": ENFORCED})
    lab.settle()
    lab.write({"vms/all.yaml": ENFORCED.replace("pve1", "pve2")})
    lab.wire.calls.clear()
    return lab


def test_a_crash_around_an_enforced_migration_migrates_once(tmp_path: Path) -> None:
    """DEP-08: the guest runs on, wherever the run was killed."""
    twin = moved_away(tmp_path / "twin")
    twin.run()
    wanted, calls = twin.shot(), twin.wire.of(twin.wire.run)
    sent = next(index for index, one in enumerate(calls) if one.is_write)
    for index in range(sent - 1, sent + 3):
        for before, after in ((index, None), (None, index)):
            lab = moved_away(tmp_path / f"{index}-{before is None}")
            with pytest.raises(Killed):
                lab.run(before=before, after=after)
            lab.clock.sleep(0.5)
            lab.settle(apart=0.5)
            assert lab.shot() == wanted
            paths = [one.path for one in lab.wire.writes()]
            assert paths == ["/nodes/pve1/qemu/100/migrate"]
