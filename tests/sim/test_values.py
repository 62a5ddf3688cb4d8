"""Single values: sizes, tags, keys, addresses."""

import base64
from urllib.parse import quote

import pytest

from reconciler.sim.errors import Refusal
from reconciler.sim.parameters.cpu import CPU
from reconciler.sim.parameters.keys import check_ssh_keys
from reconciler.sim.parameters.machines import pinned_machine
from reconciler.sim.parameters.options import memory_of, stored
from reconciler.sim.parameters.schema import FormatError
from reconciler.sim.parameters.values import (
    address,
    boot_disk,
    disk_size,
    format_size,
    hotplug_features,
    ipv4_config,
    ipv6_config,
    parse_size,
    startup_order,
)


@pytest.mark.parametrize(
    ("size", "text"),
    [(10 << 30, "10G"), (1 << 40, "1T"), (10752 << 20, "10752M"), (4096, "4K"), (1000, "1000")],
)
def test_sizes_use_the_largest_exact_unit(size: int, text: str) -> None:
    assert format_size(size) == text
    assert parse_size(text) == size


def test_sizes_take_fractions_but_no_words() -> None:
    assert parse_size("0.5G") == 512 << 20
    assert parse_size("big") is None
    with pytest.raises(FormatError, match="valid disk size"):
        disk_size("10X")


@pytest.mark.parametrize("text", ["10.0.0.5", "10.0.0.5/33", "10.0.0.5/7", "10.0.0.999/24", "auto"])
def test_v4_needs_an_address_with_mask(text: str) -> None:
    with pytest.raises(FormatError, match="ipv4 network configuration"):
        ipv4_config(text)


def test_v6_may_be_dhcp_auto_or_a_network() -> None:
    assert [ipv6_config(one) for one in ("dhcp", "auto", "manual", "2001:db8::5/64")]
    with pytest.raises(FormatError, match="ipv6 network configuration"):
        ipv6_config("2001:db8::5")


def test_other_formats_word_their_complaint() -> None:
    with pytest.raises(FormatError, match="invalid hotplug feature 'bogus'"):
        hotplug_features("disk,bogus")
    for text in ("", "0", "order=1 up=2"):
        with pytest.raises(FormatError, match="unable to parse startup options"):
            startup_order(text)
    with pytest.raises(FormatError, match="invalid boot disk 'net0'"):
        boot_disk("net0")
    assert boot_disk("scsi30")
    with pytest.raises(FormatError, match="unable to parse startup options"):
        startup_order("x")
    with pytest.raises(FormatError, match="valid address: a_b"):
        address("a_b")
    assert address("dns.example") and hotplug_features("0") and startup_order("5,up=3")


def blob(*parts: bytes) -> str:
    return base64.b64encode(b"".join(len(one).to_bytes(4, "big") + one for one in parts)).decode()


ED25519 = blob(b"ssh-ed25519", bytes(32))
RSA = blob(b"ssh-rsa", b"\x01\x00\x01", b"\xff" * 256)


def test_public_keys_pass_with_their_options_and_comments() -> None:
    text = f"ssh-ed25519 {ED25519} a b@c\n\nno-pty ssh-rsa {RSA}\n"
    check_ssh_keys(quote(text))


@pytest.mark.parametrize(
    "line",
    [
        "not a key",
        "ssh-rsa AAAA c",
        f"ssh-ed25519 {ED25519[:-8]}",
        f"ssh-rsa {ED25519}",
        f"# ssh-ed25519 {ED25519}",
        f"ssh-ed25519 {blob(b'ssh-ed25519', bytes(31))}",
        f"ssh-rsa {blob(b'ssh-rsa', b'e', bytes(64) + b'x')}",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5A",
    ],
)
def test_what_ssh_keygen_refuses_is_refused(line: str) -> None:
    """pve-common PVE/Tools.pm (validate_ssh_public_keys) runs `ssh-keygen -l` on each line."""
    with pytest.raises(Refusal, match="SSH public key validation error"):
        check_ssh_keys(quote(line))


def test_values_are_stored_as_the_file_gives_them_back() -> None:
    assert stored("cores", "02") == 2
    assert stored("onboot", 1) == 1
    assert stored("cpulimit", "0.5") == "0.5"
    assert stored("ipconfig0", "") == " "
    assert stored("description", "a\n") == "a"


def test_memory_reads_both_forms() -> None:
    assert [memory_of(one) for one in ("2048", "current=16", None)] == [2048, 16, 512]


def test_windows_guests_get_a_pinned_machine() -> None:
    assert pinned_machine("q35", "win11") == "pc-q35-7.2"
    assert pinned_machine(None, "win10") == "pc-i440fx-7.2"
    assert pinned_machine("pc-q35-8.1", "win11") is None
    assert pinned_machine(None, "l26") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("hidden=1", "CPU is missing cputype"),
        ("custom-big", "Custom cputype 'big' not found"),
        ("pentium9", "Built-in cputype 'pentium9' is not defined (missing 'custom-' prefix?)"),
        ("host,flags=+sse9", "VM-specific CPU flags must be a subset of: pcid, spec-ctrl"),
        ("host,reported-model=kvm64", "Property 'reported-model' not allowed in VM-specific CPU"),
        ("host,phys-bits=7", "value must be an integer between 8 and 64 or 'host'"),
    ],
)
def test_a_cpu_is_a_known_model_with_few_extras(value: str, text: str) -> None:
    """qemu-server PVE/QemuServer/CPUConfig.pm (validate_vm_cpu_conf, parse_phys_bits)."""
    assert text in (CPU.fault(value, "cpu") or "")


@pytest.mark.parametrize(
    "value",
    ["host", "EPYC-Rome-v3", "Haswell-noTSX,hidden=1", "x86-64-v3,flags=+aes;-pcid", "max"],
)
def test_models_of_several_words_are_whole(value: str) -> None:
    assert CPU.fault(value, "cpu") is None
