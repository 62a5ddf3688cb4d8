"""A drill puts a backup back beside its VM, boots it without a network, and leaves nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.backups.drill import Drill, Trial, open_trial, tidy, unplugged
from reconciler.backups.loops import backup_status, schedule_backup
from state.store import Store
from tests.lab import Killed, LabClock
from tests.reconciler.backups.test_schedule import archives, backup_lab, night
from tests.reconciler.loops.jobs import LoopLab

FREE = 4000


@pytest.fixture
def lab(tmp_path: Path) -> LoopLab:
    made = backup_lab(tmp_path)
    night(made)
    made.one(schedule_backup())
    return made


def opened(lab: LoopLab) -> Store:
    return Store.open(lab.where, at=datetime.fromtimestamp(lab.clock(), UTC))


def drill(lab: LoopLab, store: Store, **fields: object) -> Drill:
    at = datetime.fromtimestamp(lab.clock(), UTC)
    volume = archives(lab)[0].volid
    trial = Trial("demo", "pve1", FREE, volume, "vm-0", store.id, at.isoformat())
    clock: LabClock = lab.clock
    return Drill(lab.api(), store, clock, trial, **fields)  # type: ignore[arg-type]


def test_a_good_backup_boots_without_a_cable_and_is_removed(lab: LoopLab) -> None:
    said: list[str] = []
    lab.wire.next_run()
    before = set(lab.world.volumes)
    with opened(lab) as store:
        assert drill(lab, store, tell=said.append).run() == ""
        assert open_trial(store) is None
    assert said[-2:] == ["it is well", "it is removed"]
    assert FREE not in lab.world.vms
    assert set(lab.world.volumes) == before
    (restore,) = [one for one in lab.wire.writes(lab.wire.run) if one.path.endswith("/qemu")]
    assert all("link_down=1" in str(restore.params[key]) for key in restore.params if "net" in key)
    assert restore.params["unique"] is True
    assert lab.settle().ready == 1


def test_a_backup_that_cannot_be_restored_is_named_and_nothing_is_left(lab: LoopLab) -> None:
    lab.wire.next_run()
    lab.world.storages["local-lvm"].full = True
    with opened(lab) as store:
        assert drill(lab, store).run() != ""
        assert open_trial(store) is None
    assert FREE not in lab.world.vms


def test_nics_are_unplugged_and_get_macs_of_their_own() -> None:
    text = "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=5,rate=3\nname: x\n"
    assert unplugged(text) == {"net0": "virtio,bridge=vmbr0,tag=5,link_down=1"}


def test_the_vm_of_somebody_else_is_not_removed(lab: LoopLab) -> None:
    """Its vmid was taken meanwhile: no mark of the drill, so no touch."""
    lab.wire.next_run()
    with opened(lab) as store:
        trial = drill(lab, store).trial
        lab.ask("POST", "/nodes/pve1/qemu", vmid=FREE, name="theirs")
        lab.clock.sleep(60)
        at = datetime.fromtimestamp(lab.clock(), UTC)
        assert tidy(lab.api(), store, trial, at) == ""
    assert FREE in lab.world.vms
    assert lab.wire.writes(lab.wire.run) == []


def test_a_drill_killed_after_any_call_leaves_nothing(lab: LoopLab) -> None:
    """DEP-20: the job backup_status removes what it finds in the store."""
    before = set(lab.world.volumes)
    call = 0
    while True:
        lab.wire.next_run(after=call)
        with opened(lab) as store:
            try:
                assert drill(lab, store).run() == ""
                break
            except Killed:
                pass
        for _ in range(4):
            lab.clock.sleep(60)
            lab.one(backup_status())
        with lab.store() as store:
            assert open_trial(store) is None
        assert FREE not in lab.world.vms
        assert set(lab.world.volumes) == before
        call += 1
    assert call > 8


def test_an_agent_that_does_not_answer_in_time_is_no_good_backup(tmp_path: Path) -> None:
    lab = backup_lab(tmp_path, vms=1)
    lab.ask("POST", "/nodes/pve1/qemu/100/config", agent="1")
    lab.clock.sleep(60)
    night(lab)
    lab.one(schedule_backup())
    lab.world.speed = 0.1
    lab.wire.next_run()
    with opened(lab) as store:
        problem = drill(lab, store, within=3.0).run()
    assert problem == "its agent did not answer within 3 s"
    assert FREE not in lab.world.vms
