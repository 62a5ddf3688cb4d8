"""One VM looked at anew: what differs, what misses, what is forgotten (Q-10)."""

from pathlib import Path

import pytest

from reconciler.config import open_live, open_preview
from reconciler.options import RunOptions
from reconciler.show.text import Paint
from reconciler.show.verify import render_verified
from reconciler.sim.faults import Fault
from reconciler.verify import Verified, verify
from state.cache import CachedVM
from state.store import Store
from tests.lab import Lab
from tests.laws.fleets import everything
from tests.reconciler.queue.jobs import QueueLab, queue_lab


@pytest.fixture
def lab(tmp_path: Path) -> QueueLab:
    return queue_lab(tmp_path)


def verified(lab: Lab, key: str = "vm-0") -> Verified:
    options = RunOptions(lab.fleet, lab.where)
    live, preview = lab._opening(open_live), lab._opening(open_preview)
    return verify(options, key, lab.told, lab.clock, live, preview)


def test_q_10_nothing_remembered_is_believed(tmp_path: Path) -> None:
    """Q-10: the config and the firewall are read again without any hint."""
    lab = Lab(tmp_path, everything())
    lab.settle()
    lab.wire.next_run()
    found = verified(lab, "all-1")
    assert not found.failed and not found.differs, found
    read = [one.path for one in lab.wire.of(lab.wire.run)]
    assert sum(path.endswith("/pending") for path in read) >= 2
    assert any(path.endswith("/firewall/rules") for path in read)
    assert lab.wire.writes(lab.wire.run) == []


def test_q_10_a_drift_without_a_hint_is_seen_and_repaired(lab: QueueLab) -> None:
    lab.world.vms[100].config["tags"] = "theirs"
    assert verified(lab).differs
    lab.settle()
    assert not verified(lab).differs


def test_q_10_a_volume_that_is_gone_is_named(lab: QueueLab) -> None:
    disk = str(lab.world.vms[100].config["scsi0"]).partition(",")[0]
    lab.world.vms[100].config["scsi0"] = f"{disk.partition(':')[0]}:vm-100-disk-77,size=10G"
    assert verified(lab).missing == {"scsi0": "local-lvm:vm-100-disk-77"}


def test_q_10_what_is_remembered_of_machines_that_are_gone_is_pruned(lab: QueueLab) -> None:
    with Store.open(lab.where, at=lab.at()) as store:
        store.cache.put("demo", CachedVM(777, "[]"), begun_at=lab.at())
    assert verified(lab).pruned == (777,)
    assert verified(lab).pruned == ()


def test_a_vm_that_has_no_machine_yet_differs(lab: QueueLab) -> None:
    lab.write({"vms/more.yaml": "new: {}\n"})
    found = verified(lab, "new")
    assert found.differs and not found.failed


def test_what_cannot_be_read_is_said_and_other_specs_do_not_count(lab: QueueLab) -> None:
    lab.write({"vms/broken.yaml": "broken: {memory: much}\n"})
    assert not verified(lab).failed
    lab.simulator.faults.add(
        Fault("error-before", path="*/storage/*/content", times=None, status=500, text="no")
    )
    found = verified(lab)
    assert found.failed and not found.differs
    assert "local-lvm on pve1" in render_verified(found, Paint())
    lab.simulator.faults.clear()
    lab.simulator.faults.add(
        Fault("error-before", path="/cluster/*", times=None, status=595, text="No route")
    )
    assert "No route" in render_verified(verified(lab), Paint())
