"""The Proxmox config keys that `config:` may not pass through, and why (design.md 2 and 7)."""

import re
from collections.abc import Iterator

from desired.catalog import Cluster
from desired.spec import VMSpec
from desired.wording import Wrong

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
    "bios",
    "machine",
    "ostype",
    r"efidisk\d+",
    r"tpmstate\d+",
    "scsihw",
    "vga",
    r"rng\d+",
    r"serial\d+",
    r"hostpci\d+",
    r"usb\d+",
    r"virtiofs\d+",
    "boot",
    "bootdisk",
    "ciuser",
    "cipassword",
    "ciupgrade",
    "cicustom",
    "citype",
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
    "amd-sev",
    "arch",
    "hugepages",
    "intel-tdx",
    "keephugepages",
    "ivshmem",
    r"parallel\d+",
    "spice_enhancements",
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
    "citype": "cloudinit.type",
    "efidisk0": "efi",
    "tpmstate0": "tpm",
    "rng0": "rng",
    "sshkeys": "cloudinit.keys",
    "nameserver": "cloudinit.dns",
    "searchdomain": "cloudinit.search",
}
_OWNED, _RESERVED, _ROOT = (
    re.compile("|".join(patterns)) for patterns in (OWNED, RESERVED, ROOT_ONLY)
)
_MAPS = {
    "net": "nics",
    "hostpci": "pci",
    "usb": "usb",
    "serial": "serials",
    "virtiofs": "virtiofs",
}
_SLOTS = r"(net|scsi|ide|sata|virtio|ipconfig|hostpci|usb|serial|virtiofs)(\d+)"
_KEY = re.compile(r"[a-z][a-z0-9_-]*")


def is_owned(key: str) -> bool:
    """Whether a handler owns this Proxmox key."""
    return _OWNED.fullmatch(key) is not None


def refusal(key: str, cluster: Cluster | None) -> str | None:
    """Return why `config: {key: …}` cannot be passed through on this cluster, or None."""
    if not _KEY.fullmatch(key):
        return "expected a Proxmox key in lower case"
    if is_owned(key):
        return f"belongs to {_field(key)} of the spec; write it there"
    if _RESERVED.fullmatch(key):
        return "is no setting that can be passed through"
    if _ROOT.fullmatch(key) and not (cluster and is_root(cluster)):
        return f"only the login root@pam may set it, {_not(cluster)}"
    return None


def device_wrongs(spec: VMSpec, cluster: Cluster) -> Iterator[Wrong]:
    """Yield the devices that are named by their address on the host, which Proxmox lets only
    root@pam do; a mapping of the cluster does the same for any login."""
    if is_root(cluster):
        return
    for field, devices in (("pci", spec.pci), ("usb", spec.usb)):
        for slot, device in devices.items():
            if device.host is not None and device.host != "spice":
                message = f"only the login root@pam may name a host's device, {_not(cluster)}"
                hint = "map it (Datacenter, Resource Mappings) and write mapping: NAME"
                yield Wrong((field, slot, "host"), f"{message}; {hint}")
    for slot, port in spec.serials.items():
        if port not in ("socket", "none"):
            message = f"only the login root@pam may name a host's port, {_not(cluster)}"
            yield Wrong(("serials", slot), f"{message}; write socket")


def is_root(cluster: Cluster) -> bool:
    """Whether we log in as root@pam itself: a token of root@pam is not root@pam."""
    return cluster.login is not None and cluster.login.user == "root@pam"


def _not(cluster: Cluster | None) -> str:
    """Who logs in instead, and so may not."""
    if cluster and cluster.token:
        return f"not the token {cluster.token.id}"
    return f"not {cluster.login.user}" if cluster and cluster.login else "no token"


def _field(key: str) -> str:
    match = re.fullmatch(_SLOTS, key)
    if not match:
        return _FIELDS.get(key, key)
    if match[1] == "ipconfig":
        return f"nics.net{match[2]}.ipv4 and ipv6"
    return f"{_MAPS.get(match[1], 'disks')}.{key}"
