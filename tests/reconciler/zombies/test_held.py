"""Disks that wait on holders are listed, with whose they were and how another VM gets them."""

from pathlib import Path

from reconciler.pve.inprocess import InProcessApi
from reconciler.zombies.held import held
from reconciler.zombies.search import Search
from state.view import Row
from tests.engine import Answers
from tests.orphanage import TINY, Orphanage

MARK = "reconcile-holder: store=ab12cd34 fleet=demo key=old-1 of=101"


def kept(lab: Orphanage, vmid: int, **config: object) -> None:
    lab.ask("POST", "/nodes/pve1/qemu", vmid=vmid, tags="reconcile-holder", **config)
    lab.clock.sleep(60.0)


def test_each_disk_of_a_holder_is_told_and_one_without_is_unwanted(tmp_path: Path) -> None:
    lab = Orphanage(tmp_path, {"a": TINY})
    lab.settle()
    kept(lab, 150, description=MARK, scsi1="local-lvm:1", scsi2="local-lvm:2")
    kept(lab, 151, description=MARK)
    kept(lab, 152, description="somebody's own", scsi1="local-lvm:1")
    search = Search("demo", InProcessApi(lab.simulator, "root@pam"))
    found = {one.what: one for one in search.zombies()}
    assert found.keys() == {
        "scsi1 local-lvm:vm-150-disk-0",
        "scsi2 local-lvm:vm-150-disk-1",
        "no disk",
    }
    disk = found["scsi2 local-lvm:vm-150-disk-1"]
    assert (disk.kind, disk.vmid, disk.node, disk.size) == ("holder", 150, "pve1", 2 << 30)
    assert disk.kept == "kept of old-1; a spec takes it by `adopt: 150/scsi2`"
    assert (found["no disk"].kept, found["no disk"].how) == ("", "qm destroy 151 --purge")


def test_a_holder_that_cannot_be_read_is_left_out() -> None:
    row: Row = {"type": "qemu", "vmid": 150, "node": "pve1", "tags": "a;reconcile-holder"}
    api = Answers()
    assert list(held(api, "demo", [row])) == []
    assert api.got == ["/nodes/pve1/qemu/150/pending"]
