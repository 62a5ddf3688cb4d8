"""Addresses over a fleet's life: taken once, kept, and given back when nobody uses them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.report import Remark
from tests.lab import Lab
from tests.laws.fleets import POOLS, Spec, fleet_files

Make = Callable[[dict[str, Spec]], Lab]
V4: Spec = {"ipv4": {"pool": "public-v4"}}


@pytest.fixture
def lab(tmp_path: Path) -> Make:
    """A lab with these VMs, settled."""

    def made(vms: dict[str, Spec]) -> Lab:
        here = Lab(tmp_path, fleet_files(vms))
        here.settle()
        return here

    return made


def leased(lab: Lab, key: str) -> list[str]:
    with lab.store() as store:
        return [one.address for one in store.leases.of(key)]


def config(lab: Lab, vmid: int = 100) -> dict[str, str]:
    return {key: str(value) for key, value in lab.world.vms[vmid].config.items()}


def test_a_vm_that_appears_in_the_specs_is_made_by_the_next_run(tmp_path: Path) -> None:
    """DEP-01, DEP-09, DEP-10: writing the spec calls nothing; the next tick deploys it."""
    here = Lab(tmp_path, fleet_files({"one": {}}))
    here.settle()
    calls = len(here.wire.calls)
    here.write(fleet_files({"one": {}, "two": {}}))
    assert len(here.wire.calls) == calls
    assert here.run().ready == 2


def test_editing_a_pool_changes_no_address_that_was_given(lab: Make) -> None:
    """IP-05, DEP-11: VMs keep what they have; new ones take from the pool as it is now."""
    here = lab({"one": {"nics": {"net0": V4}}})
    assert leased(here, "one") == ["203.0.113.2"]
    moved = POOLS.replace("dns:", "start: 203.0.113.100, dns:")
    files = fleet_files({"one": {"nics": {"net0": V4}}, "two": {"nics": {"net0": V4}}})
    here.write({**files, "pools/public.yaml": moved})
    here.settle()
    assert leased(here, "one") == ["203.0.113.2"]
    assert leased(here, "two") == ["203.0.113.100"]
    assert config(here)["ipconfig0"].startswith("ip=203.0.113.2/24")


def test_only_the_first_address_of_a_nic_goes_to_the_guest(lab: Make) -> None:
    """IP-08, FW-02, CI-01: the others are leased and allowed, but not configured."""
    nic = {"ipv4": {"pool": "public-v4", "count": 3}}
    here = lab({"one": {"nics": {"net0": nic}, "firewall": {"anti_spoofing": True}}})
    assert leased(here, "one") == ["203.0.113.2", "203.0.113.3", "203.0.113.4"]
    assert config(here)["ipconfig0"] == "ip=203.0.113.2/24,gw=203.0.113.1"
    sets = here.shot()["vms"][100]["firewall"]["ipsets"]
    assert [row["cidr"] for row in sets["ipfilter-net0"]] == leased(here, "one")


def test_a_vm_may_have_ipv6_only(lab: Make) -> None:
    """IP-09: a count of 0 of a family is none of it."""
    nic = {"ipv4": {"pool": "public-v4", "count": 0}, "ipv6": {"pool": "public-v6"}}
    here = lab({"one": {"nics": {"net0": nic}}})
    assert leased(here, "one") == ["2001:db8:100::2"]
    assert config(here)["ipconfig0"] == "ip6=2001:db8:100::2/64,gw6=2001:db8:100::1"


def test_dhcp_has_no_lease_and_no_set(lab: Make) -> None:
    """IP-10: only bridge, VLAN and rate are managed; no rule and no set for that family."""
    nic = {"bridge": "vmbr0", "vlan": 7, "rate": "1MB/s", "ipv4": "dhcp"}
    here = lab({"one": {"nics": {"net0": nic}, "firewall": {"anti_spoofing": True}}})
    assert leased(here, "one") == []
    assert config(here)["ipconfig0"] == "ip=dhcp"
    assert "tag=7" in config(here)["net0"] and "rate=1" in config(here)["net0"]
    assert here.shot()["vms"][100]["firewall"]["ipsets"] == {}


def test_lowering_the_count_gives_back_the_highest(lab: Make) -> None:
    """C-26, IP-11: freed once nothing uses it, and then somebody else's."""
    nic = {"ipv4": {"pool": "public-v4", "count": 3}}
    firewall = {"anti_spoofing": True}
    here = lab({"one": {"nics": {"net0": nic}, "firewall": firewall}})
    here.write(fleet_files({"one": {"nics": {"net0": V4}, "firewall": firewall}}))
    here.clock.sleep(3600.0)
    here.settle()
    assert leased(here, "one") == ["203.0.113.2"]
    sets = here.shot()["vms"][100]["firewall"]["ipsets"]
    assert [row["cidr"] for row in sets["ipfilter-net0"]] == ["203.0.113.2"]
    two = fleet_files({"one": {"nics": {"net0": V4}}, "two": {"nics": {"net0": V4}}})
    here.write(two)
    here.settle()
    assert leased(here, "two") == ["203.0.113.5"]
    with here.store() as store:
        assert set(store.quarantine.all()) == {"203.0.113.3", "203.0.113.4"}
    here.clock.sleep(86400.0)
    here.write(fleet_files({**{key: {"nics": {"net0": V4}} for key in ("one", "two", "three")}}))
    here.settle()
    assert leased(here, "three") == ["203.0.113.3"]


def test_an_address_in_use_by_a_foreign_vm_is_not_leased(tmp_path: Path) -> None:
    """IP-11: no config that was seen has it; a run says which VM does."""
    here = Lab(tmp_path, fleet_files({"one": {"nics": {"net0": V4}}}))
    mine = {"vmid": 700, "name": "theirs", "memory": 512, "ipconfig0": "ip=203.0.113.2/24"}
    here.ask("POST", "/nodes/pve1/qemu", **mine)
    here.clock.sleep(60.0)
    here.run()
    told = [one.text for one in here.told.events if isinstance(one, Remark)]
    assert [text for text in told if "AddressInUse" in text] == [
        "AddressInUse: 203.0.113.2 of pool public-v4 is not leased: it is in use, by vm 700 of "
        "cluster demo (ipconfig0); exclude it, or take it off that VM"
    ]
    here.settle()
    assert leased(here, "one") == ["203.0.113.3"]


def test_a_foreign_vm_is_read_once_and_only_when_something_is_leased(lab: Make) -> None:
    here = lab({"one": {"nics": {"net0": V4}}})
    here.ask("POST", "/nodes/pve1/qemu", vmid=700, name="theirs", memory=512)
    here.clock.sleep(60.0)

    def reads() -> int:
        here.run()
        of = [one for one in here.wire.of(here.wire.run) if "/qemu/700/" in one.path]
        return len(of)

    assert reads() == 0
    here.write(fleet_files({key: {"nics": {"net0": V4}} for key in ("one", "two")}))
    assert reads() == 1
    here.settle()
    here.write(fleet_files({key: {"nics": {"net0": V4}} for key in ("one", "two", "three")}))
    assert reads() == 0


def test_a_nic_that_moves_to_another_pool_gets_its_address_there(lab: Make) -> None:
    """IP-05: the old one is held, and let in, until the guest has booted without it."""
    firewall = {"anti_spoofing": True}
    here = lab({"one": {"nics": {"net0": V4}, "firewall": firewall, "node": "pve1"}})
    more = "other-v4: {bridge: vmbr0, vlan: 100, network: 198.51.100.0/24}\n"
    nic = {"ipv4": {"pool": "other-v4"}}
    files = fleet_files({"one": {"nics": {"net0": nic}, "firewall": firewall, "node": "pve1"}})
    here.write({**files, "pools/public.yaml": POOLS + more})
    here.clock.sleep(60.0)
    here.settle()
    assert leased(here, "one") == ["198.51.100.1", "203.0.113.2"]
    assert config(here)["ipconfig0"].startswith("ip=198.51.100.1/24")
    sets = here.shot()["vms"][100]["firewall"]["ipsets"]["ipfilter-net0"]
    assert sorted(row["cidr"] for row in sets) == ["198.51.100.1", "203.0.113.2"]
    for verb in ("stop", "start"):
        here.ask("POST", f"/nodes/pve1/qemu/100/status/{verb}")
        here.clock.sleep(30.0)
    here.settle()
    assert leased(here, "one") == ["198.51.100.1"]
    sets = here.shot()["vms"][100]["firewall"]["ipsets"]["ipfilter-net0"]
    assert [row["cidr"] for row in sets] == ["198.51.100.1"]
    with here.store() as store:
        assert set(store.quarantine.all()) == {"203.0.113.2"} and store.intents.of("one") == {}


def test_what_is_changed_by_hand_is_leased_configured_and_let_in_again(lab: Make) -> None:
    """CP-02, FW-02: lease = ipconfig = ipfilter set, whichever of them somebody broke."""
    firewall = {"anti_spoofing": True}
    here = lab({"one": {"nics": {"net0": V4}, "firewall": firewall, "node": "pve1"}})
    base = "/nodes/pve1/qemu/100"
    here.ask("PUT", f"{base}/config", ipconfig0="ip=203.0.113.77/24")
    here.clock.sleep(60.0)
    here.settle()
    assert config(here)["ipconfig0"] == "ip=203.0.113.2/24,gw=203.0.113.1"
    here.ask("DELETE", f"{base}/firewall/ipset/ipfilter-net0/203.0.113.2")
    here.ask("POST", f"{base}/firewall/ipset/ipfilter-net0", cidr="203.0.113.77")
    here.clock.sleep(900.0)
    here.settle(apart=900.0)
    sets = here.shot()["vms"][100]["firewall"]["ipsets"]["ipfilter-net0"]
    assert [row["cidr"] for row in sets] == leased(here, "one") == ["203.0.113.2"]


def test_one_storage_name_stands_for_a_storage_on_every_node(lab: Make) -> None:
    """CI-06, DEP-13, DEP-20: each VM's disks lie on its own node's `local-lvm`."""
    disks = {"scsi1": {"size": "2GiB", "storage": "local-lvm"}}
    nodes = ("pve1", "pve2", "pve3")
    here = lab({f"vm-{node}": {"node": node, "disks": disks} for node in nodes})
    for vmid, node in enumerate(nodes, start=100):
        assert here.world.vms[vmid].node == node
        mine = [one for one in here.world.volumes.values() if one.vmid == vmid]
        assert {(one.storage, one.node) for one in mine} == {("local-lvm", node)}
        assert len(mine) == 3


def test_a_name_is_rolled_once(lab: Make) -> None:
    """CI-03: the macro's answer is stored, and no later run rolls it again."""
    here = lab({"one": {"name": "{{ random_letter_6 }}-{{ year }}"}})
    name = config(here)["name"]
    here.clock.sleep(3 * 365 * 86400.0)
    here.settle()
    assert config(here)["name"] == name and name.endswith("-2027")


def test_a_drawn_user_and_password_are_kept(lab: Make) -> None:
    """CI-02, C-17: drawn once, written once, and never in what a run says."""
    cloudinit = {"user": "random", "password": "generate"}
    here = lab({"one": {"cloudinit": cloudinit}})
    user, password = config(here)["ciuser"], config(here)["cipassword"]
    here.clock.sleep(86400.0)
    here.settle()
    assert (config(here)["ciuser"], config(here)["cipassword"]) == (user, password)
    with here.store() as store:
        secret = store.vault.reveal("one", "password")
    assert secret is not None and len(secret.reveal()) == 20
    assert secret.reveal() not in repr(here.told.events) + repr(here.wire.calls)


def test_fifty_runs_of_a_vm_are_kept(lab: Make) -> None:
    """LOG-01: the 50 most recent runs in which something was done to it."""
    here = lab({"one": {"tags": ["t0"]}})
    for number in range(1, 54):
        here.write(fleet_files({"one": {"tags": [f"t{number}"]}}))
        here.clock.sleep(60.0)
        assert here.run().changed == 1
    with here.store() as store:
        runs = store.journal.vm_runs("one", 100)
    assert len(runs) == 50
    assert {(one.action, one.result) for one in runs} == {("change", "success")}
    assert all(one.finished_at and one.steps for one in runs)
