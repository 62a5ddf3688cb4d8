"""The devices part of a spec: display, serial ports, passed-through hardware, shares and the ISO.

A passed-through device is named by a mapping of the cluster (`mapping: NAME`), which any login with
`Mapping.Use` may set, or by its address on the host, which only root@pam may. The word `none` in
place of a device takes it out of the VM; a slot that is not mentioned stays as it is.
"""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from desired.hardware import STORAGE
from desired.model import Bool, Int, Model

PCI_SLOT = r"hostpci([0-9]|1[0-5])"
USB_SLOT = r"usb([0-9]|1[0-3])"
SHARE_SLOT = r"virtiofs[0-9]"
SERIAL_SLOT = r"serial[0-3]"
CD_SLOT = r"ide[0-3]|sata[0-5]|scsi([0-9]|[12][0-9]|30)"
MAPPING = r"^[A-Za-z][A-Za-z0-9_-]{1,}$"
PCI_HOST = r"^([0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}(\.[0-9a-f])?(;\S+)?$"
USB_HOST = r"^((0x)?[0-9A-Fa-f]{4}:(0x)?[0-9A-Fa-f]{4}|[0-9]+-[0-9]+(\.[0-9]+)*|spice)$"
MDEV = r"^[A-Za-z0-9_.-]+$"
SERIAL = r"^(socket|none|/dev/[^,\s]+)$"
ISO_FILE = r"^[^/\\:,\s]+\.([iI][sS][oO]|[iI][mM][gG])$"
_VOLUME = re.compile(r"([^:/]+):iso/(.+)")

Display = Literal[
    "cirrus",
    "none",
    "qxl",
    "qxl2",
    "qxl3",
    "qxl4",
    "serial0",
    "serial1",
    "serial2",
    "serial3",
    "std",
    "virtio",
    "virtio-gl",
    "vmware",
]
SerialPort = Annotated[str, Field(pattern=SERIAL, description="socket, none or a host device")]
Presence = Annotated[
    Literal["present", "absent"], Field(description="absent: taken out; short form: none")
]


def _gone(value: object) -> object:
    """The word `none` in place of a device's map."""
    return {"state": "absent"} if value == "none" else value


def _mapped(value: object) -> object:
    """The name of a mapping, or `none`, in place of a device's map."""
    value = _gone(value)
    return {"mapping": value} if isinstance(value, str) else value


class Vga(Model):
    """The display: `vga: serial0`, or `{type: virtio, memory: 64}` (MiB)."""

    type: Display | None = None
    memory: Int | None = Field(None, ge=4, le=512, description="MiB")
    clipboard: Literal["vnc"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_type(cls, value: object) -> object:
        return {"type": value} if isinstance(value, str) else value


class Rng(Model):
    """A source of randomness: `rng: /dev/urandom`, or `{max_bytes: 1024, period: 1000}`."""

    source: Literal["/dev/urandom", "/dev/random", "/dev/hwrng"] = "/dev/urandom"
    max_bytes: Int | None = Field(None, ge=0, description="bytes a period; 0 = unlimited")
    period: Int | None = Field(None, ge=1, description="milliseconds")
    state: Presence = "present"

    @model_validator(mode="before")
    @classmethod
    def _by_source(cls, value: object) -> object:
        value = _gone(value)
        return {"source": value} if isinstance(value, str) else value


class Pci(Model):
    """A PCI device of the host: `gpu`, or `{mapping: gpu, pcie: true}`."""

    mapping: str | None = Field(None, pattern=MAPPING)
    host: str | None = Field(None, pattern=PCI_HOST, description="root@pam only")
    pcie: Bool | None = Field(None, description="needs machine: q35")
    primary: Bool | None = Field(None, description="the guest's display (x-vga)")
    rombar: Bool | None = None
    mdev: str | None = Field(None, pattern=MDEV, description="type of a mediated device")
    state: Presence = "present"

    _short = model_validator(mode="before")(_mapped)


class Usb(Model):
    """A USB device of the host: `dongle`, `{mapping: dongle, usb3: true}`, or `spice`."""

    mapping: str | None = Field(None, pattern=MAPPING)
    host: str | None = Field(None, pattern=USB_HOST, description="root@pam only, but spice")
    usb3: Bool | None = None
    state: Presence = "present"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"host": "spice"} if value == "spice" else _mapped(value)


class Share(Model):
    """A directory of the host by its mapping, mounted in the guest under that name (virtiofs)."""

    mapping: str | None = Field(None, pattern=MAPPING)
    cache: Literal["auto", "always", "metadata", "never"] | None = None
    direct_io: Bool | None = None
    expose_acl: Bool | None = None
    expose_xattr: Bool | None = None
    state: Presence = "present"

    _short = model_validator(mode="before")(_mapped)


class Iso(Model):
    """The one ISO in the VM's CD-ROM drive (CI-07): `local:iso/debian-12.iso`, `none` ejects."""

    storage: str | None = Field(None, pattern=STORAGE)
    file: str | None = Field(None, pattern=ISO_FILE)
    slot: str | None = Field(None, pattern=f"^({CD_SLOT})$", description="else a free one")
    state: Presence = "present"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        if not isinstance(value, str) or value == "none":
            return _gone(value)
        match = _VOLUME.fullmatch(value)
        if not match:
            raise ValueError(f"expected a volume such as local:iso/debian-12.iso, seen {value!r}")
        return {"storage": match[1], "file": match[2]}

    @property
    def volume(self) -> str:
        """The volume's id, `none` for an empty drive."""
        return f"{self.storage}:iso/{self.file}" if self.state == "present" else "none"
