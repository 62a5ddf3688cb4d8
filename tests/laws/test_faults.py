"""Whatever goes wrong during a run, undisturbed runs after it end in the same world."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.faults import Fault
from tests.lab import Killed, Lab
from tests.laws.effort import few, many
from tests.laws.fleets import Spec, everything, fleet_files, fleets
from tests.portrait import Portrait

HOUR = 3600.0
CALL_FAULTS = ("error-before", "error-after", "drop-before", "drop-after")
WRITES = (
    "*/clone",
    "*/config",
    "*/resize",
    "*/firewall/rules*",
    "*/firewall/ipset*",
    "*/firewall/options",
    "*/status/start",
    "/pools",
)
READS = (
    "/cluster/resources",
    "/cluster/status",
    "/cluster/log",
    "/cluster/tasks",
    "/cluster/nextid",
    "*/pending",
    "*/firewall/rules",
    "*/tasks/*/status",
    "/version",
)
WORDS = (
    "simulated fault",
    "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout",
    "got lock request timeout",
    "storage 'local-lvm' is not available",
)

on_writes = st.builds(
    Fault,
    kind=st.sampled_from(CALL_FAULTS),
    method=st.sampled_from(["POST", "PUT"]),
    path=st.sampled_from(WRITES),
    nth=st.integers(1, 3),
    times=st.integers(1, 2),
    status=st.sampled_from([500, 596, 595, 403, 503]),
    text=st.sampled_from(WORDS),
)
on_reads = st.builds(
    Fault,
    kind=st.sampled_from(["error-before", "drop-after"]),
    method=st.just("GET"),
    path=st.sampled_from(READS),
    nth=st.integers(1, 5),
    times=st.integers(1, 3),
    status=st.sampled_from([500, 596, 401, 403]),
)
on_tasks = st.builds(
    Fault,
    kind=st.sampled_from(["task-fail", "task-hang"]),
    task=st.sampled_from(["qmclone", "resize", "qmconfig", "qmstart"]),
    nth=st.integers(1, 2),
    text=st.sampled_from(["clone failed: no space left on device", "start failed: timeout"]),
)
on_places = st.one_of(
    st.builds(Fault, st.just("storage-full"), storage=st.sampled_from(["local-lvm", "shared"])),
    st.builds(Fault, st.just("quorum-lost")),
)
"""Not a dead node: a VM that is placed meanwhile goes to another one, and stays there."""
troubles = st.lists(st.one_of(on_writes, on_reads, on_tasks, on_places), min_size=1, max_size=4)


def ends_the_same(files: dict[str, str], faults: list[Fault]) -> None:
    """Two runs with the faults on, then as many without as it takes."""
    with TemporaryDirectory() as folder:
        wanted = undisturbed(Path(folder) / "calm", files)
        lab = Lab(Path(folder) / "rough", files)
        for fault in faults:
            lab.simulator.faults.add(fault)
        for _ in range(2):
            lab.run()
            lab.clock.sleep(30.0)
        lab.simulator.faults.clear()
        stop_hanging(lab)
        lab.settle(apart=HOUR)
        assert lab.shot() == wanted


def undisturbed(folder: Path, files: dict[str, str]) -> Portrait:
    lab = Lab(folder, files)
    lab.settle()
    return lab.shot()


def stop_hanging(lab: Lab) -> None:
    """Stop what hangs, as a person does in the GUI."""
    lab.simulator.call("GET", "/version")
    for task in lab.world.tasks.running():
        if task.hanging:
            lab.ask("DELETE", f"/nodes/{task.node}/tasks/{task.upid}")


@few
@given(troubles)
def test_whatever_goes_wrong_the_runs_after_it_end_in_the_same_world(faults: list[Fault]) -> None:
    """DEP-06, DEP-08: errors before and after the effect, lost answers, dead tasks."""
    ends_the_same(everything(), faults)


@pytest.mark.nightly
@many
@given(fleets(), troubles)
def test_whatever_goes_wrong_with_any_fleet_ends_in_the_same_world(
    vms: dict[str, Spec], faults: list[Fault]
) -> None:
    ends_the_same(fleet_files(vms), faults)


@pytest.mark.nightly
@many
@given(fleets(5), st.lists(st.tuples(st.booleans(), st.integers(0, 120)), max_size=6))
def test_a_fleet_that_is_killed_again_and_again_ends_in_the_same_world(
    vms: dict[str, Spec], kills: list[tuple[bool, int]]
) -> None:
    """Each run is killed somewhere; the one that is not goes on to the end."""
    files = fleet_files(vms)
    with TemporaryDirectory() as folder:
        wanted = undisturbed(Path(folder) / "calm", files)
        lab = Lab(Path(folder) / "rough", files)
        for heard, index in kills:
            try:
                lab.run(after=index) if heard else lab.run(before=index)
            except Killed:
                lab.clock.sleep(0.5)
        lab.settle(apart=HOUR)
        assert lab.shot() == wanted
