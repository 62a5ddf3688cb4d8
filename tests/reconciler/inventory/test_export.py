"""An inventory of a cluster, and the copy that is made of it."""

import json
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest

from reconciler.clock import Workers
from reconciler.inventory.export import Export
from reconciler.sim.api import Simulator
from reconciler.sim.copied.world import copied_world
from reconciler.sim.world import World
from state.api import Json
from state.change import Change
from tests.lab import Lab
from tests.laws.fleets import everything


def exported(lab: Lab, *only: str) -> dict[str, Json]:
    export = Export(lab.api(), Workers(1), lambda done, total: None)
    export.read(only)
    return export.document("demo", lab.clock.now(), only)


def copy_of(document: dict[str, Json], lab: Lab, folder: Path) -> World:
    file = folder / "inventory.json"
    file.write_text(json.dumps(document))
    return copied_world(file, lab.world.now, lab.world.speed)


def planned(lab: Lab) -> list[tuple[str, str, list[Change]]]:
    """What a dry run says, but for who made drift: a copy has no log."""
    return [
        (vm.key, vm.kind, [replace(change, drift="") for change in vm.changes])
        for vm in lab.dry().vms
    ]


def _each(answer: Json) -> list[Json]:
    return answer if isinstance(answer, list) else [answer]


def swap(lab: Lab, world: World) -> None:
    """Let the engine talk to the copy from now on."""
    lab.world, lab.simulator = world, Simulator(world, lab.clock)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path, everything())
    lab.settle()
    lab.ask("POST", "/nodes/pve2/qemu/100/snapshot", snapname="before", description="all well")
    lab.clock.sleep(60)
    lab.ask("PUT", "/nodes/pve2/qemu/100/config", cores=7, cipassword="geheim-77")
    lab.ask("POST", "/cluster/firewall/groups", group="web", comment="shared")
    lab.ask(
        "POST", "/cluster/firewall/groups/web", type="in", action="ACCEPT", dport="80", proto="tcp"
    )
    lab.ask("POST", "/nodes/pve2/qemu/100/firewall/aliases", name="Office", cidr="198.51.100.0/24")
    lab.ask("POST", "/cluster/ha/resources", sid="vm:100", max_restart=2)
    lab.clock.sleep(60)
    lab.run()
    return lab


def test_a_copy_gives_the_same_inventory(lab: Lab, tmp_path: Path) -> None:
    first = exported(lab)
    swap(lab, copy_of(first, lab, tmp_path))
    lab.clock.sleep(60)
    lab.simulator.world.advance(lab.clock())
    second = exported(lab)
    assert second["missing"] == first["missing"]
    mine, copied = first["answers"], second["answers"]
    assert isinstance(mine, dict) and isinstance(copied, dict)
    assert copied.keys() == mine.keys()
    differing = [
        f"{path}: {one} -> {other}"
        for path in mine
        for one, other in zip_longest(_each(mine[path]), _each(copied[path]))
        if one != other
    ]
    assert differing == [], "\n".join(differing)


def test_a_copy_gives_the_same_plan(lab: Lab, tmp_path: Path) -> None:
    """A merge request is tried on the copy as it would be on the cluster."""
    lab.write({"vms/web.yaml": "extra: {}\nweb: {memory: 3GiB}\n"})
    lab.ask("PUT", "/nodes/pve2/qemu/100/config", onboot=0)
    lab.clock.sleep(30)
    wanted = planned(lab)
    assert any(changes for _, _, changes in wanted)
    swap(lab, copy_of(exported(lab), lab, tmp_path))
    assert planned(lab) == wanted


def test_no_secret_is_in_it(lab: Lab) -> None:
    """C-17"""
    text = json.dumps(exported(lab))
    assert "geheim-77" not in text
    assert '"cipassword"' in text


def test_some_vms_only(lab: Lab) -> None:
    document = exported(lab, "100")
    assert isinstance(document["answers"], dict)
    assert any(path.startswith("/nodes/pve2/qemu/100/") for path in document["answers"])
    assert not any("/qemu/9000/" in path for path in document["answers"])
