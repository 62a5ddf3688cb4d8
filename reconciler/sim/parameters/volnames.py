"""Volume names per kind of storage: reading `110/vm-110-disk-0.qcow2` and making new ones.

Sources: pve-storage PVE/Storage/{Plugin,LvmThinPlugin,RBDPlugin}.pm.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.sim.cluster.inventory import Storage
from reconciler.sim.errors import failed

VOLUME_ID = re.compile(r"([a-z][a-z0-9\-_.]*[a-z0-9]):(.+)\Z", re.IGNORECASE)
FILE_FORMATS = ("raw", "qcow2", "vmdk")
IMAGE_FILE = re.compile(r"(?:(vm|base)-)?\S*?\.(raw|qcow2|vmdk|subvol)\Z")
OWNED = re.compile(r"(vm|base)-(\d+)-\S+\Z")
LINKED_FILE = re.compile(r"(\d+)/(\S+)/(\d+)/(\S+)\Z")
PLAIN_FILE = re.compile(r"(\d+)/(\S+)\Z")
OTHER_FILES = {
    "iso": re.compile(r"iso/([^/]+\.(?:iso|img))\Z", re.IGNORECASE),
    "vztmpl": re.compile(r"vztmpl/([^/]+\.tar\.(?:gz|xz|zst))\Z"),
    "backup": re.compile(r"backup/([^/]+\.(?:tgz|tar|vma)(?:\.(?:gz|lzo|zst))?)\Z"),
    "snippets": re.compile(r"snippets/([^/]+)\Z"),
    "import": re.compile(r"import/([^/]+\.(?:ova|ovf|qcow2|raw|vmdk))\Z"),
}
BACKUP_OWNER = re.compile(r"backup/vzdump-(?:openvz|lxc|qemu)-(\d+)-.")
SNAPSHOT = re.compile(r"backup/(?:vm|ct|host)/(\d+)/\S+\Z")
DISK_NUMBER = re.compile(r"(?:vm|base)-(\d+)-disk-(\d+)(?:\.|\Z)")


@dataclass(frozen=True, slots=True)
class VolumeName:
    """What a volume's name says: kind of content, owner, base of a linked clone, format."""

    content: str
    vmid: int | None = None
    base: str | None = None
    is_base: bool = False
    format: str = "raw"


def split_volid(volid: str) -> tuple[str, str] | None:
    """`local:110/x.raw` -> ("local", "110/x.raw"); None for paths, `none` and the like."""
    found = VOLUME_ID.match(volid)
    return None if found is None else (found[1], found[2])


def parse_name(storage: Storage, name: str) -> VolumeName:
    """Read a volume's name. Raises 500 `unable to parse ... volume name 'X'`."""
    if storage.path is not None:
        return _file_name(name)
    if storage.kind == "pbs":
        snapshot = SNAPSHOT.match(name)
        if snapshot is None:
            raise failed(f"unable to parse PBS volume name '{name}'\n")
        return VolumeName("backup", int(snapshot[1]), format="pbs-vm")
    if storage.kind in ("rbd", "zfspool"):
        base, slash, last = name.rpartition("/")
        owned = OWNED.match(last)
        if owned is None or (slash and not base.startswith("base-")):
            plugin = storage.kind.removesuffix("pool")
            raise failed(f"unable to parse {plugin} volume name '{name}'\n")
        return VolumeName("images", int(owned[2]), base or None, owned[1] == "base")
    owned = OWNED.match(name)
    if owned is None:
        raise failed(f"unable to parse lvm volume name '{name}'\n")
    return VolumeName("images", int(owned[2]), None, owned[1] == "base")


def _file_name(name: str) -> VolumeName:
    linked = LINKED_FILE.match(name)
    if linked is not None:
        image = _image(linked[4])
        return VolumeName(
            "images", int(linked[3]), f"{linked[1]}/{linked[2]}", image.is_base, image.format
        )
    plain = PLAIN_FILE.match(name)
    if plain is not None:
        image = _image(plain[2])
        return VolumeName("images", int(plain[1]), None, image.is_base, image.format)
    for content, pattern in OTHER_FILES.items():
        if pattern.match(name):
            owner = BACKUP_OWNER.match(name)
            vmid = int(owner[1]) if owner is not None else None
            return VolumeName(content, vmid, format=_suffix(content, name))
    raise failed(f"unable to parse directory volume name '{name}'\n")


def _suffix(content: str, name: str) -> str:
    return name.rpartition(".")[2] if content == "import" else "raw"


def _image(file: str) -> VolumeName:
    found = IMAGE_FILE.match(file)
    if found is None:
        raise failed(f"unable to parse volume filename '{file}'\n")
    return VolumeName("images", is_base=found[1] == "base", format=found[2])


def image_name(storage: Storage, vmid: int, stem: str, form: str) -> str:
    """The volume name of an image called `stem` (vm-110-disk-0) in a format."""
    return f"{vmid}/{stem}.{form}" if storage.path is not None else stem


def disk_number(name: str, vmid: int) -> int | None:
    """n of `vm-V-disk-n` and `base-V-disk-n` in the last part of a volume name."""
    found = DISK_NUMBER.match(name.rpartition("/")[2])
    return int(found[2]) if found is not None and int(found[1]) == vmid else None


def file_path(storage: Storage, name: str) -> str:
    """Where a file-based storage keeps a volume; other storages answer a device path."""
    if storage.path is None:
        return f"/dev/{storage.options.get('vgname', 'pve')}/{name}"
    parsed = _file_name(name)
    if parsed.content == "images":
        linked = LINKED_FILE.match(name)
        name = f"{linked[3]}/{linked[4]}" if linked else name
        return f"{storage.path}/images/{name}"
    folder = {"iso": "template/iso", "vztmpl": "template/cache", "backup": "dump"}
    place = folder.get(parsed.content, parsed.content)
    return f"{storage.path}/{place}/{name.partition('/')[2]}"
