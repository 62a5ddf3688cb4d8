"""Fleets for the laws: one VM with every feature, and random ones."""

from collections.abc import Mapping
from typing import Any

import yaml
from hypothesis import strategies as st

Spec = dict[str, Any]
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWl ops@example"
FLEET = """\
fleet: law
clusters: {demo: {simulated: {nodes: 3}}}
defaults: {cluster: demo, template: debian-12, storage: local-lvm, domain: example.net}
templates:
  debian-12: {demo: [9000, 9001, 9002]}
  ubuntu-24: {demo: [9100]}
limits: {workers: 1}
"""
POOLS = """\
public-v4:
  {bridge: vmbr0, vlan: 100, network: 203.0.113.0/24, gateway: 203.0.113.1, dns: [203.0.113.1]}
public-v6: {bridge: vmbr0, vlan: 100, network: 2001:db8:100::/64, gateway: 2001:db8:100::1}
"""
EVERYTHING: Spec = {
    "node": "pve2",
    "cpu": {"cores": 4, "limit": 1.5, "units": 200},
    "memory": "4GiB",
    "balloon": "1GiB",
    "disks": {
        "system": {
            "size": "10GiB",
            "discard": True,
            "ssd": True,
            "iops_rd": 1000,
            "iops_wr": 500,
            "mbps_rd": 100,
        },
        "scsi1": {"size": "5GiB", "storage": "local-lvm", "iops_rd": 300, "backup": False},
    },
    "nics": {
        "net0": {
            "rate": "12.5MB/s",
            "ipv4": {"pool": "public-v4", "count": 2},
            "ipv6": {"pool": "public-v6"},
        },
        "net1": {"ipv4": {"pool": "public-v4"}},
    },
    "firewall": {
        "policy_in": "DROP",
        "anti_spoofing": True,
        "ipfilter": True,
        "rules": [
            {"in": "ACCEPT", "proto": "tcp", "dport": 22, "comment": "ssh"},
            {"in": "ACCEPT", "macro": "Ping"},
            {"out": "DROP", "dest": "10.0.0.0/8"},
        ],
    },
    "cloudinit": {"user": "ops", "password": "generate", "keys": [KEY], "search": "example.net"},
    "tags": ["production", "web"],
    "description": "Everything at once, 100 % of it.",
    "pool": "customers",
    "agent": True,
    "onboot": True,
    "startup": {"order": 2, "up": 30},
}


def fleet_files(vms: Mapping[str, Spec]) -> dict[str, str]:
    """The files of a fleet of these VMs."""
    text = yaml.safe_dump(dict(vms), sort_keys=False)
    return {"fleet.yaml": FLEET, "pools/public.yaml": POOLS, "vms/all.yaml": text}


def everything(clone: str = "linked") -> dict[str, str]:
    """One VM that uses every feature, as a linked or a full clone."""
    return fleet_files({"all-1": {"clone": clone, **EVERYTHING}})


def _nic(rate: str | None, v4: int, v6: int) -> Spec:
    nic: Spec = {"ipv4": {"pool": "public-v4", "count": v4}}
    if v6:
        nic["ipv6"] = {"pool": "public-v6", "count": v6}
    return {**nic, "rate": rate} if rate else nic


_sizes = st.sampled_from(["4GiB", "10GiB", "12.5GiB"])
_disk = st.fixed_dictionaries(
    {"size": _sizes},
    optional={
        "iops_rd": st.sampled_from([0, 300]),
        "mbps_wr": st.sampled_from([0, 50, 12.5]),
        "discard": st.booleans(),
        "backup": st.booleans(),
    },
)
_nics = st.builds(
    _nic, st.sampled_from([None, "12.5MB/s", "1MB/s"]), st.integers(0, 3), st.integers(0, 2)
)
_rules = st.lists(
    st.sampled_from(
        [
            {"in": "ACCEPT", "proto": "tcp", "dport": 22, "comment": "ssh"},
            {"in": "ACCEPT", "proto": "tcp", "dport": "80,443", "source": "10.0.0.0/8"},
            {"in": "DROP", "macro": "Ping", "log": "info"},
            {"out": "REJECT", "dest": "192.0.2.0/24", "enable": False},
        ]
    ),
    max_size=4,
)
_firewall = st.fixed_dictionaries(
    {"anti_spoofing": st.booleans(), "enable": st.booleans()},
    optional={"policy_in": st.sampled_from(["DROP", "ACCEPT"]), "rules": _rules},
)
_cloudinit = st.fixed_dictionaries(
    {"user": st.sampled_from(["ops", "random"])},
    optional={
        "password": st.just("generate"),
        "keys": st.just([KEY]),
        "dns": st.just(["192.0.2.53"]),
        "upgrade": st.booleans(),
    },
)
specs: st.SearchStrategy[Spec] = st.fixed_dictionaries(
    {
        "node": st.sampled_from(["pve1", "pve2", "pve3"]),
        "template": st.sampled_from(["debian-12", "ubuntu-24"]),
        "clone": st.sampled_from(["linked", "full"]),
    },
    optional={
        "cpu": st.fixed_dictionaries({"cores": st.integers(1, 8)}),
        "memory": st.sampled_from(["1GiB", "2GiB", "3GiB"]),
        "disks": st.fixed_dictionaries({}, optional={"system": _disk, "scsi1": _disk}),
        "nics": st.fixed_dictionaries({"net0": _nics}, optional={"net1": _nics}),
        "bios": st.sampled_from(["seabios", "ovmf"]),
        "tpm": st.just({"version": "v2.0"}),
        "vga": st.sampled_from(["serial0", "std"]),
        "iso": st.just("none"),
        "firewall": _firewall,
        "cloudinit": _cloudinit,
        "tags": st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
        "description": st.sampled_from(["", "a shop", "two\nlines, 50 %", "ünï"]),
        "pool": st.just("customers"),
        "agent": st.booleans(),
        "onboot": st.booleans(),
        "power": st.sampled_from(["running", "stopped", "unmanaged"]),
    },
)
"""Any sound spec; the node is given, so that placement does not depend on who came first."""


def fleets(most: int = 3) -> st.SearchStrategy[dict[str, Spec]]:
    """Up to `most` random VMs by key."""
    return st.lists(specs, min_size=1, max_size=most).map(
        lambda found: {f"vm-{number}": spec for number, spec in enumerate(found)}
    )
