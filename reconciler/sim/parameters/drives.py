"""Drive keys (scsi0, ide2, unused0 ...) and their values, read and printed as Proxmox does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.sim.errors import bad_parameters
from reconciler.sim.parameters.formats import url_encoded, volume_id
from reconciler.sim.parameters.schema import (
    Boolean,
    Field,
    FormatError,
    Integer,
    Number,
    Properties,
    Text,
    parse_properties,
)
from reconciler.sim.parameters.values import (
    NEW_DISK,
    disk_size,
    disk_volume,
    format_size,
    parse_size,
    volume_or_path,
    words,
)

COUNTS = {"ide": 4, "scsi": 31, "virtio": 16, "sata": 6, "efidisk": 1, "tpmstate": 1}
DRIVES = tuple(f"{bus}{index}" for bus, count in COUNTS.items() for index in range(count))
UNUSED = tuple(f"unused{index}" for index in range(256))
DRIVE_KEY = re.compile(r"(ide|scsi|virtio|sata|efidisk|tpmstate|unused)(\d+)\Z")
IMAGE_FORMATS = ("raw", "qcow", "qed", "qcow2", "vmdk", "cloop")
CLOUDINIT = re.compile(rf"[:/](?:vm-\d+-)?cloudinit(?:\.(?:{'|'.join(IMAGE_FORMATS)}))?\Z")
THROTTLES = words(
    "iops iops_rd iops_wr iops_max iops_rd_max iops_wr_max mbps mbps_rd mbps_wr mbps_max "
    "mbps_rd_max mbps_wr_max bps_max_length bps_rd_max_length bps_wr_max_length "
    "iops_max_length iops_rd_max_length iops_wr_max_length"
)
NEEDS_RESTART = words("aio cache discard iothread product queues ro ssd vendor")
NEEDED = (
    *((f"mbps{part}_max", f"mbps{part}") for part in ("", "_rd", "_wr")),
    *((f"bps{part}_max_length", f"mbps{part}_max") for part in ("", "_rd", "_wr")),
    *((f"iops{part}_max_length", f"iops{part}_max") for part in ("", "_rd", "_wr")),
)
DISK_ONLY = words("snapshot trans format heads secs cyls")
EXCLUSIVE = (("mbps_rd", "mbps"), ("mbps_wr", "mbps"), ("iops_rd", "iops"), ("iops_wr", "iops"))


def _throttle_fields() -> dict[str, Field]:
    fields: dict[str, Field] = {}
    for part in ("", "_rd", "_wr"):
        fields[f"bps{part}"] = Integer(optional=True)
        fields[f"mbps{part}"] = Number(optional=True)
        fields[f"mbps{part}_max"] = Number(optional=True)
        fields[f"iops{part}"] = Integer(optional=True)
        fields[f"iops{part}_max"] = Integer(optional=True)
        fields[f"bps{part}_max_length"] = Integer(optional=True, minimum=1)
        fields[f"iops{part}_max_length"] = Integer(optional=True, minimum=1)
        if part:
            fields[f"bps{part}_length"] = Text(alias=f"bps{part}_max_length")
            fields[f"iops{part}_length"] = Text(alias=f"iops{part}_max_length")
    return fields


VOLUME: dict[str, Field] = {
    "file": Text(default_key=True, format=disk_volume),
    "volume": Text(alias="file"),
    "size": Text(optional=True, format=disk_size),
    "import-from": Text(optional=True, format=volume_or_path),
}
DISK: dict[str, Field] = {
    **VOLUME,
    **_throttle_fields(),
    "aio": Text(optional=True, enum=("native", "threads", "io_uring")),
    "backup": Boolean(optional=True),
    "cache": Text(
        optional=True, enum=("none", "writethrough", "writeback", "unsafe", "directsync")
    ),
    "detect_zeroes": Boolean(optional=True),
    "cyls": Integer(optional=True),
    "discard": Text(optional=True, enum=("ignore", "on")),
    "format": Text(optional=True, enum=IMAGE_FORMATS),
    "heads": Integer(optional=True),
    "media": Text(optional=True, enum=("cdrom", "disk")),
    "replicate": Boolean(optional=True),
    "rerror": Text(optional=True, enum=("ignore", "report", "stop")),
    "secs": Integer(optional=True),
    "serial": Text(optional=True, format=url_encoded, max_length=60),
    "shared": Boolean(optional=True),
    "snapshot": Boolean(optional=True),
    "trans": Text(optional=True, enum=("none", "lba", "auto")),
    "werror": Text(optional=True, enum=("enospc", "ignore", "report", "stop")),
}
SSD: dict[str, Field] = {"ssd": Boolean(optional=True)}
WWN: dict[str, Field] = {"wwn": Text(optional=True, pattern=r"0x[0-9a-fA-F]{16}")}
IOTHREAD: dict[str, Field] = {"iothread": Boolean(optional=True), "ro": Boolean(optional=True)}
FORMS: dict[str, dict[str, Field]] = {
    "ide": {**DISK, **SSD, **WWN, "model": Text(optional=True, format=url_encoded, max_length=120)},
    "sata": {**DISK, **SSD, **WWN},
    "scsi": {
        **DISK,
        **SSD,
        **WWN,
        **IOTHREAD,
        "queues": Integer(optional=True, minimum=2),
        "scsiblock": Boolean(optional=True),
        "product": Text(optional=True, pattern=r"[A-Za-z0-9\-_\s]{,16}"),
        "vendor": Text(optional=True, pattern=r"[A-Za-z0-9\-_\s]{,8}"),
    },
    "virtio": {**DISK, **IOTHREAD},
    "efidisk": {
        **VOLUME,
        "format": Text(optional=True, enum=IMAGE_FORMATS),
        "efitype": Text(optional=True, enum=("2m", "4m")),
        "pre-enrolled-keys": Boolean(optional=True),
    },
    "tpmstate": {**VOLUME, "version": Text(optional=True, enum=("v1.2", "v2.0"))},
    "unused": {
        "file": Text(default_key=True, format=volume_id),
        "volume": Text(alias="file"),
    },
}
FIELDS = {bus: Properties(optional=True, parts=parts) for bus, parts in FORMS.items()}


@dataclass(frozen=True, slots=True)
class Drive:
    """One drive value: the volume (or `none`, or an allocate form), size in bytes, options."""

    key: str
    file: str
    size: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_cdrom(self) -> bool:
        """True for CD-ROM media, cloud-init drives included."""
        return self.options.get("media") == "cdrom"

    @property
    def is_cloudinit(self) -> bool:
        return CLOUDINIT.search(self.file) is not None

    @property
    def allocates(self) -> re.Match[str] | None:
        """The match (storage, size in GiB) when the value asks for a new volume."""
        return NEW_DISK.match(self.file)

    def print(self) -> str:
        """The normal form: volume first, then the options by name, sizes in their largest unit."""
        options = dict(self.options)
        if self.size is not None:
            options["size"] = format_size(self.size)
        return ",".join([self.file, *(f"{key}={options[key]}" for key in sorted(options))])


def is_drive(key: str) -> bool:
    """True for drive keys that a VM can have attached; unusedN are none."""
    found = DRIVE_KEY.match(key)
    return found is not None and int(found[2]) < COUNTS.get(found[1], 0)


def parse_drive(key: str, text: str) -> Drive | None:
    """Read a value; None when Proxmox says `unable to parse drive options`."""
    found = DRIVE_KEY.match(key)
    form = FIELDS.get(found[1]) if found else None
    if form is None or found is None:
        return None
    try:
        parts = parse_properties(form, text, key)
    except FormatError:
        return None
    for name in ("bps", "bps_rd", "bps_wr"):
        if name in parts:
            if f"m{name}" in parts:
                return None
            # Proxmox divides not the rate but "is one given" by a MiB
            del parts[name]
            parts[f"m{name}"] = "0.000"
    if any(_set(parts, a) and not _set(parts, b) for a, b in NEEDED):
        return None
    if any(_set(parts, a) and _set(parts, b) for a, b in EXCLUSIVE):
        return None
    if parts.get("media") == "cdrom" and (
        found[1] == "virtio" or any(_set(parts, name) for name in DISK_ONLY)
    ):
        return None
    size = parse_size(parts.pop("size")) if "size" in parts else None
    return Drive(key, parts.pop("file"), size, parts)


def read_drive(key: str, text: str) -> Drive:
    """The same for a value given by a caller. Raises 400 `unable to parse drive options`."""
    drive = parse_drive(key, text)
    if drive is None:
        raise bad_parameters({key: "unable to parse drive options"})
    return drive


def drives_of(values: Mapping[str, object]) -> list[Drive]:
    """The attached drives of a config section, in the order of their keys."""
    found = []
    for key in sorted(values):
        if is_drive(key):
            drive = parse_drive(key, str(values[key]))
            if drive is not None:
                found.append(drive)
    return found


def _set(parts: Mapping[str, str], key: str) -> bool:
    return parts.get(key, "0") not in ("", "0")
