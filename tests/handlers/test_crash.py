"""A process that dies at any call, answered or not, ends in the same world when it is run again."""

from dataclasses import dataclass
from typing import Any

import pytest

from desired.spec import VMSpec
from state.api import Json
from state.change import Call
from state.memory import Lease
from tests.handlers.stage import KEY, Stage, spec_of

DRAWN = ("smbios1", "vmgenid", "meta", "digest")
LEASES = (
    Lease(KEY, "net0", "ipv4", 0, "203.0.113.7", 24, "a", "203.0.113.1", ("192.0.2.53",)),
    Lease(KEY, "net1", "ipv4", 0, "203.0.113.8", 24, "a", "203.0.113.1"),
    Lease(KEY, "net0", "ipv6", 0, "2001:db8::7", 64, "b", "2001:db8::1"),
)


class Died(Exception):
    """The process is no more."""


@dataclass
class Mortal(Stage):
    """Dies once, at its nth write: before it goes out, or after its effect."""

    life: int = -1
    heard: bool = False

    def send(self, call: Call, *, heavy: bool = False) -> Json:
        dies = len(self.calls) == self.life
        if dies and not self.heard:
            self.life = -1
            raise Died
        answer = super().send(call, heavy=heavy)
        if dies:
            self.life = -1
            raise Died
        return answer


def full_spec() -> VMSpec:
    """Every feature that this package writes."""
    return spec_of(
        cpu={"cores": 4, "type": "host"},
        memory="4GiB",
        balloon="1GiB",
        disks={
            "system": {"size": "10GiB", "iops_rd": 500},
            "scsi1": {"size": "5GiB", "storage": "shared", "ssd": True, "mbps_wr": 100},
        },
        nics={
            "net0": {"vlan": 100, "ipv4": {"pool": "a"}, "ipv6": {"pool": "b"}},
            "net1": {"bridge": "vmbr1", "ipv4": {"pool": "a"}},
        },
        firewall={
            "policy_in": "REJECT",
            "rules": [
                {"in": "ACCEPT", "proto": "tcp", "dport": 22},
                {"in": "ACCEPT", "proto": "icmp"},
                {"out": "DROP", "dest": "192.0.2.0/24"},
            ],
        },
        bios="ovmf",
        efi={"pre_enrolled_keys": True, "storage": "shared"},
        tpm={},
        vga="serial0",
        rng={"max_bytes": 1024},
        virtiofs={"virtiofs0": "data"},
        iso="local:iso/a.iso",
        cloudinit={
            "user": "admin",
            "password": "generate",
            "search": "example.net",
            "custom": {"user": {"volume": "local:snippets/u.yaml", "sha256": "a" * 64}},
        },
        tags=["web"],
        description="Shop",
        pool="customers",
        onboot=True,
    )


def world(stage: Stage) -> dict[str, Any]:
    """What the VM is, without what Proxmox draws at random."""
    seen = stage.look()
    assert seen.config is not None and seen.firewall is not None and seen.row is not None
    raw = {key: text for key, text in seen.config.live.raw.items() if key not in DRAWN}
    nics = {slot: str(raw.pop(slot)).partition(",")[2] for slot in seen.config.live.nics}
    rules = [{**rule.fields, "pos": rule.pos} for rule in seen.firewall.rules]
    sets = seen.firewall.ipsets
    return {
        "config": raw,
        "nics": nics,
        "pending": seen.config.pending,
        "firewall": (seen.firewall.options, rules, sets),
        "row": (seen.row.node, seen.row.status, seen.row.pool),
        "vms": sorted(seen.cluster.vms),
    }


def deployed(stage: Stage) -> Stage:
    stage.lease(*LEASES)
    stage.settle(full_spec(), looks=20)
    return stage


UNBROKEN = deployed(Stage())


def test_a_vm_with_every_feature_takes_the_fewest_writes() -> None:
    writes = [f"{call.method} {call.path.rpartition('/142/')[2]}" for call in UNBROKEN.calls]
    assert writes == [
        "POST /nodes/pve1/qemu/9000/clone",
        "PUT config",
        "PUT resize",
        "POST firewall/rules",
        "POST firewall/rules",
        "POST firewall/rules",
        "POST firewall/ipset",
        "POST firewall/ipset/ipfilter-net0",
        "POST firewall/ipset/ipfilter-net0",
        "POST firewall/ipset",
        "POST firewall/ipset/ipfilter-net1",
        "PUT firewall/options",
        "PUT cloudinit",
        "PUT /pools",
        "POST config",
        "POST config",
        "POST config",
        "POST status/start",
    ]


@pytest.mark.parametrize("heard", [False, True], ids=["unheard", "heard"])
@pytest.mark.parametrize("call", range(len(UNBROKEN.calls)))
def test_dep_08_a_crash_at_any_call_ends_in_the_same_world(call: int, heard: bool) -> None:
    stage = Mortal(life=call, heard=heard)
    with pytest.raises(Died):
        deployed(stage)
    stage.clock.pass_by(30)
    assert world(deployed(stage)) == world(UNBROKEN)
    clones = [one for one in stage.calls if one.path.endswith("/clone")]
    assert len(clones) == 1
