"""VMs that wait for a restart get it a few at a time, and never two of one group at once."""

from pathlib import Path

import pytest

from reconciler.drain import resume
from reconciler.sim.faults import Fault
from state.store import Store
from tests.lab import Killed, Lab
from tests.laws.fleets import FLEET
from tests.laws.test_restart import twin
from tests.laws.test_rollout import conditions

DAILY = "windows: {night: {start: '0 0 * * *', for: 1d}}\n"
FREE = "guard: {restarts: 100%}\nrollout: off\n"


def files(memory: str, head: str = "", **own: str) -> dict[str, str]:
    lines = [f"{key}: {{memory: {memory}, {text}}}\n" for key, text in own.items()]
    return {
        "fleet.yaml": FLEET.replace("limits:", f"{head or FREE}limits:"),
        "vms/vms.yaml": "".join(lines),
    }


def waiting(folder: Path, head: str = "", **own: str) -> Lab:
    """VMs that were deployed, and then got other memory, which waits."""
    lab = Lab(folder, files("1GiB", head, **own))
    lab.settle()
    lab.wire.calls.clear()
    lab.write(files("2GiB", head, **own))
    return lab


def powered(lab: Lab) -> list[tuple[str, int]]:
    """What was sent to stop and start VMs, in order."""
    paths = [one.path for one in lab.wire.writes() if "/status/" in one.path and not one.error]
    return [(path.rpartition("/")[2], int(path.split("/")[4])) for path in paths]


PAIR = {"a": "restart: allow, anti_affinity: db", "b": "restart: allow, anti_affinity: db"}


def alternates(sent: list[tuple[str, int]]) -> bool:
    """Whether each VM was started again before the next was asked to shut down."""
    verbs = [verb for verb, _ in sent]
    pairs = zip(sent[::2], sent[1::2], strict=True)
    return verbs == ["shutdown", "start"] * (len(sent) // 2) and all(
        down[1] == up[1] for down, up in pairs
    )


def test_never_two_of_one_anti_affinity_group_are_down_at_once(tmp_path: Path) -> None:
    lab = waiting(tmp_path, **PAIR, c="restart: allow, anti_affinity: db")
    lab.run()
    sent = powered(lab)
    assert alternates(sent) and len(sent) == 6
    assert lab.settle().ready == 3


def test_a_killed_drain_goes_on_one_by_one(tmp_path: Path) -> None:
    """Killed before the first stop and the first start, and before their answers."""
    base = Lab(tmp_path / "base", files("1GiB", **PAIR), speed=60.0)
    base.settle()
    base.wire.calls.clear()
    base.write(files("2GiB", **PAIR))
    calm = twin(base, tmp_path / "calm")
    calm.run()
    stops = [index for index, one in enumerate(calm.wire.calls) if "/status/sh" in one.path]
    starts = [index for index, one in enumerate(calm.wire.calls) if "/status/start" in one.path]
    calm.settle(apart=20.0)
    assert alternates(powered(calm))
    for number, index in enumerate((stops[0], starts[0])):
        for how in ("before", "after"):
            lab = twin(base, tmp_path / f"{number}{how}")
            with pytest.raises(Killed):
                lab.run(
                    before=index if how == "before" else None,
                    after=index if how == "after" else None,
                )
            lab.settle(apart=20.0)
            assert alternates(powered(lab)), powered(lab)
            assert len(powered(lab)) == 4
            assert lab.shot() == calm.shot()


def test_a_vm_of_the_group_that_is_off_by_itself_is_waited_for(tmp_path: Path) -> None:
    lab = waiting(tmp_path, **PAIR)
    lab.simulator.faults.add(Fault("task-fail", task="qmstart", times=None))
    lab.ask("POST", f"/nodes/{lab.world.vms[101].node}/qemu/101/status/stop")
    lab.clock.sleep(60.0)
    lab.run()
    assert ("shutdown", 100) not in powered(lab)
    assert "waits until b of group db runs again" in conditions(lab, "GroupDown")["a"]


def test_a_window_takes_so_many_and_counts_across_runs(tmp_path: Path) -> None:
    own = {key: "restart: window" for key in "abcde"}
    head = FREE + "windows: {night: {start: '0 0 * * *', for: 1d, at_most: 2}}\n"
    lab = waiting(tmp_path, head, **own)
    for _ in range(3):
        lab.run()
        lab.clock.sleep(60.0)
    assert len(powered(lab)) == 4
    assert conditions(lab, "WindowFull").keys() == {"c", "d", "e"}
    assert "2 of 2 VMs were restarted in this opening" in conditions(lab, "WindowFull")["c"]
    with lab.store() as store:
        told = [(one.state_after, one.result) for one in store.journal.vm_runs("c", 9)]
    assert told[0] == ("ready", "success")
    assert len(told) == 2  # the deploy and the edit: no run tells anew that it waits
    lab.clock.sleep(86400.0)
    lab.run()
    assert len(powered(lab)) == 8


def test_the_guard_says_how_many_for_every_window_that_does_not(tmp_path: Path) -> None:
    own = {key: "restart: window" for key in "abc"}
    head = "guard: {restarts: 100%, restarts_per_window: 1}\nrollout: off\n" + DAILY
    lab = waiting(tmp_path, head, **own)
    lab.run()
    lab.run()
    assert len(powered(lab)) == 2


def test_the_drain_stops_at_the_first_that_does_not_come_back(tmp_path: Path) -> None:
    lab = waiting(tmp_path, **PAIR, c="restart: allow")
    lab.write({"vms/vms.yaml": files("2GiB", **PAIR)["vms/vms.yaml"] + "c: {memory: 1GiB}\n"})
    lab.simulator.faults.add(Fault("task-fail", task="qmstart", times=None))
    lab.run()
    lab.clock.sleep(120.0)
    lab.run()
    assert powered(lab)[0] == ("shutdown", 100)
    lab.write(files("2GiB", **PAIR, c="restart: allow"))
    lab.run()
    assert ("shutdown", 102) not in powered(lab)
    said = conditions(lab, "DrainStopped")
    assert said.keys() == {"b", "c"}
    assert said["b"].startswith("no VM is restarted since a did not come back: ")
    with Store.open(lab.where, at=lab.clock.now()) as store:
        stopped = resume(store)
        assert stopped is not None and stopped.key == "a"
        assert resume(store) is None
    lab.run()
    assert ("shutdown", 102) in powered(lab)
    assert ("shutdown", 101) not in powered(lab)
