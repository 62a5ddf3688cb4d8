"""A reinstall, a redeploy or a suspend killed anywhere: the runs after it end in the same world."""

from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from state.api import Json
from tests.lab import Killed, Lab, Sent
from tests.laws.fleets import Spec, fleet_files
from tests.laws.test_crash import commits
from tests.laws.test_restart import twin
from tests.portrait import Portrait
from tests.verbs import asked, results

NIC: Spec = {"bridge": "vmbr0", "ipv4": {"pool": "public-v4"}}
PLAIN: Spec = {"memory": "1GiB", "onboot": True, "nics": {"net0": NIC}}
VERBS = ("reinstall", "redeploy", "suspend", "snapshot", "rollback", "restore")


def base(folder: Path, verb: str) -> Lab:
    """A VM that is ready, of which somebody has asked the verb, and no run has begun yet."""
    files = fleet_files({"a": PLAIN})
    lab = Lab(folder, {**files, "fleet.yaml": files["fleet.yaml"] + "guard: {destroys: 100%}\n"})
    lab.settle()
    if verb == "rollback":
        asked(lab, "snapshot", "gold")
        lab.settle()
    params: dict[str, Json] = {"name": "gold"} if verb == "rollback" else {}
    if verb == "restore":
        lab.ask("POST", "/nodes/pve1/vzdump", vmid="100", storage="local")
        lab.clock.sleep(60.0)
        lab.ask("GET", "/version")
        params["backup"] = archive(lab)
        lab.settle()
    lab.wire.calls.clear()
    asked(lab, verb, "t1", "a", **params)
    return lab


def archive(lab: Lab) -> str:
    return next(one.volid for one in lab.world.volumes.values() if one.content == "backup")


def finished(lab: Lab) -> None:
    """Run until nothing is left: the run that ends a machine leaves the next one to another."""
    for _ in range(2):
        lab.settle(apart=20.0)


@cache
def undisturbed(verb: str) -> tuple[tuple[tuple[Sent, ...], ...], Portrait]:
    """The calls of each run of a verb that nothing disturbs, and the world that it ends in."""
    with TemporaryDirectory() as folder:
        lab = base(Path(folder, "lab"), verb)
        first = lab.wire.run
        finished(lab)
        runs = tuple(tuple(lab.wire.of(one)) for one in range(first + 1, lab.wire.run + 1))
        assert results(lab)[f"{verb} t1"] == "done"
        return tuple(one for one in runs if any(call.is_write for call in one)), lab.shot()


def wrong_after(
    folder: Path, verb: str, kills: Iterable[tuple[int, Callable[[Lab], object]]]
) -> list[str]:
    """Let each of them kill a run of its own, behind so many whole ones; tell what went wrong."""
    first, wrong = base(folder / "base", verb), []
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
            assert lab.shot() == undisturbed(verb)[1]
            assert results(lab)[f"{verb} t1"] == "done"
        except AssertionError as error:
            wrong.append(f"run {whole}, {said}: {error}")
    return wrong


def at_writes(verb: str) -> list[tuple[int, Callable[[Lab], object]]]:
    """Before each write of each run, and after it."""
    kills: list[tuple[int, Callable[[Lab], object]]] = []
    for whole, calls in enumerate(undisturbed(verb)[0]):
        for index, call in enumerate(calls):
            if call.is_write:
                kills.append((whole, lambda lab, index=index: lab.run(before=index)))
                kills.append((whole, lambda lab, index=index: lab.run(after=index)))
    return kills


def at_reads(verb: str) -> list[tuple[int, Callable[[Lab], object]]]:
    return [
        (whole, lambda lab, index=index: lab.run(after=index))
        for whole, calls in enumerate(undisturbed(verb)[0])
        for index, call in enumerate(calls)
        if not call.is_write
    ]


def at_commits(verb: str, most: int) -> list[tuple[int, Callable[[Lab], object]]]:
    def kill(index: int) -> Callable[[Lab], object]:
        def run(lab: Lab) -> None:
            with commits(kill_at=index):
                lab.run()

        return run

    runs = range(len(undisturbed(verb)[0]))
    return [(whole, kill(index)) for whole in runs for index in range(most)]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_killed_at_any_write_ends_in_the_same_world(tmp_path: Path, verb: str) -> None:
    """DEP-28, DEP-09, SUS-01."""
    kills = at_writes(verb)
    assert len(kills) >= 4 if verb != "snapshot" else kills
    assert wrong_after(tmp_path, verb, kills) == []


@pytest.mark.nightly
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_killed_at_any_read_ends_in_the_same_world(tmp_path: Path, verb: str) -> None:
    assert wrong_after(tmp_path, verb, at_reads(verb)) == []


@pytest.mark.nightly
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_killed_at_any_commit_ends_in_the_same_world(tmp_path: Path, verb: str) -> None:
    assert wrong_after(tmp_path, verb, at_commits(verb, 40)) == []
