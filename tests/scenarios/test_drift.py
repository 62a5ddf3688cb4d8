"""Drift over the wire: another person changes a VM, and the commands tell of it."""

import json

from tests.scenarios.conftest import Open


def test_drift_is_shown_taken_over_and_put_back(scene: Open) -> None:
    """LOG-03: who changed what is told, over HTTPS."""
    grounds = scene("web: {node: pve1, cpu: {cores: 2, limit: 1.5}}\n")
    assert grounds.cli("--once").returncode == 0
    assert grounds.cli("drift").returncode == 0
    grounds.ask("PUT", "/nodes/pve1/qemu/100/config", cpulimit="3")
    told = grounds.cli("drift", "--output", "json")
    assert told.returncode == 2
    (row,) = json.loads(told.stdout)["drift"]
    assert (row["vm"], row["wanted"], row["live"]) == ("web", "1.5", "3")
    assert row["by"].startswith("root@pam at ")
    patch = grounds.cli("adopt-drift", "web")
    assert patch.returncode == 0 and "limit: 3" in patch.stdout and "vms.yaml" in patch.stdout
    assert (
        json.loads(grounds.cli("adopt-drift", "web", "--output", "json").stdout)["left_out"] == {}
    )
    assert grounds.cli("--once").returncode == 0
    assert str(grounds.world().vms[100].config["cpulimit"]) == "1.5"
    assert "put back" in grounds.cli("drift", "--history").stdout
    assert grounds.cli("adopt-drift", "web").stdout.strip() == "web: nothing drifted"
