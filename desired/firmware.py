"""The firmware part of a spec: what a UEFI guest, secure boot and Windows need."""

from typing import Literal

from pydantic import Field

from desired.hardware import STORAGE
from desired.model import Bool, Model

MACHINE = (
    r"^(pc|q35|virt|pc-(i440fx|q35)-[0-9]+(\.[0-9]+)+(\+pve[0-9]+)?"
    r"|virt-[0-9]+(\.[0-9]+)+(\+pve[0-9]+)?)$"
)
Bios = Literal["seabios", "ovmf"]
OsType = Literal[
    "other",
    "l24",
    "l26",
    "solaris",
    "w2k",
    "w2k3",
    "w2k8",
    "win10",
    "win11",
    "win7",
    "win8",
    "wvista",
    "wxp",
]
ScsiController = Literal[
    "lsi", "lsi53c810", "megasas", "pvscsi", "virtio-scsi-pci", "virtio-scsi-single"
]


class Efi(Model):
    """The disk of UEFI's variables (`efidisk0`), made once: a new one is 4m without keys.

    `pre_enrolled_keys: true` is secure boot, with the keys of Microsoft and the distributions.
    """

    storage: str | None = Field(None, pattern=STORAGE)
    efitype: Literal["2m", "4m"] | None = None
    pre_enrolled_keys: Bool | None = Field(None, description="secure boot; needs 4m")


class Tpm(Model):
    """The state disk of a TPM (`tpmstate0`), made once: a new one is v2.0."""

    storage: str | None = Field(None, pattern=STORAGE)
    version: Literal["v1.2", "v2.0"] | None = None


def is_windows(ostype: str | None) -> bool:
    """Whether Proxmox takes the guest for a Windows."""
    return ostype is not None and ostype.startswith("w")
