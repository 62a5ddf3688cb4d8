"""Changing a VM's config: the one path of PUT and POST config, unlink and disk reassignment.

Order of checks and effects as in qemu-server PVE/API2/Qemu.pm (update_vm_api): parameters, rights,
flock, digest, lock, then one key after the other through [PENDING], then hot-plug or apply.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity
from reconciler.sim.accounts.passwords import hashed
from reconciler.sim.errors import Refusal, bad_parameters, failed
from reconciler.sim.parameters import machines, options
from reconciler.sim.parameters.drives import Drive, is_drive, parse_drive
from reconciler.sim.parameters.keys import check_ssh_keys
from reconciler.sim.parameters.net import with_mac
from reconciler.sim.parameters.schema import split_list
from reconciler.sim.vm import config_rights as rights
from reconciler.sim.vm import disks
from reconciler.sim.vm.boot import Order, boot_order, new_boot_order
from reconciler.sim.vm.hotplug import hotplug_pending
from reconciler.sim.vm.locks import load, wait_flock
from reconciler.sim.vm.machine import Machine, check_lock, check_protection
from reconciler.sim.vm.pending import (
    apply_pending,
    deallocate,
    drop_idle,
    register_unused,
    settle,
)
from reconciler.sim.vm.tags import check_tags, unique_tags
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

STALE = "checksum mismatch (file change by other user?)\n"
HASHED = re.compile(r"\$(?:[156]|2[ay])(?:\$.+){2}")


@dataclass(slots=True)
class Change:
    """A checked config change: values to set, keys to delete or revert, how to go about it."""

    vmid: int
    set: dict[str, Any]
    delete: list[str]
    revert: list[str]
    force: bool = False
    skip_lock: bool = False
    digest: str | None = None
    said: str = ""
    lines: list[str] = field(default_factory=list)


def read_change(world: World, identity: Identity, vmid: int, params: Mapping[str, Any]) -> Change:
    """Check the parameters that do not depend on the VM. Raises 400, 403 and 500."""
    given = {key: value for key, value in params.items() if key not in ("node", "vmid")}
    digest = given.pop("digest", None)
    given.pop("background_delay", None)
    given.pop("import-working-storage", None)
    said = " ".join(
        f"-{key} {'<hidden>' if key == 'cipassword' else given[key]}" for key in sorted(given)
    )
    rights.refuse_root_options(identity, given, "skiplock")
    skip_lock = bool(given.pop("skiplock", None))
    delete, revert = given.pop("delete", None) or "", given.pop("revert", None) or ""
    force = bool(given.pop("force", None))
    if given.get("sshkeys") is not None:
        check_ssh_keys(str(given["sshkeys"]))
    if given.get("cpuunits") is not None:
        given["cpuunits"] = options.clamp_cpu_units(int(given["cpuunits"]))
    if not delete and not revert and not given:
        raise failed("no options specified\n")
    given = {key: value for key, value in given.items() if value is not None}
    name_cdrom(given)
    reverts = _read_revert(revert, given)
    deletes = _read_delete(delete, given, reverts)
    _normalize(world, given)
    rights.check_keys(world, identity, vmid, deletes)
    rights.check_keys(world, identity, vmid, given)
    disks.check_storage_access(world, identity, vmid, given)
    rights.check_bridges(world, identity, given)
    return Change(vmid, given, deletes, reverts, force, skip_lock, digest, said)


def name_cdrom(params: dict[str, Any]) -> None:
    """`cdrom` is another name of ide2."""
    value = params.pop("cdrom", None)
    if value:
        params["ide2"] = value if "media=" in value else f"{value},media=cdrom"


def _read_revert(text: str, given: Mapping[str, Any]) -> list[str]:
    keys = split_list(text)
    for key in keys:
        if key not in options.EXISTING:
            raise bad_parameters({"revert": f"unknown option '{key}'"})
        if key in given:
            clash = f"you can't use '-{key}' and -revert {key}' at the same time"
            raise bad_parameters({"delete": clash})
    return keys


def _read_delete(text: str, given: Mapping[str, Any], reverts: list[str]) -> list[str]:
    keys = ["ide2" if key == "cdrom" else key for key in split_list(text)]
    for key in keys:
        if key in given:
            clash = f"you can't use '-{key}' and -delete {key}' at the same time"
            raise bad_parameters({"delete": clash})
        if key in reverts:
            clash = f"you can't use '-delete {key}' and -revert {key}' at the same time"
            raise bad_parameters({"revert": clash})
        if key not in options.EXISTING:
            raise bad_parameters({"delete": f"unknown option '{key}'"})
    return keys


def _normalize(world: World, given: dict[str, Any]) -> None:
    disks.normal_drives(world, given)
    for key in sorted(given):
        if key in options.NET_KEYS:
            given[key] = with_mac(str(given[key]), world.new_mac)
    if given.get("vmgenid") == "1":
        given["vmgenid"] = world.new_uuid()
    script = given.get("hookscript")
    if script:
        raise bad_parameters({"hookscript": hook_script_fault(world, str(script))})


def hook_script_fault(world: World, volid: str) -> str:
    """What is wrong with a hook script. None can be made executable through the API, so there
    always is something. Source: pve-guest-common PVE/GuestHelpers.pm (check_hookscript)."""
    try:
        _store, name = storage.read_volid(world, volid)
    except Refusal as refusal:
        return refusal.reason
    if name.content != "snippets":
        return f"'{volid}' is not in the snippets directory\n"
    if not any(one.volid == volid for one in world.volumes.values()):
        return f"script '{volid}' does not exist\n"
    return f"script '{volid}' is not executable\n"


def admit(world: World, node: str, identity: Identity, change: Change) -> Machine:
    """The checks under the flock: existence, digest, lock, balloon. Logs the change.

    Raises 500s, or Blocked while somebody else holds the VM.
    """
    present = world.vm(change.vmid, node)
    if present is not None:
        wait_flock(world, present)
    machine = load(world, node, change.vmid)
    if change.digest and change.digest != machine.digest():
        raise failed(STALE)
    if "vmstate" in change.delete:
        _forget_suspension(machine, change)
    check_lock(machine, change.skip_lock)
    for key in change.revert:
        if key in machine.config:
            change.set[key] = machine.config[key]
        elif key in machine.pending:
            change.delete.append(key)
    _check_balloon(machine, change.set)
    world.log(node, str(identity), "pvedaemon", f"update VM {change.vmid}: {change.said}")
    return machine


def _forget_suspension(machine: Machine, change: Change) -> None:
    """A saved state that is deleted takes its lock and what it was saved with along."""
    if machine.lock == "suspended":
        change.delete.append("lock")
        change.skip_lock = True
    change.delete += [key for key in ("runningmachine", "runningcpu") if key in machine.config]


def _check_balloon(machine: Machine, given: Mapping[str, Any]) -> None:
    if not given.get("memory") and "balloon" not in given:
        return
    memory = given.get("memory") or machine.pending.get("memory") or machine.config.get("memory")
    balloon = given.get("balloon")
    if balloon is None:
        balloon = machine.pending.get("balloon") or machine.config.get("balloon") or 0
    if int(balloon) > options.memory_of(memory):
        raise failed("balloon value too large (must be smaller than assigned memory)\n")


def carry_out(world: World, machine: Machine, identity: Identity, change: Change) -> None:
    """Make the change. Raises 400 with what could not be hot-plugged; that stays pending."""
    order = boot_order(machine)
    touched = {
        key for key in change.delete if _delete(world, machine, identity, change, key, order)
    }
    for key in sorted(change.set):
        touched.add(key)
        _set(world, machine, identity, change, key, order)
    touched |= order.touched
    drop_idle(machine)
    settle(machine)
    if not machine.pending and not machine.pending_delete:
        return
    if machine.running:
        errors = hotplug_pending(world, machine, identity, frozenset(touched))
    else:
        errors = apply_pending(world, machine, identity)
    if errors:
        raise bad_parameters(errors)


def _delete(
    world: World, machine: Machine, identity: Identity, change: Change, key: str, order: Order
) -> bool:
    waiting = machine.pending.pop(key, None)
    value = machine.config.get(key, waiting)
    if value is None:
        change.lines.append(f"cannot delete '{key}' - not set in current configuration!")
        return False
    order.drop(key)
    how = 2 if change.force else 1
    if key.startswith("unused") or key == "vmstate":
        _delete_unused(world, machine, identity, key, str(value))
    elif is_drive(key):
        check_protection(machine, f"can't remove drive '{key}'")
        disks.check_drive_rights(world, identity, machine.vmid, key, str(value))
        drive = parse_drive(key, str(waiting)) if waiting is not None else None
        if drive is not None:
            register_unused(world, machine, drive)
        machine.pending_delete[key] = how
    elif key == "tags":
        check_tags(world, identity, machine.vmid, str(value), "")
        machine.config.pop(key, None)
    else:
        if key in options.NET_KEYS and key in machine.config:
            rights.check_bridges(world, identity, {key: machine.config[key]})
        rights.check_device(world, identity, machine.vmid, key, str(value), verb="delete")
        machine.pending_delete[key] = how
    return True


def _delete_unused(
    world: World, machine: Machine, identity: Identity, key: str, value: str
) -> None:
    what = "vmstate" if key == "vmstate" else "unused disk"
    drive = Drive(key, value.partition(",")[0])
    check_protection(machine, f"can't remove {what} '{drive.file}'")
    rights.check_vm(world, identity, machine.vmid, ["VM.Config.Disk"])
    deallocate(world, machine, identity, drive)
    machine.config.pop(key, None)


def _set(
    world: World, machine: Machine, identity: Identity, change: Change, key: str, order: Order
) -> None:
    value = options.stored(key, change.set[key])
    if machine.pending.get(key) == value:
        return
    if is_drive(key):
        _set_drive(world, machine, identity, change, key, order)
    elif key == "tags":
        check_tags(world, identity, machine.vmid, machine.text("tags") or "", str(value))
        machine.pending[key] = unique_tags(world, str(value)) or " "
    elif key == "cipassword":
        plain = str(value)
        windows = (machine.text("ostype") or "").startswith(("w", "win"))
        machine.config[key] = plain if windows or HASHED.match(plain) else hashed(plain, world.rng)
    elif key == "boot":
        machine.pending[key] = new_boot_order(machine, str(value), change.set, change.delete)
    else:
        _check_plain(world, machine, identity, key, str(value))
        machine.pending[key] = value
        if key == "ostype" and not {"machine"} & {*change.set, *change.delete, *machine.pending}:
            order.pin(machines.pinned_machine(machine.config.get("machine"), value))
    machine.pending_delete.pop(key, None)


def _check_plain(world: World, machine: Machine, identity: Identity, key: str, value: str) -> None:
    """Rights on what a device or NIC was and becomes; values that do not go together."""
    current = machine.config.get(key)
    if key in options.NET_KEYS and current is not None:
        rights.check_bridges(world, identity, {key: current})
    if current is not None:
        rights.check_device(world, identity, machine.vmid, key, str(current), verb="modify")
    rights.check_device(world, identity, machine.vmid, key, value, verb="modify")
    if key == "vga":
        machines.check_clipboard(value)
    elif key == "machine":
        machines.checked_machine(value, None)


def _set_drive(
    world: World, machine: Machine, identity: Identity, change: Change, key: str, order: Order
) -> None:
    text = str(change.set[key])
    if key in machine.config:
        disks.check_drive_rights(world, identity, machine.vmid, key, str(machine.config[key]))
        if key == "tpmstate0":
            disks.keep_tpm_version(str(machine.config[key]), text)
    disks.check_drive_rights(world, identity, machine.vmid, key, text)
    if key in machine.pending:
        replaced = parse_drive(key, str(machine.pending[key]))
        if replaced is not None:
            register_unused(world, machine, replaced)
    shop = disks.Workshop(
        world,
        machine.node,
        machine.vmid,
        [machine.config, machine.pending],
        template=machine.template,
    )
    machine.pending.update(shop.build({key: text}))
    change.lines.extend(shop.lines)
    drive = parse_drive(key, text)
    if drive is not None and drive.is_cdrom and not drive.is_cloudinit:
        order.append(key)
