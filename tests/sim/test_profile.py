"""Nodes of Proxmox VE 9: what differs from the recorded 8.4 (pve-api.md section 13)."""

import pytest

from reconciler.sim.accounts.access import Grant, User
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.launch import ServeOptions
from reconciler.sim.profile import become
from reconciler.sim.samples import demo_world
from reconciler.sim.serve import new_world


@pytest.fixture
def nine(clock: ManualClock) -> Simulator:
    world = demo_world(SOME_DAY, speed=1.0)
    become(world, "9")
    return Simulator(world, clock)


def test_a_profile_is_chosen_at_the_start() -> None:
    world = new_world(ServeOptions(profile="9"), SOME_DAY)
    assert {node.version for node in world.nodes.values()} == {"9.0.11"}
    assert new_world(ServeOptions(), SOME_DAY).major == 8


def test_the_version_is_told(nine: Simulator) -> None:
    answer = nine.call("GET", "/version").data
    assert (answer["version"], answer["release"]) == ("9.0.11", "9.0")


def test_privileges_of_the_agent_replace_the_monitor(nine: Simulator) -> None:
    roles = nine.world.access.roles
    assert not [name for name, held in roles.items() if "VM.Monitor" in held]
    assert "VM.GuestAgent.Unrestricted" in roles["Fleet"]
    assert "VM.GuestAgent.Audit" in roles["PVEAuditor"]
    nine.world.access.users["bob@pve"] = User()
    nine.world.access.grants.append(Grant("/", "user", "bob@pve", "PVEAuditor"))
    nine.world.access.changed()
    path = "/nodes/pve1/qemu/9000/agent"
    asked = nine.call("GET", f"{path}/get-osinfo", identity="bob@pve")
    assert asked.reason == "VM 9000 is not running", "reading is allowed"
    wanted = "VM.GuestAgent.FileWrite|VM.GuestAgent.Unrestricted"
    given = {"file": "/a", "content": "x"}
    write = nine.call("POST", f"{path}/file-write", given, "bob@pve")
    assert write.reason == f"Permission check failed (/vms/9000, {wanted})"
    trim = nine.call("POST", f"{path}/fstrim", {}, "bob@pve")
    assert "VM.GuestAgent.FileSystemMgmt" in trim.reason
    run = nine.call("POST", f"{path}/exec", {"command": "id"}, "bob@pve")
    assert run.reason == "Permission check failed (/vms/9000, VM.GuestAgent.Unrestricted)"


def test_roles_hold_what_the_release_knows(nine: Simulator, demo: Simulator) -> None:
    given = {"roleid": "Agent", "privs": "VM.GuestAgent.Audit"}
    assert nine.call("POST", "/access/roles", given).status == 200
    refused = demo.call("POST", "/access/roles", given)
    text = "invalid format - invalid privilege 'VM.GuestAgent.Audit'\n"
    assert refused.errors == {"privs": text}
    old = nine.call("POST", "/access/roles", {"roleid": "Old", "privs": "VM.Monitor"})
    assert old.status == 400


def test_the_hosts_share_of_memory_is_told(nine: Simulator) -> None:
    nine.call("POST", "/nodes/pve1/qemu", {"vmid": 200, "start": 1})
    nine.world.advance(nine.world.now + 60)
    rows = nine.call("GET", "/cluster/resources", {"type": "vm"}).data
    [row] = [row for row in rows if row["vmid"] == 200]
    assert row["memhost"] > row["mem"]
