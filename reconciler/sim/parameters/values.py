"""Formats of single VM config values: boot devices, CPU models, tags, addresses, hot-plug lists."""

from __future__ import annotations

import ipaddress
import re

from reconciler.sim.parameters.formats import dns_name, ip_address, volume_id
from reconciler.sim.parameters.schema import FormatError, split_list


def words(text: str) -> tuple[str, ...]:
    """The words of a text, for tables of names."""
    return tuple(text.split())


NEW_DISK = re.compile(r"([^/:\s]+):(\d+(?:\.\d+)?)\Z")
HOTPLUG = ("network", "disk", "cpu", "memory", "usb", "cloudinit")
TAG = re.compile(r"[a-z0-9_][a-z0-9_\-+.]*\Z", re.IGNORECASE)
CPUSET = re.compile(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*\Z")
STARTUP = re.compile(r"\s*|(?:order=)?\d+|up=\d+|down=\d+")
BOOT_DEVICE = re.compile(
    r"(?:ide[0-3]|sata[0-5]|scsi(?:[12]?\d|30)|virtio(?:\d|1[0-5])|net(?:[12]?\d|3[01])"
    r"|usb(?:\d|1[0-3])|hostpci(?:\d|1[0-5]))\Z"
)
BOOT_DISK = re.compile(
    r"(?:ide[0-3]|sata[0-5]|scsi(?:[12]?\d|30)|virtio(?:\d|1[0-5])|efidisk0|tpmstate0)\Z"
)
DISK_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT])?\Z")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def boot_device(text: str) -> str:
    if not BOOT_DEVICE.match(text):
        raise FormatError(f"invalid boot device '{text}'")
    return text


def tag(text: str) -> str:
    if not TAG.match(text):
        raise FormatError("invalid characters in tag")
    return text


def cpu_set(text: str) -> str:
    if not CPUSET.match(text):
        raise FormatError("unable to parse cpuset option")
    return text


def startup_order(text: str) -> str:
    parts = text.split(",")
    if text in ("", "0") or not all(STARTUP.fullmatch(part) for part in parts):
        raise FormatError("unable to parse startup options")
    return text


def hotplug_features(text: str) -> str:
    if text not in ("0", "1"):
        for one in split_list(text):
            if one not in HOTPLUG:
                raise FormatError(f"invalid hotplug feature '{one}'")
    return text


def ipv4_config(text: str) -> str:
    if text not in ("dhcp", "manual") and not _cidr(text, ipaddress.IPv4Interface, 32):
        raise FormatError("value does not look like a valid ipv4 network configuration")
    return text


def ipv6_config(text: str) -> str:
    if text not in ("dhcp", "auto", "manual") and not _cidr(text, ipaddress.IPv6Interface, 128):
        raise FormatError("value does not look like a valid ipv6 network configuration")
    return text


def _cidr(
    text: str, kind: type[ipaddress.IPv4Interface] | type[ipaddress.IPv6Interface], longest: int
) -> bool:
    _address, slash, mask = text.partition("/")
    if not slash or not mask.isdecimal() or not 7 < int(mask) <= longest:
        return False
    try:
        kind(text)
    except ValueError:
        return False
    return True


def address(text: str) -> str:
    """An IP address or a host name: both are name servers to Proxmox."""
    for check in (ip_address, dns_name):
        try:
            return check(text)
        except FormatError:
            continue
    raise FormatError(f"value does not look like a valid address: {text}")


def disk_volume(text: str) -> str:
    """A volume id (also the forms that allocate), an absolute path, `none` or `cdrom`."""
    return text if text in ("none", "cdrom") else volume_or_path(text)


def volume_or_path(text: str) -> str:
    return text if text.startswith("/") else volume_id(text)


def disk_size(text: str) -> str:
    if parse_size(text) is None:
        raise FormatError("value does not look like a valid disk size: " + text)
    return text


def parse_size(text: str) -> int | None:
    """`10G`, `512M` or plain bytes -> bytes; None when it is neither."""
    found = DISK_SIZE.match(text)
    return None if found is None else int(float(found[1]) * UNITS[found[2] or ""])


def format_size(size: int) -> str:
    """Bytes in the largest unit that divides them: 10G, 10752M, 4K, 1000."""
    unit, rest = "", size
    for larger in "KMGT":
        if rest == 0 or rest % 1024:
            break
        rest //= 1024
        unit = larger
    return f"{rest}{unit}"


def boot_disk(text: str) -> str:
    """A drive key for `bootdisk`; its pattern then rules out EFI and TPM disks."""
    if not BOOT_DISK.match(text):
        raise FormatError(f"invalid boot disk '{text}'")
    return text
