"""What was made right is right: a second run has nothing to do, and a dry run does nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given

from tests.lab import Killed, Lab
from tests.laws.effort import few, many
from tests.laws.fleets import Spec, everything, fleet_files, fleets

CONSTANT = 5
"""The constant reads of a run: log, tasks, resources, status, the firewall's options."""
INSIDE = 4
"""Of a VM whose turn in the rotation it is: config, firewall options, rules and list of sets."""


def settled_again(files: dict[str, str], vms: int) -> None:
    with TemporaryDirectory() as folder:
        lab = Lab(Path(folder), files)
        lab.settle()
        known = lab.shot()
        summary = lab.run()
        assert (summary.writes, summary.ready, summary.failed) == (0, vms, 0)
        sets = sum("/ipset/" in sent.path for sent in lab.wire.of(lab.wire.run))
        assert summary.reads <= CONSTANT + INSIDE + sets
        assert lab.shot() == known
        dry = lab.dry()
        assert not dry.differs and not dry.failed


def unwritten(files: dict[str, str], killed_at: int) -> None:
    """A dry run at any moment writes nothing: before, in the middle of and after a deploy."""
    with TemporaryDirectory() as folder:
        lab = Lab(Path(folder), files)
        for moment in ("before", "between", "after"):
            if moment == "between":
                try:
                    lab.run(after=killed_at)
                except Killed:
                    lab.clock.sleep(2.0)
            elif moment == "after":
                lab.settle()
            lab.simulator.call("GET", "/version")
            world, files_before = lab.world.dump(), lab.bytes()
            dry = lab.dry()
            assert not lab.wire.writes(lab.wire.run)
            assert still(lab.world.dump()) == still(world), moment
            assert lab.bytes() == files_before, moment
            assert not dry.errors


def still(dump: dict[str, object]) -> dict[str, object]:
    """A world's dump without what passes by itself."""
    moving = ("now", "seen", "seen_at", "tasks")
    return {key: value for key, value in dump.items() if key not in moving}


@few
@given(fleets())
def test_a_second_run_writes_nothing(vms: dict[str, Spec]) -> None:
    """DEP-05: 0 writes, the constant reads and one VM by rotation."""
    settled_again(fleet_files(vms), len(vms))


@pytest.mark.nightly
@many
@given(fleets(5))
def test_a_second_run_never_writes_anything(vms: dict[str, Spec]) -> None:
    settled_again(fleet_files(vms), len(vms))


def test_a_second_run_of_a_vm_with_every_feature_writes_nothing() -> None:
    settled_again(everything(), 1)


@pytest.mark.parametrize("killed_at", [14, 18, 30, 36, 45])
def test_a_dry_run_writes_nothing_anywhere(killed_at: int) -> None:
    """CLI-04: the cluster and every file of the store stay as they are, to the byte."""
    unwritten(everything(), killed_at)


@pytest.mark.nightly
@many
@given(fleets())
def test_a_dry_run_of_any_fleet_writes_nothing(vms: dict[str, Spec]) -> None:
    unwritten(fleet_files(vms), 25)
