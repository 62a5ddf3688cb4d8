"""Laws of the handlers, on the simulated cluster: what is applied no longer differs."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from state.memory import Lease
from tests.handlers.stage import KEY, Stage, spec_of

KEYS = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHHxZ1Q6u0hBzR0q3mX1w8ZyIhGd5YqLzqkq3T4m8Q2x me@home",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBUZBPLpUlXmuY6VWNc7w5wYFv0CV1ZpZlzZAEbBZ0Pd you",
]
LEASES = (
    Lease(KEY, "net0", "ipv4", 0, "203.0.113.7", 24, "a", "203.0.113.1", ("192.0.2.53",)),
    Lease(KEY, "net0", "ipv4", 1, "203.0.113.8", 24, "a", "203.0.113.1"),
    Lease(KEY, "net1", "ipv6", 0, "2001:db8::7", 64, "b", "2001:db8::1", ("2001:db8::53",)),
)


def some(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A part of a spec that mentions any of its fields."""
    return st.fixed_dictionaries({}, optional=fields)


booleans = st.booleans()
limits = st.sampled_from([0, 100, 500])
rates = st.sampled_from([0, 12.5, 100.0])
disk_options = {
    "iops_rd": limits,
    "iops_wr": limits,
    "mbps_rd": rates,
    "mbps_wr": rates,
    "ssd": booleans,
    "discard": booleans,
    "iothread": booleans,
    "backup": booleans,
    "cache": st.sampled_from(["none", "writeback"]),
}
disks = some(
    system=some(size=st.sampled_from([0, "3GiB", "5GiB", "10752MiB"]), **disk_options),
    scsi1=st.fixed_dictionaries(
        {"size": st.sampled_from(["1GiB", "2GiB", "1000MiB"])}, optional=disk_options
    ),
    sata2=st.just({"size": "1GiB"}),
)
nic = {
    "bridge": st.sampled_from(["vmbr0", "vmbr1"]),
    "vlan": st.sampled_from([0, 1, 4094]),
    "rate": st.sampled_from([0, "12.5MB/s"]),
    "model": st.sampled_from(["virtio", "e1000"]),
    "mtu": st.sampled_from([1, 1400]),
    "firewall": booleans,
    "link": st.sampled_from(["up", "down"]),
}
v4 = st.sampled_from([{"pool": "a", "count": 2}, "dhcp", "none", {"static": "10.0.0.7/24"}])
v6 = st.sampled_from([{"pool": "b"}, "auto", "none"])
nics = some(
    net0=some(**nic, ipv4=v4),
    net1=some(**nic, ipv4=st.just("none"), ipv6=v6).map(lambda n: {"bridge": "vmbr1", **n}),
)
rule = st.one_of(
    st.builds(
        lambda way, action, ports: {way: action, **ports},
        st.sampled_from(["in", "out"]),
        st.sampled_from(["ACCEPT", "DROP"]),
        st.sampled_from([{}, {"proto": "tcp", "dport": 22}, {"proto": "udp", "sport": "53"}]),
    ),
    st.sampled_from([{"in": "ACCEPT", "macro": "SSH", "source": "10.0.0.0/8", "comment": "a b"}]),
)
firewall = some(
    enable=booleans,
    dhcp=booleans,
    radv=booleans,
    anti_spoofing=booleans,
    policy_in=st.sampled_from(["ACCEPT", "DROP", "REJECT"]),
    log_in=st.sampled_from(["nolog", "info"]),
    rules=st.lists(rule, max_size=4),
)
cloudinit = some(
    user=st.sampled_from(["admin", "root"]),
    password=st.just("generate"),
    keys=st.lists(st.sampled_from(KEYS), unique=True),
    dns=st.sampled_from([[], ["192.0.2.1"], ["2001:db8::1", "192.0.2.1"]]),
    search=st.sampled_from(["example.net", "example.org"]),
    upgrade=booleans,
    type=st.sampled_from(["nocloud", "configdrive2"]),
    custom=st.sampled_from(
        [
            {"user": "local:snippets/u.yaml"},
            {"user": {"volume": "local:snippets/u.yaml", "sha256": "a" * 64}},
            {"meta": {"volume": "local:snippets/m.yaml", "sha256": "b" * 64}},
        ]
    ),
)
fittings = {
    "bios": st.sampled_from(["seabios", "ovmf"]),
    "machine": st.sampled_from(["q35", "pc", "pc-q35-8.1"]),
    "ostype": st.sampled_from(["l26", "win11", "other"]),
    "efi": some(pre_enrolled_keys=booleans, efitype=st.just("4m")),
    "tpm": some(version=st.just("v2.0")),
    "scsihw": st.sampled_from(["lsi", "virtio-scsi-single"]),
    "vga": st.sampled_from(["serial0", "std", {"type": "virtio", "memory": 64}]),
    "rng": st.sampled_from(["/dev/urandom", "none", {"max_bytes": 1024, "period": 1000}]),
    "serials": some(serial0=st.sampled_from(["socket", "none"]), serial2=st.just("socket")),
    "pci": some(hostpci0=st.sampled_from(["none", "gpu", {"mapping": "gpu", "pcie": True}])),
    "usb": some(usb0=st.sampled_from(["none", "spice", "dongle"])),
    "virtiofs": some(
        virtiofs0=st.sampled_from(["none", "data", {"mapping": "data", "cache": "always"}])
    ),
    "iso": st.sampled_from(["none", "local:iso/a.iso", "local:iso/b.iso"]),
}
specs = some(
    name=st.sampled_from(["web-1", "shop"]),
    cpu=some(
        cores=st.sampled_from([1, 4]),
        sockets=st.sampled_from([1, 2]),
        type=st.sampled_from(["host", "x86-64-v2-AES"]),
        limit=st.sampled_from([0, 1.5]),
        units=st.sampled_from([100, 200]),
        numa=booleans,
    ),
    memory=st.sampled_from(["2GiB", "4GiB"]),
    balloon=st.sampled_from([0, "1GiB", "2GiB"]),
    disks=disks,
    nics=nics,
    firewall=firewall,
    cloudinit=cloudinit,
    tags=st.lists(st.sampled_from(["web", "cache", "db"]), unique=True),
    description=st.sampled_from(["", "Shop", "two\nlines\n"]),
    boot=st.sampled_from([["system"], ["net0", "system"]]),
    agent=booleans,
    onboot=booleans,
    protection=booleans,
    startup=some(order=st.just(2), up=st.sampled_from([0, 30])),
    pool=st.just("customers"),
    power=st.sampled_from(["running", "stopped", "unmanaged"]),
    config=some(tablet=booleans, audio0=st.just("device=AC97")),
    **fittings,
)


def steady(stage: Stage, fields: dict[str, Any]) -> None:
    """Settle, then demand that nothing differs and that another look writes nothing."""
    spec = spec_of(**fields)
    final = stage.settle(spec)
    assert not [note for note in final.notes if note.blocking]
    written = len(stage.calls)
    assert not stage.settle(spec).changes
    assert len(stage.calls) == written


@given(specs)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_applied_to_a_new_vm_no_longer_differs(fields: dict[str, Any]) -> None:
    stage = Stage()
    stage.lease(*LEASES)
    steady(stage, fields)
    clones = [call for call in stage.calls if call.path.endswith("/clone")]
    configs = [c for c in stage.calls if c.path.endswith("/config") and c.method == "PUT"]
    assert len(clones) == 1
    # Proxmox itself puts a new CD-ROM drive at the end of the boot order.
    again = "boot" in fields and fields.get("iso", "none") != "none"
    assert len(configs) == 1 + again, "all config keys of a deploy go out in one PUT"


@given(specs, specs)
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_a_changed_spec_no_longer_differs_once_applied(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    stage = Stage()
    stage.lease(*LEASES)
    steady(stage, first)
    stage.started()
    steady(stage, second)
    assert sum(call.path.endswith("/clone") for call in stage.calls) == 1
    allocations = [c for c in stage.calls if c.path.endswith("/config") and c.method == "POST"]
    slots = [slot for call in allocations for slot in call.params if slot != "digest"]
    assert len(slots) == len(set(slots)), "a disk is allocated once"
