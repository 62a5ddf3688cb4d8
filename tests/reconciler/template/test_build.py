"""A template is built once, whatever happens meanwhile, and nothing is ever overwritten."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.config import open_live
from reconciler.sim.faults import Fault
from reconciler.sim.samples import add_file
from reconciler.template.build import Builder, Built
from reconciler.template.order import Order
from reconciler.template.standing import BuildError, free_vmid
from state.api import MaybeRunning
from tests.lab import Killed, Lab, Sent

IMAGE = "local:import/debian-13.qcow2"
FETCHED = "local:import/noble.qcow2"
URL = "https://cloud.example/noble.qcow2"
FLEET = "fleet: law\nclusters: {demo: {simulated: {}}}\ntemplates: {debian-12: {demo: [9000]}}\n"
VMS = "a: {cluster: demo, template: debian-12}\n"
FROM_IMAGE = Order("law", "debian-13", "pve2", "local-lvm", IMAGE, bridge="vmbr0")
FROM_URL = Order(
    "law", "noble", "pve2", "local-lvm", FETCHED, url=URL, checksum="sha256:" + "aB" * 32
)
HOUR = timedelta(hours=1)


def data_centre(folder: Path, speed: float = 600.0) -> Lab:
    lab = Lab(folder, {"fleet.yaml": FLEET, "vms/vms.yaml": VMS}, speed=speed)
    add_file(lab.world, "pve2", IMAGE, "import", "qcow2", 500 << 20)
    lab.world.volumes["pve2", IMAGE].virtual = 3 << 30
    lab.world.access.roles["Fleet"] += ["Datastore.AllocateTemplate", "Sys.AccessNetwork"]
    lab.world.access.changed()
    return lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return data_centre(tmp_path)


class Told(list[str]):
    """What a build said."""


def build(
    lab: Lab, order: Order = FROM_IMAGE, within: timedelta = HOUR, told: Told | None = None
) -> Built:
    """One `template build`, as a process of its own would do it."""
    lab.wire.next_run(lab.wire.kill_before, lab.wire.kill_after)
    with Opened(lab, order, told) as ready:
        return ready.build(lab.clock.now() + within)


class Opened:
    """A builder with the store opened anew."""

    def __init__(self, lab: Lab, order: Order, told: Told | None = None) -> None:
        self.lab, self.order, self.told = lab, order, told

    def __enter__(self) -> Builder:
        at = datetime.fromtimestamp(self.lab.clock(), UTC)
        self.opened = open_live(self.lab.fleet, self.lab.where, at)
        store = self.opened.__enter__().store
        api = self.lab.api()
        tell = self.told.append if self.told is not None else lambda text: None
        return Builder(self.order, "demo", api, store, self.lab.clock, free_vmid(api), tell)

    def __exit__(self, *error: object) -> None:
        self.opened.__exit__(None, None, None)


def writes(lab: Lab) -> list[str]:
    return [f"{one.method} {one.path}" for one in lab.wire.writes() if not one.error]


def templates(lab: Lab) -> set[int]:
    return {
        vmid
        for vmid, vm in lab.world.vms.items()
        if vm.template and vmid not in (9000, 9001, 9002, 9100)
    }


CREATE, CONVERT = "POST /nodes/pve2/qemu", "POST /nodes/pve2/qemu/9003/template"
FETCH = "POST /nodes/pve2/storage/local/download-url"


def test_an_image_becomes_a_template_with_all_that_a_cloud_image_needs_ci_04(lab: Lab) -> None:
    assert build(lab) == Built(9003, new=True)
    assert writes(lab) == [CREATE, CONVERT]
    config = lab.world.vms[9003].config
    assert config["scsi0"] == "local-lvm:base-9003-disk-0,size=3G"
    wanted = {"serial0": "socket", "vga": "serial0", "agent": "1", "name": "debian-13"}
    assert {key: config[key] for key in wanted} == wanted
    assert "cloudinit" in str(config["ide2"])
    assert str(config["net0"]).endswith("bridge=vmbr0")
    assert "efidisk0" not in config


def test_what_is_there_is_not_made_again_unless_it_is_asked_for(lab: Lab) -> None:
    """No template is ever overwritten: a new build has a new vmid."""
    build(lab)
    assert build(lab) == Built(9003, new=False)
    assert build(lab, replace(FROM_IMAGE, again=True)) == Built(9004, new=True)
    assert templates(lab) == {9003, 9004}
    other = replace(FROM_IMAGE, storage="shared")
    assert build(lab, other) == Built(9005, new=True)
    assert len(writes(lab)) == 6


def test_a_template_is_deployed_from_at_once(lab: Lab) -> None:
    vmid = build(lab).vmid
    lab.write(
        {
            "fleet.yaml": FLEET.replace(
                "debian-12: {demo: [9000]}", f"debian-13: {{demo: [{vmid}]}}"
            ),
            "vms/vms.yaml": VMS.replace("debian-12", "debian-13, disks: {system: {size: 5G}}"),
        }
    )
    assert lab.settle().ready == 1
    (made,) = [vm for vmid, vm in lab.world.vms.items() if vmid < 9000]
    assert str(made.config["scsi0"]).startswith("local-lvm:vm-100-disk-0,size=5G")
    assert "reconcile-template" not in str(made.config["description"])


def test_an_image_is_fetched_first_and_its_checksum_goes_along(lab: Lab) -> None:
    told = Told()
    assert build(lab, FROM_URL, told=told).vmid == 9003
    assert writes(lab) == [FETCH, CREATE, CONVERT]
    (sent,) = [one for one in lab.wire.writes() if one.path.endswith("download-url")]
    assert sent.params["checksum"] == "ab" * 32
    assert sent.params["checksum-algorithm"] == "sha256"
    assert told[0] == f"fetching {URL} to {FETCHED}"


def test_a_file_of_that_name_is_used_where_nothing_speaks_against_it(lab: Lab) -> None:
    """With a checksum what lies there is not trusted; with --again it is fetched anew."""
    add_file(lab.world, "pve2", FETCHED, "import", "qcow2", 1 << 20)
    plain = replace(FROM_URL, checksum="")
    build(lab, plain)
    assert FETCH not in writes(lab)
    build(lab, replace(plain, again=True))
    assert writes(lab).count(FETCH) == 1
    build(lab, replace(FROM_URL, storage="shared"))
    assert writes(lab).count(FETCH) == 2


def calls(folder: Path, order: Order) -> list[Sent]:
    lab = data_centre(folder)
    build(lab, order)
    return lab.wire.of(1)


@pytest.mark.parametrize(("order", "step"), [(FROM_IMAGE, 2), (FROM_URL, 3)], ids=["image", "url"])
def test_a_build_killed_anywhere_goes_on_and_does_nothing_twice(
    tmp_path: Path, order: Order, step: int
) -> None:
    """The same command again: the cluster says what is done, and what is at work."""
    wrong = []
    sent = calls(tmp_path / "whole", order)
    near = {index for index, one in enumerate(sent) if one.is_write}
    for index in sorted(near | {*range(0, len(sent), step)}):
        for before, after in ((index, None), (None, index)):
            lab = data_centre(tmp_path / f"{index}-{before}")
            lab.wire.kill_before, lab.wire.kill_after = before, after
            with pytest.raises(Killed) as killed:
                build(lab, order)
            lab.wire.kill_before = lab.wire.kill_after = None
            lab.clock.sleep(0.3)
            built = build(lab, order)
            again = sorted(set(made := writes(lab)))
            if built.vmid != 9003 or templates(lab) != {9003} or len(made) != len(again):
                wrong.append(f"{killed.value}: {built} {made}")
    assert wrong == []


def test_a_build_goes_on_though_the_store_was_lost(lab: Lab) -> None:
    """The mark in its description tells the half-made VM."""
    lab.wire.kill_before = 14
    with pytest.raises(Killed):
        build(lab)
    assert [vmid for vmid in lab.world.vms if vmid not in (9000, 9001, 9002, 9100)] == [9003]
    lab.wire.kill_before = None
    for file in lab.database.parent.glob("store.db*"):
        file.unlink()
    assert build(lab) == Built(9003, new=True)
    assert writes(lab) == [CREATE, CONVERT]


def test_a_vmid_that_is_taken_is_refused_and_a_free_one_taken(lab: Lab) -> None:
    with pytest.raises(BuildError, match="vm 9000 is there already"):
        build(lab, replace(FROM_IMAGE, vmid=9000))
    assert writes(lab) == []
    assert build(lab, replace(FROM_IMAGE, vmid=8000)).vmid == 8000
    lab.settle()
    with pytest.raises(BuildError, match="vm 100 is there already"):
        build(lab, replace(FROM_IMAGE, vmid=100, again=True))


def test_a_half_made_one_under_another_vmid_is_not_taken_for_it(lab: Lab) -> None:
    lab.wire.kill_after = 9
    with pytest.raises(Killed):
        build(lab)
    lab.wire.kill_after = None
    lab.clock.sleep(5)
    del lab.world.vms[9003]
    assert build(lab, replace(FROM_IMAGE, vmid=8000)).vmid == 8000


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (replace(FROM_IMAGE, image="local:import/none.qcow2"), "is not on pve2, or not seen"),
        (replace(FROM_IMAGE, node="pve9"), "node pve9 of cluster demo is not online"),
        (replace(FROM_URL, url="https://nowhere.invalid/noble.qcow2"), "download failed"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(lab: Lab, order: Order, words: str) -> None:
    with pytest.raises(BuildError, match=words):
        build(lab, order)
    assert templates(lab) == set()
    assert CREATE not in writes(lab)


def test_a_storage_that_makes_no_templates_is_said_also_by_the_next_try(lab: Lab) -> None:
    storage = lab.world.storages["local-lvm"]
    storage.kind, storage.options = "lvm", {"vgname": "pve"}
    with pytest.raises(BuildError, match="does not support template"):
        build(lab)
    with pytest.raises(BuildError, match="can storage local-lvm make templates"):
        build(lab)
    assert len(writes(lab)) == 2


def test_a_build_that_is_out_of_time_goes_on_later(tmp_path: Path) -> None:
    lab = data_centre(tmp_path, speed=0.02)
    told = Told()
    with pytest.raises(BuildError, match="the time is out"):
        build(lab, within=timedelta(seconds=20), told=told)
    assert told[-1] == "... 15 s"
    told = Told()
    with pytest.raises(BuildError, match="the time is out"):
        build(lab, within=timedelta(seconds=1), told=told)
    assert told == ["waiting for qmcreate 9003, begun before"]
    with pytest.raises(BuildError, match="the same command goes on from here"):
        build(lab, within=timedelta(0))
    lab.world.speed = 600
    assert build(lab) == Built(9003, new=True)
    assert writes(lab) == [CREATE, CONVERT]


def test_a_lock_whose_task_is_not_listed_is_waited_for(lab: Lab) -> None:
    build(lab, replace(FROM_IMAGE, storage="shared"))
    lab.world.vms[9003].config |= {"lock": "backup", "template": 0}
    told = Told()
    with pytest.raises(BuildError, match="time is out"):
        build(lab, replace(FROM_IMAGE, storage="shared"), timedelta(seconds=2), told)
    assert told == ["vm 9003 is locked (backup): waiting until it has gone"]


def test_a_lost_answer_is_looked_at_again_and_a_refusal_is_told(lab: Lab) -> None:
    told = Told()
    lab.simulator.faults.add(Fault("drop-after", method="POST", path="/nodes/pve2/qemu"))
    lab.simulator.faults.add(Fault("drop-before", method="POST", path="*/template"))
    assert build(lab, told=told) == Built(9003, new=True)
    assert len([one for one in told if one.endswith("looking again")]) == 2
    assert len(lab.wire.writes()) == 3


def test_trouble_that_does_not_pass_is_told_in_the_end(lab: Lab) -> None:
    lab.simulator.faults.add(Fault("drop-before", method="POST", path="*/template", times=None))
    with pytest.raises(MaybeRunning):
        build(lab)
    assert len(lab.wire.writes()) == 6


def test_a_missing_right_to_fetch_is_told_with_what_to_grant(lab: Lab) -> None:
    lab.world.access.roles["Fleet"].remove("Datastore.AllocateTemplate")
    lab.world.access.changed()
    with pytest.raises(BuildError, match=r"Sys\.AccessNetwork on /nodes/pve2"):
        build(lab, FROM_URL)


def test_a_task_whose_state_cannot_be_asked_is_looked_for_in_the_cluster(lab: Lab) -> None:
    lab.simulator.faults.add(Fault("drop-after", method="GET", path="*/tasks/*/status"))
    lab.simulator.faults.add(
        Fault("error-before", method="GET", path="*/tasks/*", nth=2, text="no such task")
    )
    assert build(lab) == Built(9003, new=True)
    assert writes(lab) == [CREATE, CONVERT]


def test_a_dry_run_shows_what_is_left_and_writes_nothing(lab: Lab) -> None:
    def left(order: Order) -> list[str]:
        with Opened(lab, order) as ready:
            return [f"{call.method} {call.path}" for call in ready.left()]

    assert left(FROM_IMAGE) == [CREATE, CONVERT]
    assert left(FROM_URL) == [FETCH, CREATE, CONVERT]
    assert writes(lab) == []
    lab.wire.kill_before = 14
    with pytest.raises(Killed):
        build(lab)
    lab.wire.kill_before = None
    assert left(FROM_IMAGE) == [CONVERT]
    build(lab)
    assert left(FROM_IMAGE) == []
