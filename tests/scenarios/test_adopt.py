"""VMs that others made are taken over as they are: nothing but the fleet's marks is written."""

import json
from typing import Any

import yaml

from reconciler.sim.world import World
from tests.grounds import Grounds
from tests.scenarios.conftest import Open

WEB, DB, APP = range(1000, 1020), range(1100, 1112), range(1200, 1208)
"""40 VMs of three kinds."""
NIC = "virtio,bridge=vmbr0"


def make(grounds: Grounds, vmid: int, name: str, **config: Any) -> None:
    """Make a VM as a person would."""
    node = f"pve{vmid % 3 + 1}"
    plain = {"vmid": vmid, "name": name, "scsihw": "virtio-scsi-pci", "boot": "order=scsi0"}
    grounds.ask("POST", f"/nodes/{node}/qemu", **{**plain, **config})


def settle(grounds: Grounds) -> None:
    """Wait for the tasks that were begun."""
    grounds.later(600)


def make_all(grounds: Grounds) -> None:
    for index, vmid in enumerate(WEB):
        address = {"net0": f"{NIC},tag=100", "ipconfig0": f"ip=203.0.113.{20 + index}/24"}
        address["ipconfig0"] += ",gw=203.0.113.1"
        more = {"scsi1": "local-lvm:2"} if index == 3 else {}
        config = {"cores": 2, "memory": 2048, "scsi0": "local-lvm:8", "tags": "shop"}
        make(grounds, vmid, f"web-{index}", **config, **address, **more)
    for index, vmid in enumerate(DB):
        net = {"net0": f"{NIC},rate=12.5", "ipconfig0": f"ip=10.7.0.{index + 5}/24"}
        config = {"cores": 4, "memory": 8192, "scsi0": "local-lvm:20,mbps_rd=100", "onboot": 1}
        make(grounds, vmid, f"db-{index}", **config, **net, ciuser="dba", agent=1)
    for index, vmid in enumerate(APP):
        config = {"cores": 1, "memory": 1024, "scsi0": "local-lvm:4", "cpu": "host"}
        make(grounds, vmid, f"app-{index}", **config, net0=NIC, hotplug="disk,network", balloon=512)
    hard = {"cores": 6, "memory": 4096, "scsi0": "local-lvm:4"}
    make(grounds, 1300, "passed", **hard, args="-device x", hostpci0="0000:01:00.0", net0=NIC)
    two = {"net0": NIC, "net1": f"{NIC},tag=7", "ipconfig0": "ip=dhcp"}
    make(grounds, 1301, "two-nics", **hard, **two)
    state = {"efidisk0": "local-lvm:1,efitype=4m", "tpmstate0": "local-lvm:1,version=v2.0"}
    make(grounds, 1302, "windows", **hard, **state, bios="ovmf", machine="q35", ostype="win11")
    make(grounds, 1303, "kept", **hard, net0=NIC, cipassword="theirs", description="Ask *Ann*")
    for vmid in (1305, 1306):
        make(grounds, vmid, "twin", **hard)
    settle(grounds)
    grounds.ask("POST", "/nodes/pve2/qemu/1303/snapshot", snapname="before")
    grounds.ask("POST", "/nodes/pve1/qemu/9000/clone", newid=1304, name="linked", full=0)
    for vmid in (1000, 1100):
        grounds.ask("POST", f"/nodes/pve{vmid % 3 + 1}/qemu/{vmid}/status/start")
    settle(grounds)


def configs(world: World) -> dict[int, dict[str, str]]:
    """Every config as it stands, the marks taken away."""
    return {vmid: _plain(dict(one.config)) for vmid, one in world.vms.items()}


def _plain(config: dict[str, Any]) -> dict[str, str]:
    found = {key: str(value) for key, value in config.items()}
    text = found.pop("description", "").split("reconcile: store=")[0].strip()
    tags = {tag for tag in found.pop("tags", "").split(";") if tag} - {"reconcile-scene"}
    return {**found, "description": text, "tags": ";".join(sorted(tags))}


def test_forty_vms_of_three_kinds_and_odd_ones_are_adopted(scene: Open) -> None:
    grounds = scene("{}\n")
    (grounds.fleet / "vms" / "vms.yaml").unlink()
    make_all(grounds)
    before = configs(grounds.world())
    shown = grounds.cli("adopt", "--all")
    assert "1304" in shown.stdout, shown.stderr
    assert not list((grounds.fleet / "vms").glob("**/*.yaml"))
    written = grounds.cli("adopt", "--all", "--write", str(grounds.fleet), "--output", "json")
    told = {one["vmid"]: one for one in json.loads(written.stdout)["vms"]}
    adopted = {vmid for vmid, one in told.items() if not one["refused"]}
    assert adopted == {*WEB, *DB, *APP, 1300, 1301, 1302, 1303, 1304, 1305}
    assert {told[vmid]["package"] for vmid in WEB} == {"adopted-2c-2gib"}
    assert told[1300]["unsaid"] and "root@pam" in str(told[1300]["unsaid"])
    assert "the name twin belongs to twin-1305" in told[1306]["refused"]
    assert told[9000]["refused"] == "is a template"
    assert written.returncode == 1
    files = {path: path.read_bytes() for path in grounds.fleet.rglob("*.yaml")}
    again = grounds.cli("adopt", "--all", "--write", str(grounds.fleet))
    assert again.returncode == 1
    assert {path: path.read_bytes() for path in grounds.fleet.rglob("*.yaml")} == files
    dry = grounds.cli("--once", "--dry-run")
    assert dry.returncode == 0, dry.stdout
    assert "0 to create, 0 to change" in dry.stdout
    applied = grounds.cli("adopt", "--all", "--write", str(grounds.fleet), "--apply")
    assert applied.returncode == 1
    assert f"{len(adopted)} VMs adopted" in applied.stdout, applied.stdout + applied.stderr
    assert grounds.cli("--once").returncode == 0
    after = grounds.world()
    assert configs(after) == before
    assert all("reconcile-scene" in str(after.vms[vmid].config["tags"]) for vmid in adopted)
    with grounds.store() as store:
        leased = {one.address for mine in store.leases.all().values() for one in mine}
    assert leased == {f"203.0.113.{20 + index}" for index in range(20)}
    _lifted(grounds)


def _lifted(grounds: Grounds) -> None:
    """What is edited is told while `drift: alert` stands, and written when it is taken out."""
    path = grounds.fleet / "vms" / "adopted" / "adopted-6c-4gib.yaml"
    specs = yaml.safe_load(path.read_text())
    specs["kept"]["cpu"] = {"limit": 2}
    path.write_text(yaml.safe_dump(specs))
    dry = grounds.cli("--once", "--dry-run")
    assert dry.returncode == 0 and "is not written: adopted" in dry.stdout, dry.stdout
    grounds.run()
    assert "cpulimit" not in grounds.world().vms[1303].config
    del specs["kept"]["drift"]
    path.write_text(yaml.safe_dump(specs))
    grounds.run()
    assert str(grounds.world().vms[1303].config["cpulimit"]) == "2"


def test_a_vm_that_is_lifted_keeps_a_password_that_is_not_known(scene: Open) -> None:
    """CI-04: a password that others set is not written over."""
    grounds = scene("{}\n")
    (grounds.fleet / "vms" / "vms.yaml").unlink()
    make(grounds, 1303, "kept", scsi0="local-lvm:4", net0=NIC, cipassword="theirs", ciuser="a")
    settle(grounds)
    fleet = str(grounds.fleet)
    assert grounds.cli("adopt", "--vmid", "1303", "--write", fleet, "--apply").returncode == 0
    path = grounds.fleet / "vms" / "adopted" / "single.yaml"
    kept = [line for line in path.read_text().splitlines() if "drift: alert" not in line]
    text = "\n".join(kept).replace("    user: a", "    user: a\n    password: generate")
    path.write_text(text + "\n")
    grounds.run()
    assert grounds.world().vms[1303].config["cipassword"] == "theirs"
    with grounds.store() as store:
        assert "CredentialUnverified" in {one.type for one in store.conditions.all()["kept"]}
