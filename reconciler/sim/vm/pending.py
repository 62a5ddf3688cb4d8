"""The [PENDING] section: what waits, how it is dropped, and how a stopped VM takes it up.

Sources: qemu-server PVE/QemuServer.pm (vmconfig_apply_pending and its helpers),
pve-guest-common PVE/{AbstractConfig,GuestHelpers}.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import Identity, check
from reconciler.sim.errors import Refusal, failed
from reconciler.sim.parameters.drives import Drive, drives_of, is_drive, parse_drive
from reconciler.sim.vm.machine import Machine, Section, sections
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World


def settle(machine: Machine) -> None:
    """What every write does: an unusedN whose volume is attached again goes, an empty description
    too, `smp` becomes sockets, and without a cloud-init drive nothing is noted about one."""
    settle_section(machine.config)
    drives = drives_of(machine.config)
    attached = {drive.file for drive in (*drives, *drives_of(machine.pending))}
    for key in [key for key in machine.config if key.startswith("unused")]:
        if machine.config[key] in attached:
            del machine.config[key]
    if machine.cloudinit and not any(drive.is_cloudinit for drive in drives):
        machine.cloudinit.clear()


def settle_section(config: Section) -> None:
    """The part of it that concerns plain values (qemu-server write_vm_config)."""
    if config.get("description") == "":
        del config["description"]
    if "smp" in config:
        processors = config.pop("smp")
        if not config.get("sockets"):
            config["sockets"] = processors
            config.pop("cores", None)


def add_unused(machine: Machine, volid: str) -> None:
    """Keep a detached volume as the first free unusedN, once."""
    if volid in [value for key, value in machine.config.items() if key.startswith("unused")]:
        return
    free = next(n for n in range(256) if f"unused{n}" not in machine.config)
    machine.config[f"unused{free}"] = volid


def register_unused(world: World, machine: Machine, drive: Drive) -> None:
    """A drive leaves its slot: own disks become unusedN, a cloud-init drive is erased."""
    if drive.is_cloudinit:
        storage.free(world, machine.node, drive.file)
        machine.cloudinit.clear()
    elif not drive.is_cdrom and storage.owner(world, drive.file) == machine.vmid:
        add_unused(machine, drive.file)


def in_use(machine: Machine, volid: str, but: str) -> bool:
    """Whether another key of the VM, or one of its snapshots, still names the volume."""
    for label, section in sections(machine):
        for key, value in section.items():
            if label in ("", "[PENDING]") and key == but:
                continue
            if (is_drive(key) or key.startswith("unused") or key == "vmstate") and (
                str(value).partition(",")[0] == volid
            ):
                return True
    return False


def deallocate(world: World, machine: Machine, identity: Identity, drive: Drive) -> None:
    """Erase a drive's volume for good, if the VM owns it.

    Raises 500 `unable to delete 'X' - volume is still in use (snapshot?)`.
    """
    if drive.is_cdrom and not drive.is_cloudinit:
        return
    if storage.owner(world, drive.file) != machine.vmid:
        return
    place = drive.file.partition(":")[0]
    check(world, identity, f"/storage/{place}", ["Datastore.AllocateSpace"])
    if in_use(machine, drive.file, drive.key):
        raise failed(f"unable to delete '{drive.file}' - volume is still in use (snapshot?)\n")
    storage.free(world, machine.node, drive.file)


def detach(world: World, machine: Machine, identity: Identity, key: str, force: bool) -> None:
    """Take a drive out of the main section: to unusedN, or erased when forced."""
    drive = parse_drive(key, str(machine.config[key]))
    if drive is None:
        return
    if force:
        check(world, identity, f"/vms/{machine.vmid}", ["VM.Config.Disk"])
        deallocate(world, machine, identity, drive)
    else:
        register_unused(world, machine, drive)


def drop_idle(machine: Machine) -> None:
    """Forget pending entries that would change nothing."""
    for key in [key for key in machine.pending if machine.config.get(key) == machine.pending[key]]:
        del machine.pending[key]
    for key in [key for key in machine.pending_delete if key not in machine.config]:
        del machine.pending_delete[key]


def apply_pending(world: World, machine: Machine, identity: Identity) -> dict[str, str]:
    """Take up everything that waits, as a stopped VM does. Returns what failed, by key."""
    errors: dict[str, str] = {}
    for key in sorted(machine.pending_delete):
        try:
            if key in machine.config and is_drive(key):
                detach(world, machine, identity, key, machine.pending_delete[key] == 2)
        except Refusal as refusal:
            errors[key] = f"unable to apply pending change {key} : {refusal.reason}"
            continue
        del machine.pending_delete[key]
        machine.config.pop(key, None)
    drop_idle(machine)
    rebuild = False
    for key in sorted(machine.pending):
        value = machine.pending.pop(key)
        if is_drive(key):
            rebuild = _replace_drive(world, machine, key, str(value)) or rebuild
        machine.config[key] = value
    settle(machine)
    if rebuild:
        machine.cloudinit.clear()
    return errors


def _replace_drive(world: World, machine: Machine, key: str, value: str) -> bool:
    """Register the drive that a pending one replaces; True when the new one is cloud-init."""
    new = parse_drive(key, value)
    old = parse_drive(key, str(machine.config[key])) if key in machine.config else None
    if old is not None and not (new is not None and new.file == old.file):
        register_unused(world, machine, old)
    return new is not None and new.is_cloudinit


def listing(machine: Machine) -> list[Section]:
    """GET pending: one row per key with value, pending and delete (2 = forced)."""
    rows = []
    hidden = "*" * 10
    for key in [*machine.config, *(one for one in machine.pending if one not in machine.config)]:
        row: Section = {"key": key}
        if key in machine.config:
            row["value"] = hidden if key == "cipassword" else machine.config[key]
        if key in machine.pending:
            row["pending"] = hidden + " " if key == "cipassword" else machine.pending[key]
        if key in machine.pending_delete:
            row["delete"] = machine.pending_delete[key]
        rows.append(row)
    rows.extend(
        {"key": key, "delete": how}
        for key, how in sorted(machine.pending_delete.items())
        if key not in machine.config and key not in machine.pending
    )
    rows.append({"key": "digest", "value": machine.digest()})
    return rows
