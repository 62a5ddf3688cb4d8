"""Zones, vnets and subnets: written, applied, used as bridges.

Cases follow pve-api.md sections 1 (SDN.Use) and 12 (SDN), and pve-network PVE/API2/Network/SDN.
"""

from typing import Any

import pytest

from reconciler.sim.accounts.access import Grant, User
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.samples import demo_world
from tests.sim.conftest import Hands

SDN = "/cluster/sdn"
ZONES, VNETS = f"{SDN}/zones", f"{SDN}/vnets"


class Admin(Hands):
    def ask(self, method: str, path: str, **params: object) -> Any:
        answer = self.simulator.call(
            method, path, {key.replace("_", "-"): one for key, one in params.items()}
        )
        return answer.data if answer.status == 200 else f"{answer.status} {answer.reason}"

    def apply(self) -> str:
        return self.end(self.ask("PUT", SDN))


@pytest.fixture
def admin(clock: ManualClock) -> Admin:
    return Admin(Simulator(demo_world(SOME_DAY, speed=1.0), clock), clock)


def with_vnet(admin: Admin) -> None:
    assert admin.ask("POST", ZONES, zone="lan", type="simple", nodes="pve1,pve2") is None
    assert admin.ask("POST", VNETS, vnet="v1", zone="lan", alias="shop") is None


def test_a_vnet_is_a_bridge_once_it_is_applied(admin: Admin) -> None:
    with_vnet(admin)
    admin.vm(200, scsi0="shared:1", net0="virtio,bridge=v1")
    failed = admin.task("POST", "/200/status/start")
    assert failed == "start failed: QEMU exited with code 1"
    assert admin.apply() == "OK"
    assert admin.task("POST", "/200/status/start") == "OK"
    assert admin.call("PUT", "/200/config", net1="virtio,bridge=v1").ok
    stuck = admin.task("POST", "/200/migrate", target="pve3", online=1)
    assert stuck == "migration problems", "the zone does not reach that node"
    assert admin.task("POST", "/200/migrate", target="pve2", online=1) == "OK"


def test_what_waits_is_shown_with_pending(admin: Admin) -> None:
    with_vnet(admin)
    [row] = admin.ask("GET", VNETS, pending=1)
    assert (row["state"], row["pending"]["zone"]) == ("new", "lan")
    assert admin.ask("GET", VNETS, running=1) == []
    admin.apply()
    [row] = admin.ask("GET", VNETS, running=1)
    digest = row.pop("digest")
    assert row == {"vnet": "v1", "type": "vnet", "zone": "lan", "alias": "shop"}
    assert "state" not in admin.ask("GET", VNETS, pending=1)[0]
    assert admin.ask("PUT", f"{VNETS}/v1", alias="bar", digest=digest) is None
    stale = admin.ask("PUT", f"{VNETS}/v1", alias="x", digest=digest)
    assert stale.startswith("500 update sdn vnet object failed: detected modified")
    [row] = admin.ask("GET", VNETS, pending=1)
    assert (row["state"], row["alias"], row["pending"]) == ("changed", "shop", {"alias": "bar"})
    assert admin.ask("PUT", f"{VNETS}/v1", delete="alias") is None
    assert admin.ask("GET", VNETS, pending=1)[0]["pending"] == {"alias": "deleted"}
    assert admin.ask("DELETE", f"{VNETS}/v1") is None
    assert admin.ask("GET", VNETS, pending=1)[0]["state"] == "deleted"
    admin.apply()
    assert admin.ask("GET", VNETS, pending=1) == []


def test_zones_are_read_changed_and_kept_while_in_use(admin: Admin) -> None:
    with_vnet(admin)
    [row] = admin.ask("GET", ZONES)
    assert (row["zone"], row["type"], row["nodes"]) == ("lan", "simple", "pve1,pve2")
    assert admin.ask("GET", ZONES, type="vlan") == []
    assert admin.ask("PUT", f"{ZONES}/lan", mtu=1400, delete="nodes") is None
    assert admin.ask("GET", f"{ZONES}/lan")["mtu"] == 1400
    used = admin.ask("DELETE", f"{ZONES}/lan")
    assert used == "500 delete sdn zone object failed: zone lan is used by vnet v1"
    admin.ask("DELETE", f"{VNETS}/v1")
    assert admin.ask("DELETE", f"{ZONES}/lan") is None
    assert admin.ask("GET", f"{ZONES}/lan") == "500 sdn 'lan' does not exist"
    gone = admin.ask("PUT", f"{ZONES}/lan", mtu=1)
    assert gone == "500 update sdn zone object failed: sdn 'lan' does not exist"


@pytest.mark.parametrize(
    ("path", "given", "complaint"),
    [
        (ZONES, {"zone": "zz", "type": "vlan"}, "missing value for required option 'bridge'"),
        (ZONES, {"zone": "zz", "type": "simple", "tag": 3}, "unexpected property 'tag'"),
        (ZONES, {"zone": "lan", "type": "simple"}, "zone object ID 'lan' already defined"),
        (VNETS, {"vnet": "v1", "zone": "lan"}, "vnet object ID 'v1' already defined"),
        (VNETS, {"vnet": "v2", "zone": "no"}, "zone 'no' does not exist"),
        (VNETS, {"vnet": "v2", "zone": "vv"}, "missing vlan tag"),
        (
            VNETS,
            {"vnet": "v2", "zone": "vv", "tag": 7},
            "already exist in vnet v7 in zone vv",
        ),
        (f"{VNETS}/v9/subnets", {"subnet": "10.0.0.0/24", "type": "subnet"}, "does not exist"),
    ],
)
def test_what_is_refused(admin: Admin, path: str, given: dict[str, Any], complaint: str) -> None:
    with_vnet(admin)
    admin.ask("POST", ZONES, zone="vv", type="vlan", bridge="vmbr0")
    admin.ask("POST", VNETS, vnet="v7", zone="vv", tag=7)
    answer = admin.simulator.call("POST", path, given)
    assert answer.status == 500
    assert answer.reason.endswith(complaint)


def test_subnets_belong_to_a_vnet(admin: Admin) -> None:
    with_vnet(admin)
    path = f"{VNETS}/v1/subnets"
    given = {"type": "subnet", "subnet": "10.0.0.0/24"}
    outside = admin.ask("POST", path, gateway="10.1.0.1", **given)
    key = "lan-10.0.0.0-24"
    head = "500 create sdn subnet object failed: "
    assert outside == f"{head}gateway '10.1.0.1' is not in subnet '{key}'"
    assert admin.ask("POST", path, gateway="10.0.0.1", snat=1, **given) is None
    assert admin.ask("POST", path, **given) == f"{head}sdn subnet object ID '{key}' already defined"
    [row] = admin.ask("GET", path)
    assert (row["subnet"], row["cidr"], row["gateway"]) == (key, "10.0.0.0/24", "10.0.0.1")
    assert admin.ask("PUT", f"{path}/{key}", snat=0) is None
    text = "500 delete sdn vnet object failed: can't delete vnet if subnets exists"
    assert admin.ask("DELETE", f"{VNETS}/v1") == text
    assert admin.ask("DELETE", f"{path}/{key}") is None
    assert admin.ask("GET", path) == []
    for wrong in ({"subnet": "x", "type": "subnet"}, {**given, "gateway": "x"}):
        assert admin.simulator.call("POST", path, wrong).status == 400


def test_a_vnet_needs_the_right_to_use_it(admin: Admin) -> None:
    with_vnet(admin)
    admin.apply()
    access = admin.simulator.world.access
    access.users["bob@pve"] = User(password="x")
    access.grants += [
        Grant("/vms", "user", "bob@pve", "PVEVMAdmin"),
        Grant("/sdn/zones/localnetwork", "user", "bob@pve", "PVESDNUser"),
    ]
    access.changed()

    def make(bridge: str) -> Any:
        given = {"vmid": 300, "net0": f"virtio,bridge={bridge}"}
        return admin.simulator.call("POST", "/nodes/pve1/qemu", given, "bob@pve")

    assert make("v1").reason == "Permission check failed (/sdn/zones/lan/v1, SDN.Use)"
    assert make("vmbr0").status == 200
    call = admin.simulator.call
    assert call("GET", VNETS, {}, "bob@pve").data == []
    refused = call("GET", f"{VNETS}/v1", {}, "bob@pve")
    assert refused.reason == "Permission check failed (/sdn/zones/lan/v1, SDN.Audit|SDN.Allocate)"
    assert call("PUT", SDN, {}, "bob@pve").status == 403


def test_listings_know_vnets_and_zones(admin: Admin) -> None:
    with_vnet(admin)
    admin.apply()
    rows = admin.ask("GET", "/nodes/pve1/network", type="any_bridge")
    assert [row["iface"] for row in rows] == ["vmbr0", "vmbr1", "v1"]
    [row] = admin.ask("GET", "/nodes/pve1/network", type="vnet")
    assert row == {"iface": "v1", "type": "vnet", "active": 1, "comments": "shop"}
    assert admin.ask("GET", "/nodes/pve3/network", type="vnet") == []
    ids = [row["id"] for row in admin.ask("GET", "/cluster/resources", type="sdn")]
    assert "sdn/pve1/lan" in ids and "sdn/pve3/lan" not in ids
    zones = admin.ask("GET", "/nodes/pve1/sdn/zones")
    assert [one["zone"] for one in zones] == ["localnetwork", "lan"]
    assert {"id": "vnets"} in admin.ask("GET", SDN)
    assert admin.ask("GET", f"{VNETS}/v1")["zone"] == "lan"


def test_a_dead_node_is_a_warning(admin: Admin) -> None:
    with_vnet(admin)
    admin.simulator.world.nodes["pve3"].online = False
    assert admin.apply() == "WARNINGS: 1"
