"""The guest agent: when it answers, and what."""

import pytest

from reconciler.sim.vm.agent import READS, WRITES
from reconciler.sim.vm.guest import link_local
from tests.sim.conftest import TINY, Hands


@pytest.fixture
def guest(hands: Hands) -> Hands:
    hands.vm(
        100,
        name="guest1",
        scsi0=TINY,
        agent="1",
        cores=2,
        net0="virtio=BC:24:11:7E:CF:EF,bridge=vmbr0",
        net1="virtio,bridge=vmbr0",
        ipconfig0="ip=10.77.0.5/24",
    )
    hands.task("POST", "/100/status/start")
    return hands


def test_it_answers_once_the_guest_is_up(guest: Hands) -> None:
    silent = "500 QEMU guest agent is not running"
    assert guest.refused("POST", "/100/agent/ping") == silent
    guest.clock.pass_by(10)
    assert guest.call("POST", "/100/agent/ping").data == {"result": {}}
    guest.task("POST", "/100/status/suspend")
    assert guest.refused("POST", "/100/agent/ping") == silent
    guest.task("POST", "/100/status/stop")
    assert guest.refused("POST", "/100/agent/ping") == "500 VM 100 is not running"


def test_it_must_be_set_up(hands: Hands) -> None:
    hands.vm(100)
    assert hands.refused("POST", "/100/agent/ping") == "500 No QEMU guest agent configured"


def test_every_command_answers(guest: Hands) -> None:
    guest.clock.pass_by(10)
    for name in READS:
        assert "result" in guest.get(f"/100/agent/{name}")
    for name in WRITES:
        if name != "shutdown":
            assert "result" in guest.call("POST", f"/100/agent/{name}").data
    assert guest.call("POST", "/100/agent", command="get-vcpus").ok
    pid = guest.call("POST", "/100/agent/exec", command="uptime").data["pid"]
    assert guest.get("/100/agent/exec-status", pid=pid) == {"exited": 1, "exitcode": 0}
    given = {"username": "root", "password": "secret1"}
    assert guest.call("POST", "/100/agent/set-user-password", **given).ok
    assert {"name": "ping"} in guest.get("/100/agent")


def test_interfaces_carry_the_static_addresses(guest: Hands) -> None:
    guest.clock.pass_by(10)
    rows = guest.get("/100/agent/network-get-interfaces")["result"]
    assert [row["name"] for row in rows] == ["lo", "eth0", "eth1"]
    addresses = [one["ip-address"] for one in rows[1]["ip-addresses"]]
    assert addresses == ["10.77.0.5", "fe80::be24:11ff:fe7e:cfef"]
    assert "ip-addresses" not in rows[2]


def test_link_local_addresses_come_from_the_mac() -> None:
    assert link_local("bc:24:11:7e:cf:ef") == "fe80::be24:11ff:fe7e:cfef"
