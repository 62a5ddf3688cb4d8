"""Addresses, ports and protocols as the firewall reads them, with its words for wrong ones.

Every check raises FormatError with Proxmox's text (without the line feed that ends it there).
"""

import ipaddress
import re

from reconciler.sim.firewall.names import (
    ICMP_TYPES,
    ICMPV6_TYPES,
    PROTOCOL_WORDS,
    SERVICES,
)
from reconciler.sim.parameters.schema import FormatError

NAME = r"[A-Za-z][A-Za-z0-9\-_]+"
ALIAS = re.compile(rf"(?P<scope>guest/|dc/)?(?P<name>{NAME})")
IPSET = re.compile(rf"\+(?P<scope>guest/|dc/|sdn/)?(?P<name>{NAME})")
LONGEST_NAME = 64
MOST_PORTS = 15
NOT_AN_ADDRESS = "value does not look like a valid IP address or CIDR network"


def _version(text: str) -> int | None:
    """4 or 6 for a plain address, None for anything else."""
    try:
        return ipaddress.ip_address(text).version if "%" not in text else None
    except ValueError:
        return None


def _fault_of_address(text: str) -> str:
    """What is wrong with an IPv4 look-alike, first fault first."""
    if ":" not in text:
        if not re.fullmatch(r"[0-9.]+", text):
            return f"Invalid chars in IP {text}"
        if text.startswith("."):
            return f"Invalid IP {text} - starts with a dot"
        if text.endswith("."):
            return f"Invalid IP {text} - ends with a dot"
        if text.count(".") > 3:
            return f"Invalid IP address {text}"
        if ".." in text:
            return f"Empty quad in IP address {text}"
        quads = text.split(".")
        wrong = next(one for one in quads if int(one) > 255 or re.match(r"0[0-9]", one))
        return f"Invalid quad in IP address {text} - {wrong}"
    return f"Invalid IP address {text}"


def _whole(text: str) -> str:
    """An IPv4 address with the quads that Net::IP lets people leave out at its end."""
    return (
        text + ".0" * (3 - text.count("."))
        if re.fullmatch(r"[0-9]+(\.[0-9]+){0,2}", text)
        else text
    )


def _bits(text: str) -> str:
    address = ipaddress.ip_address(text)
    return f"{int(address):0{address.max_prefixlen}b}"


def _checked(text: str) -> str:
    """One address, whole."""
    whole = _whole(text)
    if _version(whole) is None:
        raise FormatError(f"invalid IP address: {_fault_of_address(text)}")
    return whole


def _element_version(text: str) -> int | None:
    """The IP version of one address, network or range of a rule's list."""
    low, dash, high = text.partition("-")
    if dash:
        _checked(high)
        return _version(_checked(low))
    plain, slash, length = text.partition("/")
    whole = _checked(plain)
    if slash:
        bits = _bits(whole)
        if not length.isdigit() or int(length) > len(bits):
            raise FormatError(f"invalid IP address: Invalid prefix length /{length}")
        if "1" in bits[int(length) :]:
            raise FormatError(f"invalid IP address: Invalid prefix {bits}/{length}")
    return _version(whole)


def check_addresses(text: str) -> int | None:
    """A rule's source or destination; its IP version, None for the name of a set or alias."""
    if re.fullmatch(r"\+\S+", text):
        if len(text) > LONGEST_NAME + 1:
            raise FormatError("ipset name too long")
        return None
    if ALIAS.fullmatch(text):
        if len(text) > LONGEST_NAME:
            raise FormatError("alias name too long")
        return None
    elements = text.split(",") if text else []
    if not all(elements):
        raise FormatError("extraneous commas in list")
    version: int | None = None
    for element in elements:
        seen = _element_version(element)
        if version not in (None, seen):
            raise FormatError(f"detected mixed ipv4/ipv6 addresses in address list '{text}'")
        version = seen
    if len(elements) > 1 and "-" in text:
        raise FormatError("you can't use a range in a list")
    return version


def _port(text: str) -> int:
    if int(text) > 65535:
        raise FormatError(f"invalid port '{text}'")
    return int(text)


def check_ports(text: str, *, destination: bool) -> None:
    """A list of ports, ranges and service names; ICMP types only as destination and alone."""
    elements = text.split(",") if text else []
    if not all(elements):
        raise FormatError("extraneous commas in list")
    numbers, icmp = 0, False
    for element in elements:
        if match := re.fullmatch(r"([0-9]+):([0-9]+)", element):
            numbers += 2
            low, high = _port(match[1]), _port(match[2])
            if low > high:
                raise FormatError(
                    f"backwards range '{match[1]}:{match[2]}' not allowed, "
                    f"did you mean '{match[2]}:{match[1]}'?"
                )
        elif re.fullmatch(r"[0-9]+", element):
            numbers += 1
            _port(element)
        elif destination and element in ICMP_TYPES | ICMPV6_TYPES:
            icmp = True
        elif element not in SERVICES:
            raise FormatError(f"invalid port '{element}'")
    if icmp and numbers:
        raise FormatError("ICMP ports not allowed in port range")
    if numbers > MOST_PORTS:
        raise FormatError("too many entries in port list (> 15 numbers)")


def check_protocol(text: str) -> None:
    """A name or number that a node's /etc/protocols knows."""
    if text and text not in PROTOCOL_WORDS:
        raise FormatError(f"unknown protocol '{text}'")


def check_icmp_type(text: str) -> None:
    """A type name of ICMP or ICMPv6."""
    if text and text not in ICMP_TYPES | ICMPV6_TYPES:
        raise FormatError(f"invalid icmp-type value '{text}'")


def without_host_bits(text: str) -> str:
    """A network with its host bits masked off; a plain address stays as it was written."""
    plain, _, length = text.partition("/")
    if not length or length == "0":
        return text
    network = ipaddress.ip_network(f"{plain}/{length}", strict=False)
    return f"{network.network_address.compressed}/{length}"


def stored_address(text: str) -> tuple[str, int]:
    """An address or network as the file holds it (without /32 or /128), and its version."""
    version = _version(text.partition("/")[0])
    if version is None:
        raise FormatError(NOT_AN_ADDRESS)
    return text.removesuffix("/128" if version == 6 else "/32"), version


def check_network(text: str) -> None:
    """An address or CIDR network, host bits allowed (`IPorCIDR`)."""
    match = re.fullmatch(r"([^/]*)(?:/([0-9]+))?", text)
    version = _version(match[1]) if match else None
    if match is None or version is None:
        raise FormatError(NOT_AN_ADDRESS)
    longest = 32 if version == 4 else 128
    if match[2] and int(match[2]) > longest:
        raise FormatError(f"Prefix length {match[2]} is longer than IP address ({_bits(match[1])})")


def check_network_or_alias(text: str) -> None:
    """An address, a CIDR network or the name of an alias (`IPorCIDRorAlias`)."""
    if not ALIAS.fullmatch(text):
        check_network(text)
