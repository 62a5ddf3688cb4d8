"""What somebody changes by hand: what is ours comes back, what is theirs stays."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab import Lab
from tests.laws.effort import few, many
from tests.laws.fleets import everything

HOUR = 3600.0
VM = "/nodes/pve2/qemu/100"
Edit = Callable[[Lab], object]


def config(**params: object) -> Edit:
    return lambda lab: lab.ask("PUT", f"{VM}/config", **params)


def call(method: str, path: str, **params: object) -> Edit:
    return lambda lab: lab.ask(method, f"{VM}/{path}", **params)


def nic(text: str) -> Edit:
    """Change our NIC, its MAC kept."""

    def edit(lab: Lab) -> object:
        mac = str(lab.world.vms[100].config["net0"]).split(",")[0]
        return lab.ask("PUT", f"{VM}/config", net0=f"{mac},{text}")

    return edit


OURS: dict[str, Edit] = {
    "cores": config(cores=1),
    "memory": config(memory="2048"),
    "units": config(cpuunits=1000),
    "limit": config(delete="cpulimit"),
    "name": config(name="somebody-else"),
    "description": config(description="mine now"),
    "no description": config(delete="description"),
    "tags": config(tags="production"),
    "no tags": config(delete="tags"),
    "user": config(ciuser="root"),
    "keys": config(delete="sshkeys"),
    "addresses": config(ipconfig0="ip=dhcp"),
    "name servers": config(nameserver="192.0.2.1"),
    "rate": nic("bridge=vmbr0,tag=100,firewall=1"),
    "bridge": nic("bridge=vmbr1,firewall=1,rate=12.5"),
    "no firewall": nic("bridge=vmbr0,tag=100,rate=12.5"),
    "throttle": config(scsi0="local-lvm:vm-100-disk-0,discard=on,ssd=1,iops_rd=9999,size=10G"),
    "onboot": config(onboot=0),
    "startup": config(delete="startup"),
    "rule": call("DELETE", "firewall/rules/1"),
    "rule edited": call("PUT", "firewall/rules/0", dport="2222"),
    "rule moved": call("PUT", "firewall/rules/0", moveto=3),
    "options": call("PUT", "firewall/options", policy_in="ACCEPT", macfilter=0),
    "set entry": call("DELETE", "firewall/ipset/ipfilter-net0/203.0.113.2"),
    "set intruder": call("POST", "firewall/ipset/ipfilter-net0", cidr="198.51.100.7"),
    "pool": lambda lab: lab.ask("PUT", "/pools", poolid="customers", vms="100", delete=1),
}
"""Changes to what the spec says; the last look's world comes back."""

THEIRS: dict[str, Edit] = {
    "tag": config(tags="production;web;reconcile-law;backed-up"),
    "nic": config(net7="virtio=BC:24:11:00:00:07,bridge=vmbr1"),
    "disk": config(scsi9="local-lvm:2"),
    "vga": config(vga="std"),
    "rule": call("POST", "firewall/rules", type="in", action="ACCEPT", proto="udp", dport="53"),
    "rule below": call("POST", "firewall/rules", type="out", action="DROP", pos=3, enable=1),
    "set": call("POST", "firewall/ipset", name="friends"),
    "alias": call("POST", "firewall/aliases", name="office", cidr="198.51.100.0/24"),
    "snapshot": call("POST", "snapshot", snapname="before"),
}
"""Additions of others; they outlive whatever we repair."""


def mended(theirs: list[str], ours: list[str]) -> Lab:
    """Let others add theirs, then spoil ours: the runs after it bring back the world between."""
    with TemporaryDirectory() as folder:
        lab = Lab(Path(folder), everything())
        lab.settle()
        edit(lab, [THEIRS[name] for name in theirs])
        between = lab.shot()
        edit(lab, [OURS[name] for name in ours])
        assert lab.shot() == between
        return lab


def edit(lab: Lab, edits: list[Edit]) -> None:
    """Edit by hand, and run until the rotation has been at the VM and nothing is left to do."""
    for one in edits:
        one(lab)
        lab.clock.sleep(1.0)
    for _ in range(2):
        lab.clock.sleep(HOUR)
        lab.settle(apart=HOUR)


@pytest.mark.parametrize("name", sorted(OURS))
def test_what_is_ours_comes_back(name: str) -> None:
    """DEP-05, FW-02, CI-01: one edit by hand, then the world as it was."""
    lab = mended([], [name])
    assert any(sent.is_write for sent in lab.wire.calls if sent.run > 2)


def test_what_is_theirs_stays() -> None:
    """DEP-21, FW-04: tags, NICs, disks, rules, sets, aliases, options and snapshots of others."""
    lab = mended(sorted(THEIRS), [])
    vm = lab.world.vms[100]
    assert "backed-up" in str(vm.config["tags"])
    assert {"net7", "scsi9", "vga"} <= vm.config.keys() | vm.pending.keys()
    firewall = lab.shot()["vms"][100]["firewall"]
    comments = ["comment" in rule for rule in firewall["rules"]]
    assert comments == [True, True, True, False, False]
    assert "friends" in firewall["ipsets"]
    assert "before" in vm.snapshots


def subject(name: str) -> str:
    """What an edit is about: two edits of rules by position would hit the wrong ones."""
    return name.split()[0]


theirs = st.lists(st.sampled_from(sorted(THEIRS.keys() - {"tag"})), unique=True)
"""Without the tag, which an edit of all tags takes away with ours."""


@few
@given(theirs, st.lists(st.sampled_from(sorted(OURS)), min_size=1, max_size=5, unique_by=subject))
def test_ours_comes_back_and_theirs_stays(theirs: list[str], ours: list[str]) -> None:
    mended(theirs, ours)


@pytest.mark.nightly
@many
@given(theirs, st.lists(st.sampled_from(sorted(OURS)), min_size=1, unique_by=subject))
def test_ours_always_comes_back_and_theirs_always_stays(theirs: list[str], ours: list[str]) -> None:
    mended(theirs, ours)
