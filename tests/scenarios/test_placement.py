"""Where VMs are put over HTTPS: pinned, spread, by what is free, and migrated after their clone."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from reconciler.sim.samples import add_disk, add_file, add_foreign, demo_world
from reconciler.sim.world import World
from tests.grounds import WORLD, Grounds
from tests.scenarios.conftest import Open

ONE_COPY = ("[9000, 9001, 9002]", "[9000]")
FLEET = """\
pinned: {node: pve3}
among: {node: {among: [pve2, pve3]}}
spread: {count: 3, anti_affinity: spread}
anywhere: {memory: 1GiB}
"""


def save(folder: Path, changed: Callable[[World], None]) -> None:
    """The demo cluster with something different about it is what the grounds begin with."""
    world = demo_world(time.time(), speed=600.0)
    changed(world)
    (folder / WORLD).write_bytes(msgspec.json.encode(world.dump()))


def one_copy(grounds: Grounds, more: str = "") -> None:
    """Its templates stand on pve1's own storage only."""
    grounds.write({"fleet.yaml": grounds.head().replace(*ONE_COPY) + more})


def nodes(grounds: Grounds) -> dict[str, str]:
    """The node of each of our VMs, all of which run."""
    with grounds.store() as store:
        bound = store.bindings.all()
    world = grounds.world()
    assert {world.vms[one.vmid].status for one in bound.values()} == {"running"}
    return {key: world.vms[one.vmid].node for key, one in bound.items()}


def conditions(grounds: Grounds) -> dict[str, dict[str, str]]:
    """What each VM's conditions say, but that it is ready."""
    with grounds.store() as store:
        every = store.conditions.all()
    return {
        key: {one.type: one.message for one in found if one.type != "Ready"}
        for key, found in every.items()
        if any(one.type != "Ready" for one in found)
    }


def moves(grounds: Grounds) -> int:
    calls = grounds.sim("GET", "calls")
    return int(calls.get("POST /nodes/{node}/qemu/{vmid}/migrate", 0))


def test_clones_of_a_local_template_are_migrated_to_where_they_belong(scene: Open) -> None:
    """DEP-15, DEP-16: before their first start; then the fleet is silent."""
    grounds = scene(FLEET)
    one_copy(grounds)
    assert grounds.settle().ready == 6
    found = nodes(grounds)
    assert found["pinned"] == "pve3"
    assert found["among"] in ("pve2", "pve3")
    assert {found[f"spread/{n}"] for n in (1, 2, 3)} == {"pve1", "pve2", "pve3"}
    assert moves(grounds) == sum(on != "pve1" for on in found.values())
    assert conditions(grounds) == {}
    quiet = grounds.run()
    assert (quiet.writes, quiet.ready) == (0, 6)
    steps = json.loads(grounds.cli("log", "pinned", "--output", "json").stdout)
    labels = [step["label"] for run in steps["runs"] for step in run["steps"]]
    assert labels.index("Migrate to target node") < labels.index("Start VM")


def test_it_is_said_why_a_vm_is_where_it_is(scene: Open) -> None:
    """DEP-16: what was chosen, and what ruled each other node out."""
    grounds = scene("pinned: {node: pve3}\n")
    one_copy(grounds)
    previewed = json.loads(grounds.cli("--once", "--dry-run", "--output", "json").stdout)
    (vm,) = previewed["vms"]
    assert vm["place"]["node"] == "pve3"
    grounds.settle()
    why = grounds.cli("why", "pinned").stdout
    assert "pve3, by its spec" in why
    assert "pve1: not, the spec wants pve3" in why
    assert "pve3: clone, then migrate" in why


def test_a_migration_that_fails_leaves_a_vm_that_works(scene: Open) -> None:
    """DEP-16: it stays beside its template, is started in the same run, and says why."""
    grounds = scene("pinned: {node: pve3}\n")
    one_copy(grounds)
    grounds.fault("task-fail", task="qmigrate", text="migration aborted")
    assert grounds.run().ready == 1
    assert nodes(grounds) == {"pinned": "pve1"}
    told = conditions(grounds)["pinned"]["PlacementDiffers"]
    assert told == "is on pve1: the migration to pve3 failed: migration aborted"
    grounds.later(1000.0)
    assert grounds.run().writes == 0
    assert moves(grounds) == 1


def test_a_node_that_dies_during_the_migration_keeps_no_vm(scene: Open) -> None:
    """DEP-08, DEP-16: the VM starts where it was cloned."""
    grounds = scene("pinned: {node: pve3}\n", speed=4.0)
    one_copy(grounds)
    while not moves(grounds):
        grounds.run(time_limit=0.3)
    grounds.fault("node-dead", node="pve3")
    assert any(grounds.run(time_limit=5.0).ready for _ in range(8))
    assert nodes(grounds) == {"pinned": "pve1"}
    told = conditions(grounds)["pinned"]["PlacementDiffers"]
    assert "pve3" in told


def test_a_node_in_maintenance_and_a_full_storage_take_no_new_vm(
    tmp_path: Path, scene: Open
) -> None:
    """DEP-16: candidates are filtered by what they can take."""

    def filled(world: World) -> None:
        add_foreign(world, 1)
        add_disk(world, "pve2", "local-lvm", "vm-10500-disk-0", 10500, 16 * 4096)

    save(tmp_path, filled)
    grounds = scene("big: {disks: {system: {size: 100GiB}}, count: 2}\nfull: {node: pve2}\n")
    grounds.ask("POST", "/cluster/ha/resources", sid="vm:10000")
    grounds.fault("node-maintenance", node="pve3")
    while not any(row.get("hastate") for row in grounds.ask("GET", "/cluster/resources")):
        time.sleep(0.05)
    assert grounds.settle().ready == 3
    assert nodes(grounds) == {"big/1": "pve1", "big/2": "pve1", "full": "pve1"}
    told = conditions(grounds)
    assert set(told) == {"full"}
    assert told["full"]["PlacementDiffers"].startswith(
        "is on pve1: pve2: storage local-lvm has 0.0 GiB left"
    )
    why = grounds.cli("why", "big/1").stdout
    assert "pve3: not, it is in maintenance" in why


def test_a_vm_goes_where_its_iso_is(tmp_path: Path, scene: Open) -> None:
    """CI-07: a file on one node's own storage; and a group that cannot be spread says so."""
    save(
        tmp_path,
        lambda world: add_file(world, "pve2", "local:iso/debian-12.iso", "iso", "iso", 1 << 20),
    )
    vms = 'installer: {iso: "local:iso/debian-12.iso", count: 2, anti_affinity: installers}\n'
    grounds = scene(vms)
    assert grounds.settle().ready == 2
    assert nodes(grounds) == {"installer/1": "pve2", "installer/2": "pve2"}
    told = conditions(grounds)
    assert told["installer/2"]["AntiAffinity"].startswith("shares pve2 with installer/1")


def test_what_a_spec_enforces_is_migrated_live(scene: Open) -> None:
    """CP-11, C-23: one write, the guest runs on; local disks only where they may go along."""
    vms = "web: {template: ubuntu-24, node: pve1}\n"
    grounds = scene(vms)
    grounds.settle()
    (before,) = (vm for id, vm in grounds.world().vms.items() if id < 9000)
    grounds.write({"vms/vms.yaml": vms.replace("pve1", "{name: pve2, enforce: true}")})
    summary = grounds.run()
    assert summary.writes == 1
    assert nodes(grounds) == {"web": "pve2"}
    after = grounds.world().vms[before.vmid]
    assert after.status == "running"
    assert conditions(grounds) == {}
    assert grounds.settle().writes == 0


@pytest.mark.parametrize("local_disks", [False, True])
def test_local_disks_go_along_only_where_a_spec_says_so(scene: Open, local_disks: bool) -> None:
    vms = "web: {node: pve1}\n"
    grounds = scene(vms)
    grounds.settle()
    wanted = f"{{name: pve2, enforce: true, local_disks: {str(local_disks).lower()}}}"
    grounds.write({"vms/vms.yaml": vms.replace("pve1", wanted)})
    assert grounds.settle().ready == 1
    assert nodes(grounds) == {"web": "pve2" if local_disks else "pve1"}
    assert ("PlacementDiffers" in conditions(grounds).get("web", {})) is not local_disks
