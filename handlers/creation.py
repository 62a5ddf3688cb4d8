"""A VM that is made straight from a disk image: the one call that creates it (CI-04, CI-05)."""

import re
from collections.abc import Iterable

from desired.firmware import is_windows
from desired.hardware import DISK_SLOT
from desired.spec import VMSpec
from handlers.marker import marker
from handlers.network import new_nic
from handlers.slots import in_order
from handlers.wishes import kept_macs
from state.change import Call, Method, Param
from state.drive import Drive
from state.memory import Binding
from state.observed import SeenVM

SYSTEM = "scsi0"
CLOUDINIT_SLOTS = ("ide2", "ide0", "ide3", "sata5", "sata4")


def creation_call(spec: VMSpec, seen: SeenVM, binding: Binding, image: str) -> Call:
    """`POST /nodes/N/qemu` with what a template has ready: the disk copied from the image, boot
    order, cloud-init drive, serial console, agent, and the NICs that the spec names.

    All else differs afterwards and is made right as in a clone. A password is never in the call,
    for Proxmox would keep it in clear (design 4).
    """
    slot = system_slot(spec)
    storage = binding.storage or ""
    params: dict[str, Param] = {
        "vmid": binding.vmid,
        "name": spec.name,
        "description": marker(seen),
        "ostype": spec.ostype or "l26",
        "scsihw": spec.scsihw or "virtio-scsi-single",
        slot: Drive(f"{storage}:0", {"import-from": image}).render(),
        "boot": f"order={slot}",
        "agent": "1" if spec.agent is not False else "0",
    }
    drive = next((one for one in CLOUDINIT_SLOTS if one not in _taken(spec)), None)
    if drive is not None:
        params[drive] = f"{storage}:cloudinit"
    if not is_windows(spec.ostype):
        params |= {"serial0": "socket", "vga": "serial0"}
    for nic in in_order(spec.nics):
        value = new_nic(spec.nics[nic], spec, kept_macs(seen.memory).get(nic))
        if value is not None:
            params[nic] = value
    return Call(Method.POST, f"/nodes/{binding.node}/qemu", params)


def system_slot(spec: VMSpec) -> str:
    """The slot of the system disk: the first disk that the spec boots from, else scsi0."""
    slots = (one for one in spec.boot or () if re.fullmatch(DISK_SLOT, one) and one != "system")
    iso = spec.iso.slot if spec.iso else None
    return next((one for one in slots if one != iso), SYSTEM)


def _taken(spec: VMSpec) -> Iterable[str]:
    """The slots that the spec has something for."""
    medium = (spec.iso.slot,) if spec.iso and spec.iso.slot else ()
    return (*spec.disks, *medium, system_slot(spec))
