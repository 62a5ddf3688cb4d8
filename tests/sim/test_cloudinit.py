"""Cloud-init data as it would be generated."""

from reconciler.sim.vm.cloudinit_files import meta_data, network_data, user_data
from reconciler.sim.vm.machine import Machine
from tests.sim.conftest import Hands

NET = "virtio=BC:24:11:36:B2:23,bridge=vmbr0"


def test_static_addresses_of_both_families() -> None:
    machine = Machine(
        100,
        "pve1",
        {
            "net0": NET,
            "net1": NET,
            "ipconfig0": "ip=10.0.0.5/24,gw=10.0.0.1,ip6=2001:db8::5/64,gw6=2001:db8::1",
            "nameserver": "1.1.1.1 8.8.8.8",
            "searchdomain": "a.example",
        },
    )
    assert network_data(machine).splitlines() == [
        "version: 1",
        "config:",
        "    - type: physical",
        "      name: eth0",
        "      mac_address: 'bc:24:11:36:b2:23'",
        "      subnets:",
        "      - type: static",
        "        address: '10.0.0.5'",
        "        netmask: '255.255.255.0'",
        "        gateway: '10.0.0.1'",
        "      - type: static6",
        "        address: '2001:db8::5/64'",
        "        gateway: '2001:db8::1'",
        "    - type: nameserver",
        "      address:",
        "      - '1.1.1.1'",
        "      - '8.8.8.8'",
        "      search:",
        "      - 'a.example'",
    ]


def test_dhcp_and_router_advertisements() -> None:
    machine = Machine(100, "pve1", {"net0": NET, "ipconfig0": "ip=dhcp,ip6=auto"})
    lines = network_data(machine).splitlines()
    assert lines[6:8] == ["      - type: dhcp4", "      - type: ipv6_slaac"]
    machine.config["ipconfig0"] = "ip6=dhcp"
    assert "      - type: dhcp6" in network_data(machine).splitlines()


def test_the_full_name_comes_from_name_or_search_domain() -> None:
    machine = Machine(100, "pve1", {"name": "web", "searchdomain": "a.example", "ciupgrade": 0})
    text = user_data(machine)
    assert "hostname: web\n" in text and "fqdn: web.a.example\n" in text
    assert "package_upgrade" not in text and "users:\n  - default\n" in text
    machine.config["name"] = "web.b.example"
    assert "hostname: web\nmanage_etc_hosts: true\nfqdn: web.b.example" in user_data(machine)


def test_the_instance_id_changes_with_the_data() -> None:
    machine = Machine(100, "pve1", {})
    before = meta_data(machine)
    machine.config["ciuser"] = "debian"
    assert meta_data(machine) != before


def test_a_custom_snippet_must_be_there_when_the_drive_is_written(hands: Hands) -> None:
    """qemu-server PVE/QemuServer/Cloudinit.pm: the dump does not look at custom snippets."""
    hands.vm(100, cicustom="user=local:snippets/x.yml", ide2="local:cloudinit")
    assert hands.get("/100/cloudinit/dump", type="user").startswith("#cloud-config")
    text = "can't open '/var/lib/vz/snippets/x.yml' - No such file or directory"
    assert hands.refused("PUT", "/100/cloudinit") == f"500 {text}"
    assert hands.task("POST", "/100/status/start") == text
    hands.call("PUT", "/100/config", cicustom="user=local:iso/t.iso")
    text = "local:iso/t.iso is not in the snippets directory"
    assert hands.task("POST", "/100/status/start") == text


def test_differences_show_what_the_drive_was_made_of(hands: Hands) -> None:
    hands.vm(100, ciuser="old", searchdomain="x", ide2="local:cloudinit")
    hands.task("POST", "/100/status/start")
    hands.call("PUT", "/100/config", ciuser="new", nameserver="1.1.1.1", delete="searchdomain")
    rows = {row.pop("key"): row for row in hands.get("/100/cloudinit")}
    assert rows["ciuser"] == {"value": "old", "pending": "new"}
    assert rows["nameserver"] == {"pending": "1.1.1.1"}
    hands.call("PUT", "/100/config", ciuser="old")
    rows = {row.pop("key"): row for row in hands.get("/100/cloudinit")}
    assert rows["ciuser"] == {"value": "old"}
    hands.task("POST", "/100/status/stop")
    hands.task("POST", "/100/status/start")
    rows = {row.pop("key"): row for row in hands.get("/100/cloudinit")}
    assert rows == {"ciuser": {"value": "old"}, "nameserver": {"value": "1.1.1.1"}}
