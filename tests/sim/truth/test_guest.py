"""Agent calls and cloud-init data beyond the recorded flows.

Every case names the place in Proxmox's sources (repository path) that it follows.
"""

import pytest

from reconciler.sim.accounts.access import Grant, User
from reconciler.sim.errors import Refusal
from reconciler.sim.vm.cloudinit_files import meta_data, network_data, user_data
from reconciler.sim.vm.machine import Machine
from tests.sim.conftest import TINY, Hands

NET = "virtio=BC:24:11:36:B2:23,bridge=vmbr0"


@pytest.fixture
def guest(hands: Hands) -> Hands:
    hands.vm(100, name="g1", agent="1", scsi0=TINY)
    hands.task("POST", "/100/status/start")
    hands.clock.pass_by(10)
    return hands


def test_a_missing_vm_has_no_config_file(hands: Hands) -> None:
    """qemu-server PVE/API2/Qemu/Agent.pm (load_config comes first)."""
    text = "500 Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist"
    assert hands.refused("POST", "/999/agent/ping") == text
    assert hands.refused("GET", "/999/agent/file-read", file="/x") == text


def test_an_agent_that_is_set_up_but_off_is_not_running(hands: Hands) -> None:
    """qemu-server PVE/QemuServer/Agent.pm (agent_available asks whether the key is there)."""
    hands.vm(100, agent="0", scsi0=TINY)
    assert hands.refused("POST", "/100/agent/ping") == "500 VM 100 is not running"
    hands.task("POST", "/100/status/start")
    hands.clock.pass_by(10)
    assert hands.refused("POST", "/100/agent/ping") == "500 QEMU guest agent is not running"


def test_the_index_names_every_command(hands: Hands) -> None:
    """qemu-server PVE/API2/Qemu/Agent.pm (index)."""
    names = [row["name"] for row in hands.get("/100/agent")]
    assert names == sorted(names) and len(names) == 25
    assert {"exec", "exec-status", "file-read", "file-write", "set-user-password"} <= set(names)


def test_every_command_takes_the_monitor_privilege(guest: Hands) -> None:
    """qemu-server PVE/API2/Qemu/Agent.pm (register_command: default VM.Monitor)."""
    access = guest.simulator.world.access
    access.users["alice@pve"] = User()
    access.roles["Power"] = ["VM.PowerMgmt"]
    access.grants.append(Grant("/vms", "user", "alice@pve", "Power"))
    access.changed()
    for name in ("shutdown", "suspend-ram", "file-write"):
        path = f"/nodes/pve1/qemu/100/agent/{name}"
        answer = guest.simulator.call("POST", path, {}, "alice@pve")
        assert answer.reason == "Permission check failed (/vms/100, VM.Monitor)"


def test_a_result_is_fetched_once(guest: Hands) -> None:
    pid = guest.call("POST", "/100/agent/exec", command=["/bin/echo", "a", "b"]).data["pid"]
    found = {"exited": 1, "exitcode": 0, "out-data": "a b\n"}
    assert guest.get("/100/agent/exec-status", pid=pid) == found
    text = "500 Agent error: Invalid parameter 'pid'"
    assert guest.refused("GET", "/100/agent/exec-status", pid=pid) == text


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (["hostname"], 0, "g1\n"),
        (["false"], 1, None),
        (["cat"], 0, "in"),
        (["cat", "/etc/a", "/nope"], 1, "A"),
        (["apt", "update"], 0, None),
    ],
)
def test_a_few_commands_mean_something(
    guest: Hands, command: list[str], code: int, said: str | None
) -> None:
    guest.call("POST", "/100/agent/file-write", file="/etc/a", content="A")
    given = {"command": command, "input-data": "in"}
    pid = guest.simulator.call("POST", "/nodes/pve1/qemu/100/agent/exec", given).data["pid"]
    found = guest.get("/100/agent/exec-status", pid=pid)
    assert (found["exitcode"], found.get("out-data")) == (code, said)


def test_files_are_written_and_read(guest: Hands) -> None:
    """qemu-server PVE/API2/Qemu/Agent.pm (file-read, file-write)."""
    write = "/100/agent/file-write"
    assert guest.call("POST", write, file="/a", content="é").data is None
    found = {"content": "é", "bytes-read": 2}
    assert guest.get("/100/agent/file-read", file="/a") == found
    assert guest.call("POST", write, file="/a", content="aGk=", encode=0).ok
    assert guest.get("/100/agent/file-read", file="/a")["content"] == "hi"
    assert guest.refused("POST", write, file="/a", content="a", encode=0).startswith("500 Agent")
    text = "failed to open file '/b' (mode: 'r'): No such file or directory"
    assert guest.refused("GET", "/100/agent/file-read", file="/b") == f"500 Agent error: {text}"


def test_the_guest_can_power_itself_off(guest: Hands) -> None:
    assert guest.call("POST", "/100/agent/shutdown").ok
    guest.clock.pass_by(6)
    assert guest.get("/100/status/current")["status"] == "stopped"


def test_windows_gets_interfaces_and_json(hands: Hands) -> None:
    """qemu-server PVE/QemuServer/Cloudinit.pm (configdrive2_network, configdrive2_metadata)."""
    config = {"ostype": "win11", "net0": NET, "net1": NET, "nameserver": "1.1.1.1"}
    addresses = "ip=10.0.0.5/24,gw=10.0.0.1,ip6=2001:db8::5/64,gw6=2001:db8::1"
    machine = Machine(100, "pve1", {**config, "ipconfig0": addresses, "ipconfig1": "ip6=auto"})
    assert network_data(machine).splitlines() == [
        "auto lo",
        "iface lo inet loopback",
        "",
        "        dns_nameservers 1.1.1.1",
        "        dns_search example.invalid",
        "auto eth0",
        "iface eth0 inet static",
        "        address 10.0.0.5",
        "        netmask 255.255.255.0",
        "        gateway 10.0.0.1",
        "iface eth0 inet6 static",
        "        address 2001:db8::5",
        "        netmask 64",
        "        gateway 2001:db8::1",
        "auto eth1",
        "iface eth1 inet6 auto",
    ]
    assert '"network_config": { "content_path": "/content/0000" }' in meta_data(machine)
    machine.config["citype"] = "nocloud"
    assert meta_data(machine).startswith("instance-id: ")


@pytest.mark.parametrize(
    ("addresses", "kinds"),
    [
        (" ", ["dhcp4", "dhcp6"]),
        ("ip=dhcp", ["dhcp4"]),
        ("ip=dhcp,gw=10.0.0.1", []),
        ("ip6=auto,gw6=2001:db8::1", []),
    ],
)
def test_addresses_that_make_no_sense_give_none(addresses: str, kinds: list[str]) -> None:
    """qemu-server PVE/QemuServer.pm (parse_ipconfig)."""
    machine = Machine(100, "pve1", {"net0": NET, "ipconfig0": addresses, "nameserver": " "})
    lines = network_data(machine).splitlines()
    assert [line.partition("type: ")[2] for line in lines if "type: dhcp" in line] == kinds
    assert "      address:" not in lines, "a blank list of name servers is empty"
    machine.config |= {"citype": "configdrive2", "searchdomain": " "}
    assert ("iface eth0 inet dhcp" in network_data(machine)) is bool(kinds)


def test_a_manual_address_is_no_network() -> None:
    """qemu-server PVE/QemuServer/Cloudinit.pm (split_ip4)."""
    machine = Machine(100, "pve1", {"net0": NET, "ipconfig0": "ip=manual"})
    with pytest.raises(Refusal, match="not a CIDR: manual"):
        network_data(machine)


def test_blanks_are_values_too() -> None:
    """qemu-server PVE/QemuServer/Cloudinit.pm (cloudinit_userdata asks what is defined)."""
    machine = Machine(100, "pve1", {"ciuser": " ", "sshkeys": " ", "name": "a"})
    machine.config["searchdomain"] = "x.example y.example"
    lines = user_data(machine).splitlines()
    assert "user:  " in lines and "ssh_authorized_keys:" in lines
    assert "fqdn: a.x.example y.example" in lines
