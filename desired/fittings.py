"""What is wrong with a spec's firmware and devices by themselves, and with each other."""

import re
from collections.abc import Iterator

from desired.cloudinit import UNIX_USER
from desired.devices import PCI_SLOT, SERIAL_SLOT, SHARE_SLOT, USB_SLOT, Iso
from desired.firmware import is_windows
from desired.spec import VMSpec
from desired.wording import Wrong

_SLOTS = (
    ("serials", SERIAL_SLOT, "serial0 to serial3"),
    ("pci", PCI_SLOT, "hostpci0 to hostpci15"),
    ("usb", USB_SLOT, "usb0 to usb13"),
    ("virtiofs", SHARE_SLOT, "virtiofs0 to virtiofs9"),
)


def fitting_wrongs(spec: VMSpec) -> Iterator[Wrong]:
    """Yield what Proxmox would refuse, or take and never start."""
    yield from _slots(spec)
    yield from _firmware(spec)
    yield from _devices(spec)
    if spec.iso:
        yield from _iso(spec.iso, spec)
    user = spec.cloudinit.user if spec.cloudinit else None
    if user and not is_windows(spec.ostype) and not re.fullmatch(UNIX_USER, user):
        message = f"expected lower-case letters, digits, _ and -, seen {user!r}"
        hint = "another name needs a Windows guest: ostype: win11"
        yield Wrong(("cloudinit", "user"), f"{message}; {hint}")


def _slots(spec: VMSpec) -> Iterator[Wrong]:
    for field, pattern, words in _SLOTS:
        for slot in getattr(spec, field):
            if not re.fullmatch(pattern, slot):
                message = f"expected a slot ({words}), seen {slot!r}"
                yield Wrong((field, slot), message, at_key=True)


def _firmware(spec: VMSpec) -> Iterator[Wrong]:
    if spec.efi is not None and spec.bios == "seabios":
        message = "only a UEFI guest has an EFI disk: write bios: ovmf, or take efi out"
        yield Wrong(("efi",), message, at_key=True)
    if spec.efi and spec.efi.pre_enrolled_keys and spec.efi.efitype == "2m":
        yield Wrong(("efi", "pre_enrolled_keys"), "only efitype: 4m holds keys")


def _devices(spec: VMSpec) -> Iterator[Wrong]:
    for field, devices in (("pci", spec.pci), ("usb", spec.usb)):
        for slot, device in devices.items():
            if device.state == "present" and (device.mapping is None) == (device.host is None):
                message = "expected either mapping: NAME or host: ADDRESS (none takes it out)"
                yield Wrong((field, slot), message)
    for slot, share in spec.virtiofs.items():
        if share.state == "present" and share.mapping is None:
            yield Wrong(("virtiofs", slot), "expected mapping: NAME (none takes it out)")
    for slot, pci in spec.pci.items():
        if pci.pcie and spec.machine is not None and "q35" not in spec.machine:
            message = f"needs machine: q35, the machine is {spec.machine}"
            yield Wrong(("pci", slot, "pcie"), message)


def _iso(iso: Iso, spec: VMSpec) -> Iterator[Wrong]:
    if iso.state == "present" and None in (iso.storage, iso.file):
        yield Wrong(("iso",), "expected storage and file, such as local:iso/debian-12.iso")
    if iso.slot in spec.disks:
        yield Wrong(("iso", "slot"), f"{iso.slot} is a disk of this VM: take another slot")
