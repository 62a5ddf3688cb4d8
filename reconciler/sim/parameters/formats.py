"""The named formats of Proxmox's schemas: each raises FormatError with Proxmox's words."""

from __future__ import annotations

import ipaddress
import re

from reconciler.sim.parameters.schema import FormatError, Integer, Text

NODE = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?)\Z")
VMID = re.compile(r"[1-9][0-9]{2,8}\Z")
CONFIG_ID = re.compile(r"[a-z][a-z0-9_-]+\Z", re.IGNORECASE)
STORAGE_ID = re.compile(r"[a-z][a-z0-9\-_.]*[a-z0-9]\Z", re.IGNORECASE)
DNS_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9\-]*[a-zA-Z0-9])?"
DNS_NAME = re.compile(rf"(?:{DNS_LABEL}\.)*{DNS_LABEL}\Z")
POOL_ID = re.compile(r"[A-Za-z0-9.\-_]+(?:/[A-Za-z0-9.\-_]+){0,2}\Z")
MAC = re.compile(r"[a-f0-9][02468ace](?::[a-f0-9]{2}){5}\Z", re.IGNORECASE)
VOLUME_ID = re.compile(r"[a-z][a-z0-9\-_.]*[a-z0-9]:.+\Z", re.IGNORECASE)
BRIDGE = re.compile(r"[-_.\w]+\Z")
REALM = r"[A-Za-z][A-Za-z0-9.\-_]+"
USER_NAME = r"[^\s:/]+"
USER_ID = re.compile(rf"({USER_NAME})@({REALM})\Z")
TOKEN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9.\-_]+\Z")
URL_ENCODED = re.compile(r"[-%a-zA-Z0-9_.!~*'()]*\Z")


def _fullmatch(pattern: re.Pattern[str], text: str, complaint: str) -> str:
    if not pattern.match(text):
        raise FormatError(complaint)
    return text


def node_name(text: str) -> str:
    return _fullmatch(NODE, text, "value does not look like a valid node name")


def vm_id(text: str) -> str:
    return _fullmatch(VMID, text, "value does not look like a valid VM ID")


def config_id(text: str) -> str:
    return _fullmatch(CONFIG_ID, text, f"invalid configuration ID '{text}'")


def storage_id(text: str) -> str:
    complaint = f"storage ID '{text}' contains illegal characters"
    return _fullmatch(STORAGE_ID, text, complaint)


def dns_name(text: str) -> str:
    return _fullmatch(DNS_NAME, text, "value does not look like a valid DNS name")


def pool_id(text: str) -> str:
    return _fullmatch(POOL_ID, text, f"pool name '{text}' contains invalid characters")


def mac_address(text: str) -> str:
    return _fullmatch(MAC, text, "value does not look like a valid unicast MAC address")


def volume_id(text: str) -> str:
    return _fullmatch(VOLUME_ID, text, f"unable to parse volume ID '{text}'")


def bridge_id(text: str) -> str:
    return _fullmatch(BRIDGE, text, f"invalid bridge ID '{text}'")


def user_id(text: str) -> str:
    complaint = f"value '{text}' does not look like a valid user name"
    if len(text) > 64 or len(text) < 3:
        raise FormatError(f"user name '{text}' is too {'long' if len(text) > 64 else 'short'}")
    return _fullmatch(USER_ID, text, complaint)


def realm_name(text: str) -> str:
    complaint = "value does not look like a valid realm"
    return _fullmatch(re.compile(rf"{REALM}\Z"), text, complaint)


def url_encoded(text: str) -> str:
    return _fullmatch(URL_ENCODED, text, f"invalid urlencoded string: {text}")


def ip_address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise FormatError("value does not look like a valid IP address") from None
    return text


def ipv4(text: str) -> str:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        raise FormatError("value does not look like a valid IPv4 address") from None
    return text


def ipv6(text: str) -> str:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        raise FormatError("value does not look like a valid IPv6 address") from None
    return text


def any_text(text: str) -> str:
    """Proxmox's `string` formats of list members: everything goes."""
    return text


VM = Integer(format=vm_id, minimum=100, maximum=999999999)
NODE_FIELD = Text(format=node_name)
STORAGE = Text(format=storage_id)
DIGEST = Text(optional=True, max_length=64)
