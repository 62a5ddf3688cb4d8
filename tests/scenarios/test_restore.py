"""A restore drill over the wire: from a backup to a running VM with its package on it again."""

from collections.abc import Callable

from click.testing import CliRunner, Result

from reconciler.cli import cli
from tests.grounds import Grounds

Open = Callable[..., Grounds]
PACKAGE = """\
shop:
  memory: {memory}
  restart: allow
  disks:
    system: {{size: {size}, iops_rd: 800}}
    scsi1: {{size: 5GiB, backup: false}}
  nics: {{net0: {{rate: 12.5MB/s, ipv4: {{pool: public-v4}}}}}}
  firewall:
    policy_in: DROP
    rules: [{{in: ACCEPT, proto: tcp, dport: {port}}}]
  cloudinit: {{user: ops, password: generate}}
"""
VOLUME = "local:backup/"


def package(**fields: object) -> str:
    return PACKAGE.format(**fields)


def backup(fleet: Grounds) -> str:
    """Have one made, as a person does; its volume."""
    fleet.ask("POST", "/nodes/pve1/vzdump", vmid="100", storage="local")
    fleet.later(600.0)
    (volume,) = [volid for _, volid in fleet.world().volumes if volid.startswith(VOLUME)]
    return volume


def call(fleet: Grounds, *words: str) -> Result:
    options = ["--fleet", str(fleet.fleet), "--database", fleet.where]
    return CliRunner().invoke(cli, [*options, *words])


def told(fleet: Grounds, event: str) -> int:
    with fleet.store() as store:
        return len(store.outbox.past(event))


def test_task_03_a_restore_drill(scene: Open) -> None:
    """TASK-03: backed up, changed, restored by word: addresses stay, the package is on it."""
    small = package(memory="1GiB", size="8GiB", port=22)
    fleet = scene("web: {package: shop}\n", packages__shop=small)
    fleet.settle()
    volume = backup(fleet)
    fleet.write({"packages/shop.yaml": package(memory="2GiB", size="12GiB", port=443)})
    fleet.settle()
    before = fleet.shot()
    assert "typing RESTORE" in call(fleet, "restore", "web", "--backup", volume).output
    said = call(fleet, "restore", "web", "--backup", volume, "--yes")
    assert said.output.startswith("web is stopped and put back to a backup"), said.output
    fleet.settle()
    after = fleet.shot()
    vm, was = after["vms"][100], before["vms"][100]
    assert (vm["status"], after["leases"]) == ("running", before["leases"])
    assert vm["config"]["memory"] == "2048"
    assert "size=12G" in vm["config"]["scsi0"]
    for key in ("scsi1", "net0", "description", "name", "tags"):
        assert vm["config"][key] == was["config"][key]
    assert vm["firewall"] == was["firewall"]
    assert told(fleet, "backup_restored") == 1
    assert fleet.run().writes == 0
