"""Firmware: BIOS or UEFI with its variables, machine type, guest type, and the TPM."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from desired.spec import VMSpec
from handlers.effects import stop_start, wanted
from handlers.handler import Subject, config_change, send_calls, vm_path
from state.change import Call, Change, Method, Note
from state.conf import VMConfig
from state.drive import Drive
from state.observed import SeenVM
from state.propstring import parse, parse_boolean, render


class StateDisk(NamedTuple):
    """A small disk that firmware keeps its state on: what is asked of it, as Proxmox writes it."""

    field: str
    slot: str
    storage: str | None
    asked: Mapping[str, str]
    new: Mapping[str, str]


class Firmware:
    """Sets bios, machine and guest type; makes the EFI disk and the TPM's state once.

        bios: ovmf
        machine: q35                      # any version of it; pc-q35-9.0 names one
        ostype: win11
        efi: {storage: local-lvm, pre_enrolled_keys: true}      # secure boot
        tpm: {version: v2.0}

    Owns `bios`, `machine`, `ostype`, `efidisk0`, `tpmstate0`. All of it waits for a stop and start.
    A disk is allocated by a POST alone in its look, on its storage, the VM's, else the system
    disk's. What such a disk was made as cannot be changed: `FirmwareDiffers` says so.

    Risk: a guest that was installed under another BIOS or machine type may not boot. No state disk
    is ever moved, made anew or erased here.
    """

    name = "firmware"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys = ("bios", "machine", "ostype", r"efidisk\d+", r"tpmstate\d+")
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        config = wanted(seen)
        for key, default in (("bios", "seabios"), ("ostype", "other")):
            old, new = config.text(key) or default, getattr(spec, key)
            if new is not None and old != new:
                yield self._change(seen, key, old, new)
        yield from self._machine(spec, seen)
        for disk in _disks(spec):
            drive = config.drives.get(disk.slot)
            if drive is None:
                yield self._new(disk, spec, seen)
            else:
                yield from self._existing(disk, drive, seen)

    def _machine(self, spec: VMSpec, seen: SeenVM) -> Iterator[Change]:
        """`q35` is any version of it: Proxmox itself pins a Windows guest's to one."""
        if spec.machine is None:
            return
        fields = parse(wanted(seen).text("machine") or "", "type")
        old = fields.get("type", "pc")
        if old != spec.machine and _family(old) != spec.machine:
            text = render({**fields, "type": spec.machine}, "type")
            yield self._change(seen, "machine", old, spec.machine, text)

    def _change(
        self, seen: SeenVM, key: str, old: str, new: str, text: str | None = None
    ) -> Change:
        params = {key: text or new}
        effect = stop_start(seen)
        return config_change(seen, self.name, key, old=old, new=new, params=params, effect=effect)

    def _new(self, disk: StateDisk, spec: VMSpec, seen: SeenVM) -> Change | Note:
        storage = disk.storage or spec.storage or _system_storage(wanted(seen))
        if not storage:
            reason = "no storage: name one"
            return Note(seen.key, self.name, disk.field, reason, "StorageMissing", blocking=True)
        value = Drive(f"{storage}:1", disk.new).render()
        call = Call(Method.POST, f"{vm_path(seen)}/config", {disk.slot: value})
        made = ",".join(f"{name}={text}" for name, text in sorted(disk.new.items()))
        new, effect = f"{made} on {storage}", stop_start(seen)
        return Change(seen.key, self.name, disk.field, None, new, (call,), effect, gate=True)

    def _existing(self, disk: StateDisk, drive: Drive, seen: SeenVM) -> Iterator[Note]:
        if disk.storage and drive.storage != disk.storage:
            reason = f"stands on {drive.storage}, not on {disk.storage}: move it by hand"
            yield Note(seen.key, self.name, f"{disk.field}.storage", reason, "PlacementDiffers")
        for name, asked in sorted(disk.asked.items()):
            old = drive.options.get(name, DEFAULTS[name])
            if _canonical(name, old) != asked:
                reason = f"was made with {name}={old}, not {asked}: only a new {disk.slot} has it"
                field = f"{disk.field}.{name}"
                yield Note(seen.key, self.name, field, reason, "FirmwareDiffers")


DEFAULTS = {"efitype": "2m", "pre-enrolled-keys": "0", "version": "v1.2"}
"""What Proxmox takes where a state disk does not say."""


def _disks(spec: VMSpec) -> Iterator[StateDisk]:
    if spec.efi is not None:
        keys = spec.efi.pre_enrolled_keys
        efi = _mentioned(("efitype", spec.efi.efitype), ("pre-enrolled-keys", keys))
        yield StateDisk("efi", "efidisk0", spec.efi.storage, efi, {"efitype": "4m", **efi})
    if spec.tpm is not None:
        tpm = _mentioned(("version", spec.tpm.version))
        yield StateDisk("tpm", "tpmstate0", spec.tpm.storage, tpm, {"version": "v2.0", **tpm})


def _mentioned(*options: tuple[str, str | bool | None]) -> dict[str, str]:
    """The options that the spec names, truth values as 1 and 0."""
    return {
        name: str(int(value)) if isinstance(value, bool) else value
        for name, value in options
        if value is not None
    }


def _canonical(name: str, text: str) -> str:
    return str(int(parse_boolean(text))) if name == "pre-enrolled-keys" else text


def _family(machine: str) -> str:
    """The type without its version: `q35` of `pc-q35-9.0`, `pc` of `pc-i440fx-9.0`."""
    if machine.startswith("pc-q35-"):
        return "q35"
    return machine.partition("-")[0]


def _system_storage(config: VMConfig) -> str | None:
    system = config.disks.get(config.boot_disk or "")
    return system.storage if system else None
