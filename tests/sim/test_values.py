"""Single values: sizes, tags, keys, addresses."""

import pytest

from reconciler.sim.errors import Refusal
from reconciler.sim.parameters.options import memory_of, pinned_machine, stored
from reconciler.sim.parameters.schema import FormatError
from reconciler.sim.parameters.values import (
    address,
    check_ssh_keys,
    disk_size,
    format_size,
    hotplug_features,
    ipv4_config,
    ipv6_config,
    parse_size,
    startup_order,
    unique_tags,
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


def test_updates_store_tags_sorted_lower_case_and_once() -> None:
    assert unique_tags("b,a c;B") == "a;b;c"
    assert unique_tags(";") == ""


@pytest.mark.parametrize("text", ["10.0.0.5", "10.0.0.5/33", "10.0.0.5/7", "10.0.0.999/24", "auto"])
def test_v4_needs_an_address_with_mask(text: str) -> None:
    with pytest.raises(FormatError, match="ipv4 network configuration"):
        ipv4_config(text)


def test_v6_may_be_dhcp_auto_or_a_network() -> None:
    assert [ipv6_config(one) for one in ("dhcp", "auto", "2001:db8::5/64")]
    with pytest.raises(FormatError, match="ipv6 network configuration"):
        ipv6_config("2001:db8::5")


def test_other_formats_word_their_complaint() -> None:
    with pytest.raises(FormatError, match="invalid hotplug feature 'bogus'"):
        hotplug_features("disk,bogus")
    with pytest.raises(FormatError, match="unable to parse startup options"):
        startup_order("x")
    with pytest.raises(FormatError, match="valid address: a_b"):
        address("a_b")
    assert address("dns.example") and hotplug_features("0") and startup_order("5,up=3")


def test_only_public_keys_pass() -> None:
    check_ssh_keys("ssh-ed25519%20AAAAC3NzaC1lZDI1NTE5AAAAIFu8%20a%40b%0A%0Assh-rsa%20AAAA%20c")
    with pytest.raises(Refusal, match="SSH public key validation error"):
        check_ssh_keys("not%20a%20key")


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
