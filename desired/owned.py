"""The Proxmox config keys that `config:` may not pass through, and why (design.md 2 and 7)."""

import re

from desired.catalog import Cluster

OWNED = (
    "name",
    "cores",
    "sockets",
    "cpu",
    "cpulimit",
    "cpuunits",
    "numa",
    "memory",
    "balloon",
    r"net\d+",
    r"scsi\d+",
    r"ide\d+",
    r"sata\d+",
    r"virtio\d+",
    "boot",
    "bootdisk",
    "ciuser",
    "cipassword",
    "ciupgrade",
    "cicustom",
    "sshkeys",
    r"ipconfig\d+",
    "nameserver",
    "searchdomain",
    "tags",
    "description",
    "agent",
    "onboot",
    "startup",
    "protection",
)
"""Patterns of the keys that a field of the spec, and so a handler, owns."""

RESERVED = (
    "delete",
    "revert",
    "digest",
    "force",
    "skiplock",
    "background_delay",
    "vmid",
    "node",
    "template",
    "lock",
    "smbios1",
    "vmgenid",
    "meta",
    "parent",
    "snaptime",
    "snapstate",
    "vmstate",
    r"unused\d+",
    r"efidisk\d+",
    r"tpmstate\d+",
    "cdrom",
    "smp",
    "archive",
    "import-working-storage",
    r"running\w+",
)
"""Patterns of keys that are no settings, would allocate at every write, or carry the identity."""

ROOT_ONLY = (
    "args",
    "hookscript",
    "affinity",
    "arch",
    "hugepages",
    "keephugepages",
    "ivshmem",
    r"parallel\d+",
)
"""Patterns of keys that only the ticket of root@pam may set; no token ever may (pve-api.md 1)."""

_FIELDS = {
    "cores": "cpu.cores",
    "sockets": "cpu.sockets",
    "cpu": "cpu.type",
    "cpulimit": "cpu.limit",
    "cpuunits": "cpu.units",
    "numa": "cpu.numa",
    "bootdisk": "boot",
    "ciuser": "cloudinit.user",
    "cipassword": "cloudinit.password",
    "ciupgrade": "cloudinit.upgrade",
    "cicustom": "cloudinit.custom",
    "sshkeys": "cloudinit.keys",
    "nameserver": "cloudinit.dns",
    "searchdomain": "cloudinit.search",
}
_OWNED, _RESERVED, _ROOT = (
    re.compile("|".join(patterns)) for patterns in (OWNED, RESERVED, ROOT_ONLY)
)
_KEY = re.compile(r"[a-z][a-z0-9_-]*")


def is_owned(key: str) -> bool:
    """Whether a handler owns this Proxmox key."""
    return _OWNED.fullmatch(key) is not None


def refusal(key: str, value: object, cluster: Cluster | None) -> str | None:
    """Return why `config: {key: value}` cannot be passed through on this cluster, or None."""
    if not _KEY.fullmatch(key):
        return "expected a Proxmox key in lower case"
    if is_owned(key):
        return f"belongs to {_field(key)} of the spec; write it there"
    if _RESERVED.fullmatch(key):
        return "is no setting that can be passed through"
    if _needs_root(key, value) and not (cluster and _is_root(cluster)):
        return "only the login root@pam may set it, no token"
    return None


def _field(key: str) -> str:
    match = re.fullmatch(r"(net|scsi|ide|sata|virtio|ipconfig)(\d+)", key)
    if not match:
        return _FIELDS.get(key, key)
    if match[1] == "ipconfig":
        return f"nics.net{match[2]}.ipv4 and ipv6"
    return f"nics.{key}" if match[1] == "net" else f"disks.{key}"


def _needs_root(key: str, value: object) -> bool:
    if re.fullmatch(r"serial\d+", key):
        return value != "socket"
    if re.fullmatch(r"(usb|hostpci)\d+", key):
        return "mapping=" not in str(value) and value not in ("spice", "host=spice")
    return _ROOT.fullmatch(key) is not None


def _is_root(cluster: Cluster) -> bool:
    return cluster.login is not None and cluster.login.user == "root@pam"
