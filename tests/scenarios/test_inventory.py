"""A merge request is tried on a copy of one's own cluster, made of an inventory."""

import json

from tests.scenarios.conftest import Open
from tests.scenarios.test_command import TWO


def test_a_change_is_tried_on_a_copy_and_the_cluster_is_left_alone(scene: Open) -> None:
    grounds = scene(TWO)
    assert grounds.cli("--once").returncode == 0
    file = grounds.fleet.parent / "copy.json"
    told = grounds.cli("export-inventory", "--out", str(file))
    assert told.returncode == 0 and f"{file}: " in told.stdout
    instead = ("--inventory", f"demo={file}")
    same = grounds.cli("--once", "--dry-run", *instead)
    assert same.returncode == 0 and "2 unchanged" in same.stdout, same.stdout + same.stderr
    grounds.write({"vms/vms.yaml": TWO.replace("cores: 2", "cores: 3") + "three: {}\n"})
    before = grounds.world().dump()
    changed = grounds.cli("--once", "--dry-run", *instead)
    assert changed.returncode == 2
    assert "1 to create, 1 to change" in changed.stdout
    assert grounds.world().dump()["vms"] == before["vms"]


def test_what_an_inventory_is_not_is_said(scene: Open) -> None:
    grounds = scene(TWO)
    file = grounds.fleet.parent / "copy.json"
    file.write_text(json.dumps({"format": "something else"}))
    dry = grounds.cli("--once", "--dry-run", "--inventory", f"demo={file}")
    assert dry.returncode == 1 and "expected an inventory of format" in dry.stdout + dry.stderr
    for words, text in (
        (("--inventory", f"nowhere={file}"), "no such cluster"),
        (("--inventory", "nonsense"), "expected CLUSTER=FILE"),
    ):
        refused = grounds.cli("--once", "--dry-run", *words)
        assert refused.returncode == 64 and text in refused.stderr
    live = grounds.cli("--once", "--inventory", f"demo={file}")
    assert live.returncode == 64 and "goes with --once --dry-run only" in live.stderr


def test_an_inventory_goes_to_standard_output_too(scene: Open) -> None:
    grounds = scene(TWO)
    told = grounds.cli("export-inventory", "--out", "-", "--only", "9000")
    document = json.loads(told.stdout)
    assert document["format"] == "pve-inventory/1"
    assert "/nodes/pve1/qemu/9000/pending" in document["answers"]
    out = str(grounds.fleet.parent / "x")
    counted = grounds.cli("export-inventory", "--out", out, "--output", "json")
    assert json.loads(counted.stdout)["answers"] > 10
