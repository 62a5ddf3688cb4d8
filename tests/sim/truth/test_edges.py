"""Calls at the edge of what a VM needs: datacenter options, single volumes, the monitor, names.

Every case names the place in Proxmox's sources (repository path) that it follows.
"""

import pytest

from reconciler.sim.api import Simulator
from tests.sim.conftest import Hands

OPTIONS = "/cluster/options"
CONTENT = "/nodes/pve1/storage/local/content"


def test_options_are_read_as_the_file_has_them(recorded: Simulator) -> None:
    """pve-cluster PVE/DataCenterConfig.pm (parse_datacenter_config)."""
    given = {
        "max_workers": 4,
        "bwlimit": "clone=100,default=5",
        "console": "applet",
        "description": "a\nb",
        "webauthn": "rp=x,allow-subdomains=0",
    }
    assert recorded.call("PUT", OPTIONS, given).ok
    found = recorded.call("GET", OPTIONS).data
    assert (found["max_workers"], found["bwlimit"]) == ("4", "clone=100,default=5")
    assert (found["console"], found["description"]) == ("html5", "a\nb\n")
    assert found["webauthn"] == {"rp": "x", "allow-subdomains": 0}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"http_proxy": "proxy:8080"}, "value does not match the regex pattern"),
        ({"next-id": "lower=300,upper=200"}, "lower (300) <= upper (200) boundary rule broken"),
        ({"next-id": "lower=1000001"}, "lower (1000001) <= upper (1000000) boundary rule broken"),
        ({"notify": "fencing=auto"}, "does not have a value in the enumeration 'always, never'"),
    ],
)
def test_options_that_do_not_fit_change_nothing(
    recorded: Simulator, given: dict[str, object], text: str
) -> None:
    """pve-cluster PVE/DataCenterConfig.pm (write_datacenter_config)."""
    answer = recorded.call("PUT", OPTIONS, {**given, "keyboard": "de"})
    assert text in f"{answer.reason} {answer.errors}"
    assert "keyboard" not in recorded.call("GET", OPTIONS).data


def test_what_is_deleted_goes_even_if_it_is_given(recorded: Simulator) -> None:
    """pve-manager PVE/API2/Cluster.pm (set_options)."""
    assert recorded.call("PUT", OPTIONS, {"keyboard": "de", "delete": "keyboard"}).ok
    assert "keyboard" not in recorded.call("GET", OPTIONS).data


@pytest.mark.parametrize(
    ("name", "form", "text"),
    [
        ("a/b.qcow2", None, "unable to parse volume filename 'a/b.qcow2'"),
        ("../x.raw", None, "unable to parse volume filename '../x.raw'"),
        ("vm-100-disk-0", None, "unable to parse volume filename 'vm-100-disk-0'"),
        ("vm-100-x.iso", "qcow2", "unable to parse volume filename 'vm-100-x.iso'"),
        (
            "vm-100-x.subvol",
            "raw",
            "illegal name 'vm-100-x.subvol' - wrong extension for format ('subvol != 'raw')",
        ),
    ],
)
def test_images_have_names_of_images(
    recorded: Simulator, name: str, form: str | None, text: str
) -> None:
    """pve-storage PVE/Storage/Plugin.pm (parse_name_dir, alloc_image)."""
    given = {"vmid": 100, "filename": name, "size": "1G"} | ({"format": form} if form else {})
    assert recorded.call("POST", CONTENT, given).reason == text
    assert recorded.call("GET", CONTENT, {"content": "images"}).data == []


def test_files_are_measured_as_images(recorded: Simulator) -> None:
    """pve-storage PVE/Storage/Plugin.pm (parse_volname, file_size_info)."""
    iso = recorded.call("GET", f"{CONTENT}/local:iso/t.iso").data
    assert (iso["format"], iso["size"]) == ("raw", 4096)
    image = recorded.call("GET", f"{CONTENT}/local:import/tiny.qcow2").data
    assert (image["format"], image["size"]) == ("qcow2", 64 << 20)


def test_localhost_is_the_node_that_is_asked(demo: Simulator) -> None:
    """pve-manager PVE/HTTPServer.pm (rest_handler)."""
    for name in ("pve1", "pve2"):
        answer = demo.call("GET", "/nodes/localhost/storage", via=name)
        assert answer.data == demo.call("GET", f"/nodes/{name}/storage").data
    missing = demo.call("GET", "/nodes/localhost/qemu/999/config", via="pve2")
    assert missing.reason == "Configuration file 'nodes/pve2/qemu-server/999.conf' does not exist"


def test_an_unused_disk_is_moved_as_a_volume_alone(hands: Hands) -> None:
    """qemu-server PVE/QemuServer.pm (clone_disk), PVE/QemuServer/Drive.pm (unused_fmt)."""
    hands.vm(100, scsi0="local:1")
    hands.call("PUT", "/100/config", delete="scsi0")
    assert hands.task("POST", "/100/move_disk", disk="unused0", storage="store2", delete=1) == "OK"
    assert hands.config(100)["unused0"] == "store2:100/vm-100-disk-0.raw"
    assert hands.task("DELETE", "/100") == "OK"
    assert hands.simulator.call("GET", "/nodes/pve1/storage/store2/content").data == []


def test_sizes_are_rounded_up_to_whole_kib(hands: Hands) -> None:
    """pve-common PVE/Tools.pm (convert_size)."""
    hands.vm(100, scsi0="local:0.001", scsi1="local:0.5")
    config = hands.config(100)
    assert config["scsi0"].endswith("size=1049K") and config["scsi1"].endswith("size=512M")


def test_a_start_for_a_migration_names_its_source(hands: Hands) -> None:
    """qemu-server PVE/API2/Qemu.pm (vm_start)."""
    hands.vm(100)
    said = hands.refused("POST", "/100/status/start", targetstorage="store2")
    assert said == "targetstorage: targetstorage can only by used with migratedfrom."
    said = hands.refused("POST", "/100/status/start", migration_network="pve2")
    assert "value does not look like a valid CIDR network" in said
    said = hands.refused("POST", "/100/status/start", targetstorage="a:b:c")
    assert said.startswith("targetstorage: invalid format - ")


def test_keys_are_pressed_by_name_while_the_vm_runs(hands: Hands) -> None:
    """qemu-server PVE/QemuServer.pm (vm_sendkey); QEMU monitor/hmp-cmds.c (hmp_sendkey)."""
    hands.vm(100)
    assert hands.refused("PUT", "/100/sendkey", key="ret") == "500 VM 100 not running"
    hands.task("POST", "/100/status/start")
    assert hands.call("PUT", "/100/sendkey", key="ctrl-alt-delete").ok
    assert hands.call("PUT", "/100/sendkey", key="0x1c").ok
    wrong = hands.refused("PUT", "/100/sendkey", key="ctrl-nope-x")
    assert wrong == "500 invalid parameter: nope"
    many = "-".join(["a"] * 17)
    assert hands.refused("PUT", "/100/sendkey", key=many) == "500 too many keys"
    assert hands.refused("PUT", "/999/sendkey", key="a").startswith("500 Configuration file")


def test_the_monitor_answers_in_lines(hands: Hands) -> None:
    """QEMU monitor/hmp.c (its lines end with a carriage return)."""
    hands.vm(100, name="web")
    hands.task("POST", "/100/status/start")

    def said(command: str) -> object:
        return hands.call("POST", "/100/monitor", command=command).data

    assert said("info status") == "VM status: running\r\n"
    assert said("stop") == "" and said("info status") == "VM status: paused\r\n"
    assert said("cont") == "" and said("info name") == "web\r\n"
    assert said("sendkey nope") == "invalid parameter: nope\r\n"
    assert said("bogus x") == "unknown command: 'bogus'\r\n"
