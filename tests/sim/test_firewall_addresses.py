"""What the firewall takes for addresses, ports and protocols, and its words for the rest."""

import pytest

from reconciler.sim.firewall import addresses
from reconciler.sim.parameters.schema import FormatError


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("10.0.0.1", 4),
        ("10.0.0.0/8", 4),
        ("10", 4),
        ("10.1/16", 4),
        ("10.1-10.2", 4),
        ("10.0.0.1-10.0.0.9", 4),
        ("10.0.0.1,10.1.0.0/16", 4),
        ("2001:db8::1", 6),
        ("2001:db8::/32,2001:db8:1::1", 6),
        ("+web", None),
        ("+dc/web", None),
        ("guest/web1", None),
        ("web1", None),
    ],
)
def test_an_address_has_a_version_and_a_name_has_none(text: str, version: int | None) -> None:
    assert addresses.check_addresses(text) == version


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("192.0.2.1,192.0.2.5-192.0.2.9", "you can't use a range in a list"),
        (
            "10.0.0.1,2001:db8::1",
            "detected mixed ipv4/ipv6 addresses in address list '10.0.0.1,2001:db8::1'",
        ),
        ("10.0.0.1,,10.0.0.2", "extraneous commas in list"),
        ("10.0.0.1,", "extraneous commas in list"),
        ("10.0.0.300", "invalid IP address: Invalid quad in IP address 10.0.0.300 - 300"),
        ("10.0.0.01", "invalid IP address: Invalid quad in IP address 10.0.0.01 - 01"),
        ("10.0.0.1.2", "invalid IP address: Invalid IP address 10.0.0.1.2"),
        ("10..0.1", "invalid IP address: Empty quad in IP address 10..0.1"),
        (".10", "invalid IP address: Invalid IP .10 - starts with a dot"),
        ("10.", "invalid IP address: Invalid IP 10. - ends with a dot"),
        ("a.b", "invalid IP address: Invalid chars in IP a.b"),
        ("10.300", "invalid IP address: Invalid quad in IP address 10.300 - 300"),
        ("10.0.0.1-", "invalid IP address: Invalid chars in IP "),
        ("10.0.0.1-x", "invalid IP address: Invalid chars in IP x"),
        ("1::2::3", "invalid IP address: Invalid IP address 1::2::3"),
        ("10.0.0.0/33", "invalid IP address: Invalid prefix length /33"),
        (
            "10.0.0.1/31",
            "invalid IP address: Invalid prefix 00001010000000000000000000000001/31",
        ),
        ("+" + "x" * 65, "ipset name too long"),
        ("x" * 65, "alias name too long"),
    ],
)
def test_a_wrong_address_is_refused_in_proxmox_words(text: str, complaint: str) -> None:
    with pytest.raises(FormatError) as refused:
        addresses.check_addresses(text)
    assert str(refused.value) == complaint


@pytest.mark.parametrize("text", ["22", "0:65535", "80,443,8000:8100", "ssh", "http,8080"])
def test_ports_ranges_and_services_are_taken(text: str) -> None:
    addresses.check_ports(text, destination=False)


@pytest.mark.parametrize("text", ["echo-request", "neighbor-solicitation", "echo-request,any"])
def test_an_icmp_type_is_taken_as_destination_only(text: str) -> None:
    addresses.check_ports(text, destination=True)
    with pytest.raises(FormatError, match="invalid port"):
        addresses.check_ports(text, destination=False)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("99999", "invalid port '99999'"),
        ("1:99999", "invalid port '99999'"),
        ("nope", "invalid port 'nope'"),
        ("80,,81", "extraneous commas in list"),
        ("90:80", "backwards range '90:80' not allowed, did you mean '80:90'?"),
        ("echo-request,80", "ICMP ports not allowed in port range"),
        (
            ",".join(str(port) for port in range(1, 17)),
            "too many entries in port list (> 15 numbers)",
        ),
    ],
)
def test_wrong_ports_are_refused_in_proxmox_words(text: str, complaint: str) -> None:
    with pytest.raises(FormatError) as refused:
        addresses.check_ports(text, destination=True)
    assert str(refused.value) == complaint


@pytest.mark.parametrize("text", ["tcp", "6", "icmpv6", "ipv6-icmp", "ax.25", ""])
def test_protocols_are_known_by_name_and_number(text: str) -> None:
    addresses.check_protocol(text)


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(FormatError, match="unknown protocol 'nope'"):
        addresses.check_protocol("nope")


def test_an_unknown_icmp_type_is_named() -> None:
    addresses.check_icmp_type("echo-reply")
    with pytest.raises(FormatError, match="invalid icmp-type value 'nope'"):
        addresses.check_icmp_type("nope")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("10.0.2.5/24", "10.0.2.0/24"),
        ("10.0.2.5", "10.0.2.5"),
        ("10.0.2.5/32", "10.0.2.5/32"),
        ("10.0.2.5/0", "10.0.2.5/0"),
        ("2001:DB8:0:0::1", "2001:DB8:0:0::1"),
        ("2001:DB8:0:0::1/64", "2001:db8::/64"),
    ],
)
def test_host_bits_are_masked_off_networks_only(text: str, stored: str) -> None:
    assert addresses.without_host_bits(text) == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("10.0.0.5/32", ("10.0.0.5", 4)),
        ("10.0.0.0/24", ("10.0.0.0/24", 4)),
        ("2001:db8::1/128", ("2001:db8::1", 6)),
    ],
)
def test_a_whole_length_prefix_is_not_stored(text: str, stored: tuple[str, int]) -> None:
    assert addresses.stored_address(text) == stored


def test_what_is_no_address_is_not_stored() -> None:
    with pytest.raises(FormatError, match="does not look like a valid IP address"):
        addresses.stored_address("10.0.0")


@pytest.mark.parametrize("text", ["10.0.0", "web1", "10.0.0.1/x", "fe80::1%eth0"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(FormatError, match="does not look like a valid IP address or CIDR"):
        addresses.check_network(text)


def test_a_prefix_beyond_the_address_is_refused() -> None:
    with pytest.raises(FormatError, match="Prefix length 33 is longer than IP address"):
        addresses.check_network("10.0.0.1/33")


@pytest.mark.parametrize("text", ["web1", "dc/web1", "10.0.0.1/8"])
def test_an_entry_may_be_an_alias(text: str) -> None:
    addresses.check_network_or_alias(text)
