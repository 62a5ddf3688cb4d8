"""Formats of single VM config values: boot devices, CPU models, tags, addresses, hot-plug lists."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote

from reconciler.sim.errors import failed
from reconciler.sim.parameters.formats import dns_name, ip_address, volume_id
from reconciler.sim.parameters.schema import FormatError, split_list


def words(text: str) -> tuple[str, ...]:
    """The words of a text, for tables of names."""
    return tuple(text.split())


NEW_DISK = re.compile(r"(?:([^/:\s]+):)?(\d+(?:\.\d+)?)\Z")
HOTPLUG = ("network", "disk", "cpu", "memory", "usb", "cloudinit")
TAG = re.compile(r"[a-z0-9_][a-z0-9_\-+.]*\Z", re.IGNORECASE)
CPUSET = re.compile(r"\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*\Z")
STARTUP = re.compile(r"(?:(?:order=)?\d+|up=\d+|down=\d+)\Z")
BOOT_DEVICE = re.compile(
    r"(?:ide[0-3]|sata[0-5]|scsi(?:[12]?\d|30)|virtio(?:\d|1[0-5])|net(?:[12]?\d|3[01])"
    r"|usb(?:\d|1[0-3])|hostpci(?:\d|1[0-5]))\Z"
)
SSH_KEY = re.compile(
    r"(?:\S.*\s)?(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d+|sk-[\w@.-]+)\s+[A-Za-z0-9+/=]+(?:\s.*)?\Z"
)
DISK_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT])?\Z")
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

CPU_FLAGS = words(
    "pcid spec-ctrl ibpb ssbd virt-ssbd amd-ssbd amd-no-ssb pdpe1gb md-clear hv-tlbflush "
    "hv-evmcs aes"
)
CPU_MODELS = frozenset(
    words(
        "486 athlon Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS "
        "Cascadelake-Server Cascadelake-Server-noTSX Cascadelake-Server-v2 Cascadelake- "
        "Server-v4 Cascadelake-Server-v5 Conroe Cooperlake Cooperlake-v2 core2duo coreduo "
        "EPYC EPYC-Genoa EPYC-IBPB EPYC-Milan EPYC-Milan-v2 EPYC-Rome EPYC-Rome-v2 EPYC- "
        "Rome-v3 EPYC-Rome-v4 EPYC-v3 EPYC-v4 GraniteRapids Haswell Haswell-IBRS Haswell- "
        "noTSX Haswell-noTSX-IBRS host Icelake-Client Icelake-Client-noTSX Icelake-Server "
        "Icelake-Server-noTSX Icelake-Server-v3 Icelake-Server-v4 Icelake-Server-v5 Icelake- "
        "Server-v6 IvyBridge IvyBridge-IBRS KnightsMill kvm32 kvm64 max Nehalem Nehalem-IBRS "
        "Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 Penryn pentium pentium2 "
        "pentium3 phenom qemu32 qemu64 SandyBridge SandyBridge-IBRS SapphireRapids "
        "SapphireRapids-v2 Skylake-Client Skylake-Client-IBRS Skylake-Client-noTSX-IBRS "
        "Skylake-Client-v4 Skylake-Server Skylake-Server-IBRS Skylake-Server-noTSX-IBRS "
        "Skylake-Server-v4 Skylake-Server-v5 Westmere Westmere-IBRS x86-64-v2 x86-64-v2-AES "
        "x86-64-v3 x86-64-v4"
    )
)


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
    if not all(STARTUP.match(part) for part in re.split(r"[,\s]+", text) if part):
        raise FormatError("unable to parse startup options")
    return text


def hotplug_features(text: str) -> str:
    if text not in ("0", "1"):
        for one in split_list(text):
            if one not in HOTPLUG:
                raise FormatError(f"invalid hotplug feature '{one}'")
    return text


def cpu_model(parts: dict[str, str]) -> None:
    """Validator of the whole `cpu` property string."""
    model = parts.get("cputype")
    if model is not None and not model.startswith("custom-") and model not in CPU_MODELS:
        raise FormatError(f"Built-in cputype '{model}' is not defined (missing 'custom-' prefix?)")
    for flag in parts.get("flags", "").split(";"):
        if flag and flag[1:] not in CPU_FLAGS:
            listed = ", ".join(CPU_FLAGS)
            raise FormatError(f"VM-specific CPU flags must be a subset of: {listed}")


def ipv4_config(text: str) -> str:
    if text != "dhcp" and not _cidr(text, ipaddress.IPv4Interface, 32):
        raise FormatError("value does not look like a valid ipv4 network configuration")
    return text


def ipv6_config(text: str) -> str:
    if text not in ("dhcp", "auto") and not _cidr(text, ipaddress.IPv6Interface, 128):
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
    """A volume id, an absolute path, `none`, `cdrom`, or the forms that allocate."""
    if text in ("none", "cdrom", "cloudinit") or text.startswith("/") or NEW_DISK.match(text):
        return text
    return volume_id(text)


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


def unique_tags(text: str) -> str:
    """The form in which an update stores tags: lower case, sorted, each once, `;` between."""
    return ";".join(sorted({one.lower() for one in split_list(text)}))


def check_ssh_keys(encoded: str) -> None:
    """Raise 500 unless each line of the percent-encoded text looks like a public key."""
    for line in unquote(encoded).split("\n"):
        key = line.strip()
        if key and not key.startswith("#") and not SSH_KEY.match(key):
            raise failed("SSH public key validation error\n")
