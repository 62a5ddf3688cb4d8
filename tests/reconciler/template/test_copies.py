"""What is read of the templates of a cluster, and what is said where that is not possible."""

from dataclasses import replace

import pytest

from desired.catalog import PlacementRules
from desired.source import Fleet
from desired.units import GIB
from reconciler.pve.inprocess import InProcessApi
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.faults import Fault
from reconciler.sim.samples import add_file, demo_world
from reconciler.template.copies import Copy, read_templates
from tests.engine import DEMO, spec

IMAGE = "local:import/d.qcow2"
TOKEN = "reconcile@pve!fleet"


@pytest.fixture
def simulator() -> Simulator:
    world = demo_world(SOME_DAY, vms=1)
    for node in ("pve1", "pve3"):
        add_file(world, node, IMAGE, "import", "qcow2", 500 << 20)
        world.volumes[node, IMAGE].virtual = 2 * GIB
    return Simulator(world, ManualClock(SOME_DAY))


def fleet(**templates: tuple[int, ...]) -> Fleet:
    specs = [spec("web-1"), spec("old", state="absent"), spec("other", template="d13")]
    return Fleet(
        name="demo",
        clusters={"demo": DEMO},
        vms={one.key: one for one in specs},
        templates={alias: {"demo": vmids} for alias, vmids in templates.items()},
        images={"d13": {"demo": (IMAGE, "shared:vm-9-disk-0")}, "far": {"other": (IMAGE,)}},
    )


def copies(simulator: Simulator, *vmids: int, alias: str = "debian") -> tuple[Copy, ...]:
    api = InProcessApi(simulator, TOKEN)
    (found,) = read_templates(api, fleet(debian=vmids), "demo", (alias,))
    return found.copies


def test_a_copy_on_local_storage_reaches_its_node_only(simulator: Simulator) -> None:
    local, shared = copies(simulator, 9001, 9100)
    assert (local.source, local.node, local.nodes) == (9001, "pve2", ("pve2",))
    assert shared.nodes == ("pve1", "pve2", "pve3")
    assert (local.template, local.size, local.links) == (True, 3 * GIB, True)
    assert (local.snapshots, local.missing) == ((), "")


def test_a_vm_with_snapshots_shows_them(simulator: Simulator) -> None:
    answer = simulator.call("POST", "/nodes/pve1/qemu/10000/snapshot", {"snapname": "before"})
    assert answer.ok
    assert isinstance(simulator.clock, ManualClock)
    simulator.clock.pass_by(600)
    (one,) = copies(simulator, 10000)
    assert (one.template, one.snapshots) == (False, ("before",))


def test_an_image_has_its_nodes_and_the_size_that_the_guest_will_see(simulator: Simulator) -> None:
    found, lost = copies(simulator, alias="d13")
    assert (found.nodes, found.size, found.config) == (("pve1", "pve3"), 2 * GIB, None)
    assert "is on no node that was seen" in lost.missing


def test_what_is_wrong_with_one_copy_hides_no_other(simulator: Simulator) -> None:
    broken = Fault("error-before", method="GET", path="*/9001/*", status=500, text="no such disk")
    simulator.faults.add(broken)
    image = Fault("error-before", method="GET", path="*/content", status=500, text="timed out")
    gone, odd, sound = copies(simulator, 9777, 9001, 9100)
    assert "is not there" in gone.missing
    assert "cannot be read" in odd.missing
    assert sound.missing == ""
    simulator.faults.add(image)
    first, second = copies(simulator, alias="d13")
    assert "timed out" in first.missing + second.missing


def test_all_templates_with_copies_in_the_cluster_are_read_with_their_users(
    simulator: Simulator,
) -> None:
    api = InProcessApi(simulator, TOKEN)
    found = read_templates(api, fleet(debian=(9000,), none=()), "demo")
    assert [(one.alias, [user.key for user in one.users]) for one in found] == [
        ("d13", ["other"]),
        ("debian", ["web-1"]),
    ]


def test_storages_are_known_by_the_nodes_on_which_they_take_disks(simulator: Simulator) -> None:
    api = InProcessApi(simulator, TOKEN)
    (found,) = read_templates(api, fleet(debian=(9000,)), "demo", ("debian",))
    assert found.storages["shared"] == {"pve1", "pve2", "pve3"}
    assert found.storages["local"] == frozenset()
    rules = PlacementRules(storage_map={"local": ("none", "shared"), "new": ("local-lvm",)})
    (found,) = read_templates(
        api, replace(fleet(debian=(9000,)), placement=rules), "demo", ("debian",)
    )
    assert found.storages["local"] == found.storages["new"] == {"pve1", "pve2", "pve3"}
