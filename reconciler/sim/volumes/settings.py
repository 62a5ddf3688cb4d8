"""The values that a section of storage.cfg takes, one by one.

Sources: pve-storage PVE/Storage/Plugin.pm, PVE/Storage/*Plugin.pm (properties), pve-common
PVE/Tools.pm (parse_host_and_port).
"""

from __future__ import annotations

import re

from reconciler.sim.backup.retention import PRUNE
from reconciler.sim.parameters.formats import (
    config_id,
    dns_name,
    ip_address,
    node_name,
    volume_id,
)
from reconciler.sim.parameters.schema import (
    Boolean,
    Field,
    FormatError,
    Integer,
    Number,
    Properties,
    Text,
)
from reconciler.sim.volumes.storages import content_type

FLAGS = (
    *("create-base-path", "create-subdirs", "disable", "fuse", "krbd", "mkdir", "nocow"),
    *("saferemove", "shared", "sparse", "tagged_only"),
)
NUMBERS = ("max-protected-backups", "port")
PATH = re.compile(r"/[^;()]")
GROUP = re.compile(r"[a-z0-9][a-z0-9\-_.]*[a-z0-9]\Z", re.IGNORECASE)
PLACE = re.compile(r"([a-z]+)=([^.]*(?:\.?[^.]+)+)\Z")
PORTAL = re.compile(r"(?:\[([^\]]*)\]|([^:]*))(?::\d+)?\Z")
LONGEST_PATH = 1023
LONGEST_NAME = 255


def absolute_path(text: str) -> str:
    """The format `pve-storage-path`."""
    if not PATH.match(text):
        raise FormatError("value does not look like a valid absolute path")
    return text


def is_host(text: str) -> bool:
    """Whether the text is an IP address or a DNS name."""
    for check in (ip_address, dns_name):
        try:
            check(text)
        except FormatError:
            continue
        return True
    return False


def server(text: str) -> str:
    """The format `pve-storage-server`."""
    if not is_host(text):
        raise FormatError("value does not look like a valid server name or IP address")
    return text


def portal(text: str) -> str:
    """The format `pve-storage-portal-dns`: a host with a port or without."""
    found = PORTAL.match(text)
    if not is_host(text) and (found is None or not is_host(found[1] or found[2] or "")):
        raise FormatError("value does not look like a valid portal address")
    return text


def volume_group(text: str) -> str:
    """The format `pve-storage-vgname`."""
    if not GROUP.match(text):
        raise FormatError(f"lvm name '{text}' contains illegal characters")
    return text


def mount_options(text: str) -> str:
    """The format `pve-storage-options`."""
    if not re.fullmatch(r"\S+", text):
        raise FormatError(f"invalid options '{text}'")
    return text


def own_folder(text: str) -> str:
    """The format `pve-dir-override`: `CONTENT=FOLDER`."""
    found = PLACE.match(text)
    if found is None:
        raise FormatError(f"invalid override '{text}'")
    content_type(found[1])
    long = any(len(part) >= LONGEST_NAME for part in found[2].split("/"))
    if long or len(found[2]) >= LONGEST_PATH:
        raise FormatError(f"invalid override '{text}'")
    return text


def _limit() -> Field:
    return Number(optional=True, minimum=0)


LIMITS = ("default", "restore", "migration", "move", "clone")
SETTINGS: dict[str, Field] = {
    **{name: Boolean(optional=True) for name in FLAGS},
    "base": Text(optional=True, format=volume_id),
    "bwlimit": Properties(optional=True, parts={name: _limit() for name in LIMITS}),
    "content": Text(optional=True, list_of=content_type),
    "content-dirs": Text(optional=True, list_of=own_folder),
    "domain": Text(optional=True, max_length=256),
    "export": Text(optional=True, format=absolute_path),
    "fingerprint": Text(optional=True, pattern="([A-Fa-f0-9]{2}:){31}[A-Fa-f0-9]{2}"),
    "format": Text(optional=True, enum=("raw", "qcow2", "subvol", "vmdk")),
    "fs-name": Text(optional=True, format=config_id),
    "max-protected-backups": Integer(optional=True, minimum=-1),
    "monhost": Text(optional=True, list_of=portal),
    "mountpoint": Text(optional=True, format=absolute_path),
    "nodes": Text(optional=True, list_of=node_name),
    "options": Text(optional=True, format=mount_options),
    "password": Text(optional=True, max_length=256),
    "path": Text(optional=True, format=absolute_path),
    "port": Integer(optional=True, minimum=1, maximum=65535),
    "preallocation": Text(optional=True, enum=("off", "metadata", "falloc", "full")),
    "prune-backups": PRUNE,
    "server": Text(optional=True, format=server),
    "smbversion": Text(optional=True, enum=("default", "2.0", "2.1", "3", "3.0", "3.11")),
    "subdir": Text(optional=True, format=absolute_path),
    "thinpool": Text(optional=True, format=volume_group),
    "vgname": Text(optional=True, format=volume_group),
}


def setting(name: str) -> Field:
    """What the parameter takes; one without a format takes any text."""
    return SETTINGS.get(name, Text(optional=True))
