"""A VM that somebody destroyed comes back whole: nothing known of the old one is believed."""

from pathlib import Path

from tests.lab import Lab
from tests.laws.fleets import everything

VM = "/nodes/pve2/qemu/100"


def test_a_recreated_vm_gets_its_firewall_before_it_starts(tmp_path: Path) -> None:
    """FW-01, DEP-05: Proxmox forgets a destroyed VM's firewall, and so do we."""
    lab = Lab(tmp_path, everything())
    lab.settle()
    before = lab.shot()["vms"][100]["firewall"]
    lab.ask("PUT", f"{VM}/config", protection=0)
    lab.ask("POST", f"{VM}/status/stop")
    lab.clock.sleep(60.0)
    lab.ask("DELETE", VM)
    lab.clock.sleep(60.0)
    assert lab.run(approve=lab.dry().digest).ready == 1
    assert lab.shot()["vms"][100]["firewall"] == before
    paths = [sent.path for sent in lab.wire.writes(lab.wire.run)]
    last_rule = max(i for i, path in enumerate(paths) if "/firewall/" in path)
    assert last_rule < next(i for i, path in enumerate(paths) if path.endswith("/status/start"))
