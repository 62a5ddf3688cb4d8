"""Resource mappings, host devices and what a start does with them.

Cases follow pve-api.md sections 1 (passthrough is root only) and 7, and pve-guest-common
PVE/Mapping/*.pm.
"""

from typing import Any

import pytest

from reconciler.sim.accounts.access import Grant, User
from reconciler.sim.api import Simulator
from reconciler.sim.cluster.hardware import PciDevice, hardware
from tests.sim.conftest import Hands

GPU = "node={},path=0000:01:00.0,id=10de:2204,iommugroup=16,subsystem-id=10de:0000"
SECOND = "node={},path=0000:02:00.0,id=10de:2204,iommugroup=17,subsystem-id=10de:0000"
KEY = "node={},id=1050:0407"


def post(simulator: Simulator, kind: str, name: str, *places: str, **more: object) -> Any:
    given = {"id": name, "map": list(places), **more}
    return simulator.call("POST", f"/cluster/mapping/{kind}", given)


@pytest.fixture
def call(demo: Simulator) -> Any:
    return demo.call


def test_a_mapping_is_made_read_changed_and_removed(demo: Simulator, call: Any) -> None:
    assert call("GET", "/cluster/mapping").data == [
        {"name": "dir"},
        {"name": "pci"},
        {"name": "usb"},
    ]
    assert post(demo, "pci", "gpu", GPU.format("pve1"), mdev=0).status == 200
    again = post(demo, "pci", "gpu", GPU.format("pve1"))
    assert again.reason == "create hardware mapping failed: pci ID 'gpu' already defined"
    found = call("GET", "/cluster/mapping/pci/gpu").data
    digest = found.pop("digest")
    assert found == {"type": "pci", "map": [GPU.format("pve1")], "mdev": 0}
    path = "/cluster/mapping/pci/gpu"
    both = [GPU.format("pve1"), GPU.format("pve2")]
    stale = call("PUT", path, {"map": both, "digest": "0" * 40})
    assert "detected modified configuration" in stale.reason
    assert call("PUT", path, {"map": both, "digest": digest, "delete": "mdev"}).status == 200
    assert call("GET", path).data["map"] == both
    missing = call("PUT", path, {"description": "x"})
    text = "update hardware mapping failed: missing value for required option 'map'"
    assert missing.reason == text
    assert call("DELETE", path).status == 200
    assert call("DELETE", path).status == 200, "one that is gone is no error"
    assert call("GET", path).reason == "mapping 'gpu' not found"
    gone = call("PUT", path, {"map": both})
    assert gone.reason == "update hardware mapping failed: pci ID 'gpu' does not exist"


@pytest.mark.parametrize(
    ("key", "complaint"),
    [("map", "unable to delete required option 'map'"), ("colour", "no such option 'colour'")],
)
def test_what_cannot_be_deleted(demo: Simulator, call: Any, key: str, complaint: str) -> None:
    post(demo, "usb", "key", KEY.format("pve1"))
    given = {"map": [KEY.format("pve1")], "delete": key}
    answer = call("PUT", "/cluster/mapping/usb/key", given)
    assert answer.reason == f"update hardware mapping failed: {complaint}"


def test_places_are_checked(demo: Simulator) -> None:
    answer = post(demo, "pci", "gpu", "node=pve1,id=10de:2204")
    assert "map[0].path: property is missing" in str(answer.errors)
    twice = post(demo, "dir", "pool", "node=pve1,path=/a", "node=pve1,path=/b")
    assert twice.reason == "node 'pve1' is specified 2 times, only one allowed"
    assert post(demo, "dir", "pool", "node=pve1,path=/a", "node=pve2,path=/b").status == 200


def test_check_node_tells_what_is_wrong(demo: Simulator, call: Any) -> None:
    post(demo, "pci", "gpu", GPU.format("pve1"), GPU.format("pve2").replace("2204", "9999"))
    post(demo, "usb", "key", KEY.format("pve1"), f"{KEY.format('pve2')},path=1-9")
    post(demo, "dir", "share", "node=pve1,path=/srv")

    def complaints(kind: str, node: str) -> list[str]:
        rows = call("GET", f"/cluster/mapping/{kind}", {"check-node": node}).data
        return [check["message"].rstrip() for row in rows for check in row["checks"]]

    assert complaints("pci", "pve1") == []
    wrong = "Invalid configuration: 'id' does not match for 'gpu' (10de:2204 != 10de:9999)"
    assert complaints("pci", "pve2") == [wrong]
    assert complaints("pci", "pve3") == ["No mapping for node pve3."]
    assert complaints("usb", "pve1") == []
    assert complaints("usb", "pve2") == ["Invalid configuration: usb device '1-9' not found"]
    assert complaints("dir", "pve1") == []
    hardware(demo.world).directories["pve1"] = []
    assert complaints("dir", "pve1") == ["Invalid configuration: Path /srv does not exist"]
    hardware(demo.world).pci["pve1"] = []
    text = "Invalid configuration: pci device '0000:01:00.0' not found"
    assert complaints("pci", "pve1") == [text]


def test_mappings_show_to_those_who_may_use_them(demo: Simulator, call: Any) -> None:
    post(demo, "pci", "gpu", GPU.format("pve1"))
    demo.world.access.users["bob@pve"] = User()
    assert call("GET", "/cluster/mapping/pci", identity="bob@pve").data == []
    assert call("GET", "/cluster/mapping/pci/gpu", identity="bob@pve").status == 403
    grant = Grant("/mapping/pci/gpu", "user", "bob@pve", "PVEMappingUser")
    demo.world.access.grants.append(grant)
    demo.world.access.changed()
    assert [row["id"] for row in call("GET", "/cluster/mapping/pci", identity="bob@pve").data]
    refused = call("DELETE", "/cluster/mapping/pci/gpu", identity="bob@pve")
    assert refused.reason == "Permission check failed (/mapping/pci, Mapping.Modify)"


def test_a_start_takes_the_devices_that_are_mapped(demo_hands: Hands) -> None:
    post(demo_hands.simulator, "pci", "gpu", GPU.format("pve1"), SECOND.format("pve1"))
    post(demo_hands.simulator, "usb", "key", KEY.format("pve1"))
    post(demo_hands.simulator, "dir", "share", "node=pve1,path=/srv")
    keys = {"hostpci0": "mapping=gpu", "usb0": "mapping=key", "virtiofs0": "share"}
    for vmid in (200, 201, 202):
        demo_hands.vm(vmid, **keys)
    assert demo_hands.task("POST", "/200/status/start") == "OK"
    assert demo_hands.task("POST", "/201/status/start") == "OK"
    none = "could not find a free device for PCI mapping"
    assert demo_hands.task("POST", "/202/status/start") == none
    assert demo_hands.task("POST", "/200/status/stop") == "OK"
    assert demo_hands.task("POST", "/202/status/start") == "OK"
    assert demo_hands.simulator.world.vms[202].devices == ["0000:01:00.0"]


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("hostpci0", "mapping=nope", "PCI device mapping not found for 'nope'"),
        ("hostpci0", "0000:09:00.0", "no PCI device found for '0000:09:00.0'"),
        ("usb0", "mapping=nope", "USB device mapping not found for 'nope'"),
        ("virtiofs0", "nope", "virtiofs needs exactly one directory mapping for this node"),
    ],
)
def test_a_start_without_the_device_fails(
    demo_hands: Hands, key: str, value: str, complaint: str
) -> None:
    demo_hands.vm(200, **{key: value})
    assert demo_hands.task("POST", "/200/status/start") == complaint


def test_changed_hardware_fails_the_start(demo_hands: Hands) -> None:
    world = demo_hands.simulator.world
    post(demo_hands.simulator, "pci", "gpu", GPU.format("pve1"))
    post(demo_hands.simulator, "dir", "share", "node=pve1,path=/srv")
    demo_hands.vm(200, hostpci0="mapping=gpu")
    demo_hands.vm(201, virtiofs0="share")
    hardware(world).pci["pve1"] = [PciDevice("0000:01:00.0", "030000", "10de", "1111", "x", 16)]
    hardware(world).directories["pve1"] = []
    text = "PCI device mapping invalid (hardware probably changed): 'id' does not match for 'gpu'"
    assert demo_hands.task("POST", "/200/status/start").startswith(text)
    gone = "Directory Mapping invalid: Path /srv does not exist"
    assert demo_hands.task("POST", "/201/status/start") == gone


def test_one_device_serves_one_vm(demo_hands: Hands) -> None:
    demo_hands.vm(200, hostpci0="01:00")
    demo_hands.vm(201, hostpci0="0000:01:00.0")
    assert demo_hands.task("POST", "/200/status/start") == "OK"
    text = "PCI device '0000:01:00.0' already in use by VMID '200'"
    assert demo_hands.task("POST", "/201/status/start") == text


def test_mapped_devices_need_the_right_to_use_them(demo_hands: Hands) -> None:
    post(demo_hands.simulator, "pci", "gpu", GPU.format("pve1"))
    given = {"vmid": 200, "hostpci0": "mapping=gpu"}
    who = "reconcile@pve!fleet"
    refused = demo_hands.simulator.call("POST", "/nodes/pve1/qemu", given, who)
    assert refused.reason == "Permission check failed (/mapping/pci/gpu, Mapping.Use)"
    raw = {"vmid": 200, "hostpci0": "0000:01:00.0"}
    refused = demo_hands.simulator.call("POST", "/nodes/pve1/qemu", raw, who)
    assert refused.reason == "only root can set 'hostpci0' config for non-mapped devices"


def test_hardware_and_capabilities_are_listed(call: Any) -> None:
    assert call("GET", "/nodes/pve1/hardware").data == [{"type": "pci"}, {"type": "usb"}]
    rows = call("GET", "/nodes/pve1/hardware/pci").data
    assert rows[0]["id"] == "0000:01:00.0" and rows[0]["vendor"] == "0x10de"
    short = call("GET", "/nodes/pve1/hardware/pci", {"verbose": 0}).data
    assert short[0] == {"id": "0000:01:00.0"}
    cards = call("GET", "/nodes/pve1/hardware/pci", {"pci-class-blacklist": "03"}).data
    assert [row["class"] for row in cards] == ["0x020000"]
    assert call("GET", "/nodes/pve1/hardware/usb").data[0]["vendid"] == "1050"
    assert call("GET", "/nodes/pve1/capabilities").data == [{"name": "qemu"}]
    names = call("GET", "/nodes/pve1/capabilities/qemu").data
    assert names == [{"name": "cpu"}, {"name": "machines"}]
    models = [row["name"] for row in call("GET", "/nodes/pve1/capabilities/qemu/cpu").data]
    assert "x86-64-v2-AES" in models and "host" in models
    machines = [row["id"] for row in call("GET", "/nodes/pve1/capabilities/qemu/machines").data]
    assert "pc-q35-9.2" in machines


def test_usb_devices_are_found_by_port_or_by_id(demo: Simulator, call: Any) -> None:
    post(demo, "usb", "port", f"{KEY.format('pve1')},path=1-2")
    post(demo, "usb", "other", "node=pve1,id=1234:5678", description="a dongle")
    post(demo, "usb", "moved", "node=pve1,id=1234:5678,path=1-2")
    post(demo, "pci", "bare", "node=pve1,path=0000:01:00.0,id=10de:2204", mdev=1)
    rows = {
        row["id"]: row for row in call("GET", "/cluster/mapping/usb", {"check-node": "pve1"}).data
    }
    assert rows["port"]["checks"] == []
    assert rows["other"]["description"] == "a dongle"
    messages = {name: row["checks"][0]["message"] for name, row in rows.items() if row["checks"]}
    head = "Invalid configuration: "
    assert messages["other"] == f"{head}usb device '1234:5678' not found\n"
    assert messages["moved"] == (
        f"{head}'id' does not match for 'moved' (1050:0407 != 1234:5678)\n"
    )
    [bare] = call("GET", "/cluster/mapping/pci", {"check-node": "pve1"}).data
    wrong = f"{head}no 'iommugroup' for device '0000:01:00.0'\n"
    assert bare["checks"] == [{"severity": "error", "message": wrong}]
