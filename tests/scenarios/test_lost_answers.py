"""Answers that are lost on the way: nothing is doubled, and what had no effect is made later."""

import pytest

from tests.scenarios.conftest import Open

VM = "/nodes/pve1/qemu/100"
ONE = """\
one:
  node: pve1
  cpu: {cores: 2}
  disks: {system: {size: 10GiB}, scsi1: {size: 2GiB}}
  nics: {net0: {ipv4: {pool: public-v4}}}
  firewall: {policy_in: DROP, rules: [{in: ACCEPT, proto: tcp, dport: 22}]}
  cloudinit: {user: ops, password: generate}
  tags: [a]
"""
WRITES = {
    "clone": ("POST", "*/clone"),
    "config": ("PUT", "*/qemu/100/config"),
    "disk": ("POST", "*/qemu/100/config"),
    "resize": ("PUT", "*/resize"),
    "rule": ("POST", "*/firewall/rules"),
    "set": ("POST", "*/firewall/ipset"),
    "options": ("PUT", "*/firewall/options"),
    "start": ("POST", "*/status/start"),
}


@pytest.mark.parametrize("kind", ["drop-after", "drop-before"])
@pytest.mark.parametrize("write", sorted(WRITES))
def test_a_write_whose_answer_is_lost_is_made_once(scene: Open, write: str, kind: str) -> None:
    """DEP-08, DEP-13: MaybeRunning never doubles; what had no effect is made later."""
    grounds = scene(ONE)
    method, path = WRITES[write]
    grounds.fault(kind, method=method, path=path)
    grounds.settle(apart=100.0, time_limit=4.0)
    world, calls = grounds.world(), grounds.sim("GET", "calls")
    assert set(world.vms) == {100, 9000, 9001, 9002, 9100}
    assert calls["POST /nodes/{node}/qemu/{vmid}/clone"] == 1
    assert calls["POST /nodes/{node}/qemu/{vmid}/config"] == 1
    assert calls["PUT /nodes/{node}/qemu/{vmid}/resize"] == 1
    assert calls["POST /nodes/{node}/qemu/{vmid}/status/start"] == 1
    disks = [one for one in world.volumes.values() if one.vmid == 100]
    assert len(disks) == 3
    assert len(grounds.ask("GET", f"{VM}/firewall/rules")) == 1
