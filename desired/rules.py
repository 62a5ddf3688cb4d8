"""What is wrong with firewall rules beyond their types: ports, addresses, protocols, macros."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import ip_address, ip_network

from desired.document import Path
from desired.firewall import Rule
from desired.wording import Wrong

PORTED = frozenset({"tcp", "udp", "udplite", "dccp", "sctp", "6", "17", "33", "132", "136"})
"""Protocols that have ports."""

ICMP = frozenset({"icmp", "icmpv6", "ipv6-icmp", "1", "58"})
PROTOCOLS = (
    *("ah", "dccp", "egp", "encap", "esp", "etherip", "fc", "ggp", "gre", "hmp", "hopopt"),
    *("icmp", "icmpv6", "idpr-cmtp", "idrp", "igmp", "igp", "ip", "ipcomp", "ipencap", "ipip"),
    *("ipv6", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt", "ipv6-opts", "ipv6-route", "isis"),
    *("iso-tp4", "l2tp", "manet", "mobility-header", "mpls-in-ip", "ospf", "pim", "pup", "rdp"),
    *("rohc", "rspf", "rsvp", "sctp", "shim6", "skip", "st", "tcp", "udp", "udplite", "vmtp"),
    *("vrrp", "wesp", "xns-idp", "xtp"),
)
_PORT = re.compile(r"[0-9]{1,5}")
_SERVICE = re.compile(r"[a-z][a-z0-9-]*")
_SET = re.compile(r"\+(?:dc/|guest/)?[A-Za-z][A-Za-z0-9_-]*")
_ALIAS = re.compile(r"(?:dc/|guest/)?[A-Za-z][A-Za-z0-9_-]*")
_MACRO = re.compile(r"[A-Z][A-Za-z0-9]*")
_OF_GROUPS = frozenset({"group", "iface", "comment", "enable"})


def rule_wrongs(rule: Rule, path: Path) -> Iterator[Wrong]:
    """Yield what is wrong with one rule, whose place is `path`."""
    if rule.group:
        for name in sorted(rule.model_fields_set - _OF_GROUPS):
            yield Wrong((*path, name), "a security group takes iface, comment and enable only")
        return
    yield from _protocol(rule, path)
    yield from _addresses(rule, path)
    if rule.macro is not None and not _MACRO.fullmatch(rule.macro):
        hint = f"; did you mean {rule.macro.upper()}?" if rule.macro.isalnum() else ""
        yield Wrong(
            (*path, "macro"), f"expected a macro such as SSH or HTTP, seen {rule.macro!r}{hint}"
        )
    if rule.comment and "\n" in rule.comment:
        yield Wrong((*path, "comment"), "expected one line: Proxmox keeps the first only")


def _protocol(rule: Rule, path: Path) -> Iterator[Wrong]:
    if rule.proto is not None:
        message = _bad_protocol(rule.proto)
        if message:
            yield Wrong((*path, "proto"), message)
            return
    for name, ports in (("sport", rule.sport), ("dport", rule.dport)):
        if ports is None:
            continue
        if rule.proto not in PORTED:
            yield Wrong((*path, name), "a port needs proto: tcp or udp")
        message = bad_ports(ports)
        if message:
            yield Wrong((*path, name), message)
    if rule.icmp_type is not None and rule.proto not in ICMP:
        yield Wrong((*path, "icmp_type"), "an ICMP type needs proto: icmp or ipv6-icmp")


def _bad_protocol(text: str) -> str | None:
    if text in PROTOCOLS or (_PORT.fullmatch(text) and int(text) <= 255):
        return None
    common = get_close_matches(text.lower(), ("tcp", "udp", "icmp"), 1)
    hits = common or get_close_matches(text.lower(), PROTOCOLS, 1)
    hint = f"; did you mean {hits[0]}?" if hits else ""
    return f"expected a protocol such as tcp, udp or icmp, seen {text!r}{hint}"


def bad_ports(text: str) -> str | None:
    """Return what is wrong with a port, a range `80:85`, a service name or a list, or None."""
    items = text.split(",")
    if len(items) > 15:
        return f"expected at most 15 ports or ranges, seen {len(items)}"
    for item in items:
        if _SERVICE.fullmatch(item):
            continue
        ends = item.split(":")
        if len(ends) > 2 or not all(_PORT.fullmatch(end) and int(end) <= 65535 for end in ends):
            return f"expected ports such as 22, 80:85 or 80,443, seen {item!r}"
        if int(ends[0]) > int(ends[-1]):
            return f"expected a range from low to high, seen {item!r}"
    return None


def _addresses(rule: Rule, path: Path) -> Iterator[Wrong]:
    families: set[int] = set()
    for name, text in (("source", rule.source), ("dest", rule.dest)):
        if text is None:
            continue
        try:
            families |= address_families(text)
        except ValueError as error:
            yield Wrong((*path, name), str(error))
            return
        if len(families) > 1:
            yield Wrong((*path, name), "IPv4 and IPv6 do not mix in one rule; write two")
            return


def address_families(text: str) -> set[int]:
    """Return the IP versions named in a source or destination. Raises ValueError if it is none.

    It is an address, a network, a range, a list of these, or the name of a set or an alias.
    """
    if _SET.fullmatch(text) or _ALIAS.fullmatch(text):
        return set()
    found: set[int] = set()
    for item in text.split(","):
        first, dash, last = item.partition("-")
        try:
            if dash:
                low, high = ip_address(first), ip_address(last)
                if low.version != high.version or int(low) > int(high):
                    raise ValueError(item)
                found.add(low.version)
            else:
                found.add(ip_network(item, strict=False).version)
        except ValueError:
            wanted = "expected addresses, networks, a range, an alias or +IPSET"
            raise ValueError(f"{wanted}, seen {item!r}") from None
    return found
