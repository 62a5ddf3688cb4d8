"""Whatever a VM is, adopting it changes nothing but its marks, or says why it is left out; and a
kill at any point of it ends in the same world."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adoption import FILES, applied, configs, make, wrote
from tests.lab import Killed, Lab
from tests.laws.effort import few, many
from tests.laws.fleets import Spec, fleet_files, fleets
from tests.laws.test_crash import commits, written
from tests.portrait import Portrait
from tests.stores import lose, where

_texts = st.sampled_from(["", "a shop", "two\nlines, 50 %", "{{ name }}", "ünï: [x]", "# no"])
_address = st.sampled_from(
    [
        "ip=dhcp",
        "ip=203.0.113.9/24,gw=203.0.113.1",
        "ip=203.0.113.9/24",
        "ip=10.1.2.3/32,gw=9.9.9.9",
        "ip=10.1.2.3/24,gw=10.1.2.1,ip6=auto",
        "ip6=2001:db8:100::9/64",
        "ip=192.0.2.4/31",
    ]
)
_net = st.sampled_from(
    [
        "virtio,bridge=vmbr0",
        "e1000,bridge=vmbr0,tag=100",
        "e1000e,bridge=vmbr0,rate=3.5",
        "virtio,bridge=vmbr0,tag=100,firewall=1",
        "virtio,bridge=vmbr0,link_down=1,mtu=1400",
    ]
)
_disk = st.sampled_from(
    [
        "local-lvm:4",
        "local-lvm:1,mbps_rd=10,cache=writeback",
        "local-lvm:2,iothread=1,ssd=1",
        "local-lvm:1,mbps=7,backup=0",
        "local-lvm:1,iops_rd=100,iops_rd_max=300,discard=on",
    ]
)
foreign: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"scsi0": _disk, "name": st.sampled_from(["web", "a.b", "x-1", "UP", "8-ball"])},
    optional={
        "scsi1": _disk,
        "virtio3": st.sampled_from(["local-lvm:1", "local-lvm:1,backup=0"]),
        "net0": _net,
        "net3": _net,
        "ipconfig0": _address,
        "ipconfig3": _address,
        "cores": st.sampled_from(["1", "6"]),
        "sockets": st.just("2"),
        "cpu": st.sampled_from(["host", "x86-64-v2-AES", "host,flags=+aes"]),
        "cpuunits": st.just("300"),
        "memory": st.sampled_from(["16", "512", "3000"]),
        "balloon": st.sampled_from(["0", "512"]),
        "bios": st.sampled_from(["seabios", "ovmf"]),
        "machine": st.sampled_from(["q35", "pc-i440fx-8.1", "pc"]),
        "ostype": st.sampled_from(["l26", "win11", "other"]),
        "args": st.just("-device x"),
        "hostpci0": st.just("0000:01:00.0,pcie=0"),
        "serial0": st.just("socket"),
        "vga": st.sampled_from(["serial0", "std,memory=32"]),
        "description": _texts,
        "tags": st.sampled_from(["a", "a;B;c", "x_y"]),
        "onboot": st.booleans(),
        "protection": st.booleans(),
        "agent": st.sampled_from(["1", "enabled=1,fstrim_cloned_disks=1"]),
        "startup": st.sampled_from(["order=3", "up=20"]),
        "ciuser": st.sampled_from(["ops", "random"]),
        "cipassword": st.just("secret"),
        "nameserver": st.sampled_from(["192.0.2.53", "192.0.2.53 2001:db8::53"]),
        "searchdomain": st.just("example.net"),
        "hotplug": st.sampled_from(["0", "disk,network"]),
        "tablet": st.booleans(),
        "localtime": st.just("1"),
        "numa": st.just("1"),
        "boot": st.sampled_from(["order=scsi0", "order=net0;scsi0", "order=scsi0;ide2"]),
        "ide2": st.sampled_from(["none,media=cdrom", "local-lvm:cloudinit"]),
        "scsihw": st.sampled_from(["virtio-scsi-single", "lsi"]),
    },
)
"""Any VM as another person may have made it."""

DEFAULTS = """\
defaults:
  cluster: demo
  template: debian-12
  storage: local-lvm
  memory: 1GiB
  onboot: true
  tags: [ours]
  agent: true
  disks: {system: {size: 10GiB, mbps_rd: 50}, scsi1: {size: 1GiB}}
  nics: {net0: {vlan: 7, ipv4: {pool: public-v4}}}
  cloudinit: {user: ops, password: generate}
  firewall: {policy_in: DROP}
  guard: snapshot
"""
"""What an adopted VM must not inherit."""


def holds(lab: Lab) -> None:
    """Every VM is adopted as it is, or left out with the reason; only marks are written."""
    before = configs(lab)
    found = wrote(lab)
    assert found.problems == ()
    assert all(one.refused for one in found.left_out)
    taken = {one.candidate.row.vmid for one in found.taken}
    again = wrote(lab)
    assert again.texts == found.texts
    if not taken:
        return
    dry = lab.dry()
    assert dry.errors == () and {one.kind for one in dry.vms} <= {"unchanged"}
    adoption = applied(lab)
    assert {one.candidate.row.vmid for one in adoption.taken} == taken
    writes = lab.wire.writes(lab.wire.run)
    assert all(one.params.keys() <= {"description", "tags", "digest"} for one in writes)
    assert len(writes) == len(taken)
    assert lab.run().writes == 0
    after = configs(lab)
    assert [(vmid, after[vmid]) for vmid in after if after[vmid] != before[vmid]] == []


def _foreign(config: dict[str, Any], defaults: str) -> None:
    with TemporaryDirectory() as folder:
        lab = Lab(Path(folder), FILES)
        if defaults:
            kept = [row for row in FILES["fleet.yaml"].splitlines() if "defaults:" not in row]
            lab.write({"fleet.yaml": "\n".join(kept) + "\n" + defaults})
        answer = lab.simulator.call("POST", "/nodes/pve1/qemu", {"vmid": 300, **config})
        lab.clock.sleep(60)
        if answer.ok:
            lab.ask("GET", "/version")
            holds(lab)


@few
@given(st.lists(foreign, min_size=2, max_size=2), st.sampled_from(["", DEFAULTS]))
def test_any_vm_is_adopted_as_it_is_or_left_out_with_the_reason(
    configs_: list[dict[str, Any]], defaults: str
) -> None:
    for config in configs_:
        _foreign(config, defaults)


@pytest.mark.nightly
@many
@given(foreign, st.sampled_from(["", DEFAULTS]))
def test_any_vm_of_many_is(config: dict[str, Any], defaults: str) -> None:
    _foreign(config, defaults)


def orphaned(folder: Path, vms: dict[str, Spec]) -> Lab:
    """VMs that a fleet made whose store and marks are lost: now they are nobody's."""
    lab = Lab(folder, fleet_files(vms))
    lab.settle()
    for vmid, config in configs(lab).items():
        node, template = lab.world.vms[vmid].node, "template" in config
        if not template:
            plain = {"description": config["description"], "tags": config["tags"]}
            lab.ask("PUT", f"/nodes/{node}/qemu/{vmid}/config", **plain)
    lose(lab.database)
    lab.where = where(lab.database)
    (lab.fleet / "vms" / "all.yaml").unlink()
    return lab


@few
@given(fleets(2))
def test_what_this_program_made_is_adopted_as_it_is_or_left_out(vms: dict[str, Spec]) -> None:
    with TemporaryDirectory() as folder:
        holds(orphaned(Path(folder), vms))


def made(folder: Path) -> Lab:
    """Two VMs with specs written, ready to be taken over."""
    lab = Lab(folder, FILES)
    for vmid in (301, 302):
        net = {"net0": "virtio,bridge=vmbr0,tag=100"}
        make(lab, vmid, **net, ipconfig0=f"ip=203.0.113.{vmid - 250}/24,gw=203.0.113.1", tags="a")
    wrote(lab)
    return lab


@cache
def undisturbed() -> tuple[list[bool], int, Portrait, Any]:
    """Which calls write, transactions, the end, and the writes of an adoption that nobody kills."""
    with TemporaryDirectory() as folder:
        lab = made(Path(folder))
        with commits() as counted:
            applied(lab)
        sent = lab.wire.of(lab.wire.run)
        calls = [one.is_write for one in sent]
        lab.settle()
        return calls, counted[0], lab.shot(), written(lab.wire.writes())


def ends_the_same(lab: Lab) -> None:
    *_, end, writes = undisturbed()
    lab.clock.sleep(60)
    applied(lab)
    lab.settle()
    assert lab.shot() == end
    assert written(lab.wire.writes()) == writes


def test_killed_after_any_call_it_ends_in_the_same_world(tmp_path: Path) -> None:
    calls, *_ = undisturbed()
    for number in range(len(calls)):
        lab = made(tmp_path / str(number))
        with pytest.raises(Killed):
            applied(lab, after=number)
        ends_the_same(lab)


def test_killed_before_any_write_it_ends_in_the_same_world(tmp_path: Path) -> None:
    calls, *_ = undisturbed()
    for number in (index for index, writes in enumerate(calls) if writes):
        lab = made(tmp_path / str(number))
        with pytest.raises(Killed):
            applied(lab, before=number)
        ends_the_same(lab)


@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.nightly)])
def test_killed_before_a_commit_it_ends_in_the_same_world(tmp_path: Path, step: int) -> None:
    _, made_commits, *_ = undisturbed()
    for number in range(0, made_commits, step):
        lab = made(tmp_path / str(number))
        with pytest.raises(Killed), commits(number):
            applied(lab)
        ends_the_same(lab)


def test_killed_after_the_binding_the_next_run_marks_it(tmp_path: Path) -> None:
    lab = made(tmp_path)
    *_, end, writes = undisturbed()
    with pytest.raises(Killed):
        applied(lab, before=undisturbed()[0].index(True))
    lab.clock.sleep(60)
    lab.settle()
    assert lab.shot()["vms"] == end["vms"]
    assert written(lab.wire.writes()) == writes
