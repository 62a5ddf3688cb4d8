"""A VM made from a disk image: a crash at any call ends in the same world, and it is made once."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from reconciler.sim.samples import add_file
from tests.lab import Killed, Lab, Sent
from tests.portrait import Portrait

IMAGE = "local:import/debian-13.qcow2"
CREATION = "/nodes/pve2/qemu"
FLEET = f"""\
fleet: law
clusters: {{demo: {{simulated: {{nodes: 3}}}}}}
defaults: {{cluster: demo, template: debian-13, storage: local-lvm}}
images: {{debian-13: {{demo: "{IMAGE}"}}}}
limits: {{workers: 1}}
"""
VMS = """\
web-1:
  memory: 1GiB
  disks: {system: {size: 10GiB, iops_rd: 500}, scsi1: {size: 5GiB}}
  nics: {net0: {bridge: vmbr0, vlan: 7, ipv4: {static: 203.0.113.7/24}}}
  firewall: {policy_in: DROP}
"""


def data_centre(folder: Path, speed: float) -> Lab:
    lab = Lab(folder, {"fleet.yaml": FLEET, "vms/vms.yaml": VMS}, speed=speed)
    add_file(lab.world, "pve2", IMAGE, "import", "qcow2", 500 << 20)
    lab.world.volumes["pve2", IMAGE].virtual = 3 << 30
    return lab


@cache
def undisturbed(speed: float) -> tuple[list[Sent], Portrait]:
    with TemporaryDirectory() as folder:
        lab = data_centre(Path(folder), speed)
        lab.run()
        lab.settle()
        return lab.wire.of(1), lab.shot()


def killed_at(folder: Path, speed: float, points: Iterable[int]) -> list[str]:
    wrong, end = [], undisturbed(speed)[1]
    for index in points:
        for before, after in ((index, None), (None, index)):
            lab = data_centre(folder / f"{index}-{before}", speed)
            with pytest.raises(Killed) as killed:
                lab.run(before=before, after=after)
            lab.clock.sleep(0.5)
            lab.settle(apart=0.5)
            made = [one for one in lab.wire.writes() if one.path == CREATION]
            if lab.shot() != end or sum(not one.error for one in made) != 1:
                wrong.append(f"{killed.value}: {[str(one) for one in made]}")
    return wrong


def test_a_crash_while_it_is_made_makes_the_vm_once_and_as_it_should_be(tmp_path: Path) -> None:
    """DEP-08, DEP-13: around the creation's call, and while the VM bears the lock create."""
    calls = undisturbed(2.0)[0]
    made = next(index for index, one in enumerate(calls) if one.path == CREATION)
    begun = next(index for index, one in enumerate(calls) if one.path.endswith("/config"))
    near = {*range(made - 2, made + 3), *range(made, begun, 3), begun}
    assert len(near) > 8
    assert killed_at(tmp_path, 2.0, sorted(near)) == []


@pytest.mark.nightly
def test_a_crash_at_any_call_makes_the_vm_once_and_as_it_should_be(tmp_path: Path) -> None:
    for speed in (600.0, 2.0):
        points = range(len(undisturbed(speed)[0]))
        assert killed_at(tmp_path / f"{speed:g}", speed, points) == []


def test_a_creation_that_fails_is_tried_again_and_leaves_nothing(tmp_path: Path) -> None:
    """DEP-13: Proxmox removes a VM whose creation failed."""
    lab = data_centre(tmp_path, 600)
    del lab.world.volumes["pve2", IMAGE]
    assert "no image" in str(lab.run() and lab.told.events)
    add_file(lab.world, "pve2", IMAGE, "import", "qcow2", 500 << 20)
    lab.wire.meanwhile = lambda call: bool(lab.world.volumes.pop(("pve2", IMAGE), None))
    lab.run()
    assert [vm for vm in lab.world.vms if vm < 9000] == []
    assert "failed to stat" in lab.told.words("web-1")
    add_file(lab.world, "pve2", IMAGE, "import", "qcow2", 500 << 20)
    lab.world.volumes["pve2", IMAGE].virtual = 3 << 30
    lab.settle(apart=600)
    assert lab.world.vms[100].config["scsi0"].startswith("local-lvm:vm-100-disk-0,iops_rd=500")  # type: ignore[union-attr]


def test_a_new_image_touches_no_vm_and_is_told(tmp_path: Path) -> None:
    """CI-04: ImageOutdated, as long as the VM is what it is."""
    lab = data_centre(tmp_path, 600)
    lab.settle()
    lab.write({"fleet.yaml": FLEET.replace("debian-13.qcow2", "debian-13-2.qcow2")})
    assert lab.settle().writes == 0
    with lab.store() as store:
        told = {one.type: one.message for one in store.conditions.all()["web-1"]}
    assert "debian-13-2.qcow2 now" in told["ImageOutdated"]
    lab.write({"fleet.yaml": FLEET})
    assert lab.settle().writes == 0
    with lab.store() as store:
        assert "ImageOutdated" not in {one.type for one in store.conditions.all()["web-1"]}


def test_vms_of_an_older_image_cost_no_look_and_are_told_all_the_same(tmp_path: Path) -> None:
    """A new image makes a whole fleet outdated: a quiet run must stay what it was."""
    lab = data_centre(tmp_path, 600)
    lab.write({"vms/vms.yaml": "web: {count: 3, nics: {net0: {bridge: vmbr0}}}\n"})
    lab.settle()
    lab.write({"fleet.yaml": FLEET.replace("debian-13.qcow2", "debian-13-2.qcow2")})
    for _ in range(3):
        lab.run()
        with lab.store() as store:
            told = store.conditions.all()
            settled = [one.settled for one in store.cache.all("demo").values() if one.vmid < 9000]
        assert all(any(c.type == "ImageOutdated" for c in told[f"web/{n}"]) for n in (1, 2, 3))
        assert len(settled) == 3
        assert all(settled)
    lab.write({"fleet.yaml": FLEET})
    lab.run()
    with lab.store() as store:
        assert {one.type for found in store.conditions.all().values() for one in found} == {"Ready"}


def test_creations_count_as_clones_do(tmp_path: Path) -> None:
    """At most two at work on one storage; the others wait for their turn."""
    lab = data_centre(tmp_path, 0.05)
    lab.write({"vms/vms.yaml": "web: {count: 4, nics: {net0: {bridge: vmbr0}}}\n"})
    for _ in range(2):
        lab.run(time_limit=1)
        assert len([vm for vm in lab.world.vms if vm < 9000]) == 2
    assert lab.settle(apart=5).ready == 4
