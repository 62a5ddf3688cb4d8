"""A change killed anywhere: the runs after it go on, and do nothing twice."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.lab import Killed, Lab, Sent
from tests.laws.test_change import prepared
from tests.laws.test_crash import commits
from tests.laws.test_restart import twin
from tests.portrait import Portrait
from tests.scenarios.test_change_disks import VM, given_up

REPEATED = ("POST status/shutdown", "POST status/start", "POST config", "PUT resize")
"""What is made once for one change, however often its runs are killed."""


@cache
def undisturbed() -> tuple[tuple[Sent, ...], int, Portrait]:
    """The calls and commits of the run that makes a change with everything, and its end."""
    with TemporaryDirectory() as folder:
        lab = twin(prepared(Path(folder, "base")), Path(folder, "lab"))
        with commits() as counted:
            lab.run()
        calls, made = tuple(lab.wire.calls), counted[0]
        lab.settle(apart=20.0)
        return calls, made, lab.shot()


def made(lab: Lab) -> Counter[str]:
    sent = (one for one in lab.wire.writes() if not one.error)
    return Counter(f"{one.method} {one.path.removeprefix(f'{VM}/')}" for one in sent)


def ends_well(lab: Lab, what: str) -> str:
    """Run until settled; the empty text, or what is not as it should be."""
    try:
        lab.clock.sleep(5.0)
        lab.settle(apart=20.0)
        assert lab.shot() == undisturbed()[2]
        assert [made(lab)[one] for one in REPEATED] == [1, 1, 1, 1]
    except AssertionError as error:
        return f"{what}: {error}"
    return ""


def killed(base: Lab, folder: Path, points: Iterable[tuple[int, str]]) -> list[str]:
    """Kill a run before or after each of these calls; tell where it did not end well."""
    wrong = []
    for index, where in points:
        lab = twin(base, folder / f"{index}-{where}")
        with pytest.raises(Killed) as told:
            lab.run(**{where: index})
        wrong.append(ends_well(lab, str(told.value)))
    return [one for one in wrong if one]


def writes() -> list[int]:
    return [index for index, one in enumerate(undisturbed()[0]) if one.is_write]


def test_a_change_killed_at_any_write_ends_the_same_with_nothing_made_twice(tmp_path: Path) -> None:
    """CP-09, CP-12: config, resize, a new disk, addresses, firewall, stop and start."""
    sent = Counter(str(one).partition(" /")[0] for one in undisturbed()[0] if one.is_write)
    assert sent["PUT"] >= 3 and sent["POST"] >= 3
    points = [(index, "after") for index in writes()]
    points += [(index, "before") for index in writes()[::3]]
    assert killed(prepared(tmp_path / "base"), tmp_path, points) == []


def test_a_write_of_a_killed_change_that_arrives_late_does_no_harm(tmp_path: Path) -> None:
    """CP-09: it reaches Proxmox in the midst of the next run; the end is the same."""
    base, wrong = prepared(tmp_path / "base"), []
    for index in writes()[::3]:
        lab = twin(base, tmp_path / str(index))
        with pytest.raises(Killed) as told:
            lab.run(before=index)
        lab.wire.late = 12
        lab.clock.sleep(1.0)
        lab.run()
        lab.clock.sleep(60.0)
        lab.settle(apart=20.0)
        if lab.shot() != undisturbed()[2]:
            wrong.append(str(told.value))
    assert wrong == []


@pytest.mark.nightly
def test_a_change_killed_at_any_call_ends_the_same(tmp_path: Path) -> None:
    calls = range(len(undisturbed()[0]))
    points = [(index, where) for index in calls for where in ("before", "after")]
    assert killed(prepared(tmp_path / "base"), tmp_path, points) == []


@pytest.mark.nightly
def test_a_change_killed_between_two_transactions_ends_the_same(tmp_path: Path) -> None:
    base, wrong = prepared(tmp_path / "base"), []
    for index in range(undisturbed()[1]):
        lab = twin(base, tmp_path / str(index))
        with pytest.raises(Killed), commits(kill_at=index):
            lab.run()
        wrong.append(ends_well(lab, f"commit {index}"))
    assert [one for one in wrong if one] == []


def test_cp_07_an_erasure_killed_anywhere_is_finished_and_approved_once(tmp_path: Path) -> None:
    """CP-07, CP-09: before each write is sent, and before its answer is heard."""
    base = given_up(tmp_path / "base")
    base.ask("POST", f"{VM}/snapshot", snapname="one")
    base.clock.sleep(60.0)
    base.run()
    digest = base.dry().digest
    calm = twin(base, tmp_path / "calm")
    calm.run(approve=digest)
    writes = [index for index, one in enumerate(calm.wire.calls) if one.is_write]
    calm.settle()
    assert len(writes) == 3
    for number, (index, heard) in enumerate((i, h) for i in writes for h in (False, True)):
        lab = twin(base, tmp_path / str(number))
        with pytest.raises(Killed):
            lab.run(approve=digest, **{"after" if heard else "before": index})
        lab.clock.sleep(30.0)
        lab.settle(apart=30.0)
        assert lab.shot() == calm.shot()
