"""Drives: a volume and its options as they stand in `scsi0`, `ide2`, `efidisk0` and the like."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from state.propstring import parse, parse_boolean, render, render_number

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)")
_CLOUDINIT = re.compile(r".*[:/](?:vm-\d+-)?cloudinit(?:\.[a-z0-9]+)?")
_LIMITS = ("bps_rd", "bps_wr", "iops_rd", "iops_wr")
_ALIASES = {"volume": "file"} | {f"{name}_length": f"{name}_max_length" for name in _LIMITS}
_BYTES = ("bps", "bps_rd", "bps_wr")


def parse_pve_size(text: str) -> int:
    """Return bytes for `10G`, `10752M`, `4K` or a plain number of bytes."""
    match = _SIZE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"expected a size such as 10G, seen {text!r}")
    if "." in match[1]:
        return round(float(match[1]) * _UNITS[match[2]])
    return int(match[1]) * _UNITS[match[2]]


def format_pve_size(size: int) -> str:
    """Return bytes in the largest unit that keeps them whole, as Proxmox writes: `10752M`."""
    for unit in "TGMK":
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


@dataclass(frozen=True, slots=True)
class Drive:
    """A volume (`local-lvm:vm-100-disk-0`, a path, `none`) and its options as text."""

    volume: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def storage(self) -> str | None:
        """The storage's id; None for `none`, `cdrom` and absolute paths."""
        storage, colon, _ = self.volume.partition(":")
        return storage if colon and not storage.startswith("/") else None

    @property
    def size(self) -> int | None:
        """Bytes; None where Proxmox does not say (a CD-ROM, a volume just named)."""
        text = self.options.get("size")
        return None if text is None else parse_pve_size(text)

    @property
    def cdrom(self) -> bool:
        """Whether it is a CD-ROM drive; a cloud-init drive is one too."""
        return self.options.get("media") == "cdrom" or self.volume in ("cdrom", "none")

    @property
    def cloudinit(self) -> bool:
        return _CLOUDINIT.fullmatch(self.volume) is not None

    def number(self, name: str) -> float:
        """The option as a number; 0 when it is unset (of a throttle: unlimited)."""
        return float(self.options.get(name, "0"))

    def flag(self, name: str, default: bool = False) -> bool:
        """The option as a boolean; `discard=on` counts as true, `discard=ignore` as false."""
        text = self.options.get(name)
        if text is None:
            return default
        return False if text == "ignore" else parse_boolean(text)

    def option(self, name: str) -> str | None:
        return self.options.get(name)

    def with_options(self, changes: Mapping[str, str | None]) -> "Drive":
        """Return the same drive with options set, or removed where None."""
        merged: dict[str, str | None] = {**self.options, **changes}
        return Drive(self.volume, {k: text for k, text in merged.items() if text is not None})

    def render(self) -> str:
        """Return Proxmox's normal form: the volume, then the options by name."""
        return render({**self.options, "file": self.volume}, default_key="file")


def parse_drive(text: str) -> Drive:
    """Return a drive; aliases and the `bps*` limits are turned into the names Proxmox prints.

    Raises ValueError where no volume is named.
    """
    fields = {_ALIASES.get(name, name): value for name, value in parse(text, "file").items()}
    for name in _BYTES:
        if name in fields:
            fields[f"m{name}"] = render_number(float(fields.pop(name)) / _UNITS["M"])
    volume = fields.pop("file", None)
    if volume is None:
        raise ValueError(f"expected a drive such as local-lvm:vm-100-disk-0, seen {text!r}")
    return Drive(volume, fields)
