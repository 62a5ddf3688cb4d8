"""GET and PUT /nodes/N/qemu/V/cloudinit, .../dump, and writing the drive.

Sources: qemu-server PVE/API2/Qemu.pm, PVE/QemuServer/Cloudinit.pm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import perm
from reconciler.sim.errors import failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import drives_of
from reconciler.sim.parameters.schema import Text, parse_properties, split_list
from reconciler.sim.parameters.volnames import file_path
from reconciler.sim.routes import Request, route
from reconciler.sim.vm.cloudinit_files import meta_data, network_data, user_data
from reconciler.sim.vm.config import AUDIT, VM, masked
from reconciler.sim.vm.locks import load, wait_flock
from reconciler.sim.vm.machine import Machine, Section, check_lock
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

HIDDEN = "*" * 10


@route("GET", f"{VM}/cloudinit", permission=AUDIT)
def differences(world: World, request: Request) -> list[Section]:
    """The cloud-init keys with the values that the drive was made of, and what is new since."""
    machine = load(world, request.node, request.vmid)
    config = masked(machine.config)
    made_of = dict(machine.cloudinit)
    if "cipassword" in made_of:
        made_of["cipassword"] = HIDDEN
    added = split_list(made_of.pop("added", ""))
    rows: list[Section] = [{"key": key, "pending": config[key]} for key in added if key in config]
    for key in options.CLOUDINIT_KEYS:
        if key in added or not config.get(key):
            continue
        row: Section = {"key": key, "value": made_of.get(key, config[key])}
        if key in made_of:
            row["pending"] = config[key]
        rows.append(row)
    rows.extend({"key": key, "delete": 1} for key in made_of if not config.get(key))
    return rows


@route(
    "PUT",
    f"{VM}/cloudinit",
    permission=perm("/vms/{vmid}", "VM.Config.Cloudinit"),
    protected=True,
)
def regenerate(world: World, request: Request) -> None:
    """Make the drive again from the config as it is; without a drive nothing happens."""
    machine = load(world, request.node, request.vmid)
    wait_flock(world, machine)
    check_lock(machine)
    generate_drive(world, machine)


def generate_drive(world: World, machine: Machine) -> bool:
    """Write the drive from the config, as a start does; False when there is none.

    Raises 500 when a custom snippet cannot be read. A drive whose image is gone gets a new one.
    """
    drives = [drive for drive in drives_of(machine.config) if drive.is_cloudinit]
    if not drives:
        return False
    for kind in ("network", "user", "meta", "vendor"):
        volid = _custom(machine).get(kind)
        if volid is not None:
            _read_snippet(world, machine, volid)
    network_data(machine)
    for drive in drives:
        if world.volume(machine.node, drive.file) is None:
            _image_again(world, machine, drive.file)
    machine.cloudinit.clear()
    return True


def _read_snippet(world: World, machine: Machine, volid: str) -> None:
    store, name = storage.read_volid(world, volid)
    if name.content != "snippets":
        raise failed(f"{volid} is not in the snippets directory\n")
    if world.volume(machine.node, volid) is None:
        path = file_path(store, volid.partition(":")[2])
        raise failed(f"can't open '{path}' - No such file or directory\n")


def _image_again(world: World, machine: Machine, volid: str) -> None:
    place, _colon, name = volid.partition(":")
    form = name.rpartition(".")[2] if "." in name else "raw"
    stem = f"vm-{machine.vmid}-cloudinit"
    size = storage.CLOUDINIT_SIZE
    storage.allocate(world, machine.node, place, machine.vmid, form, size, stem)


@route(
    "GET",
    f"{VM}/cloudinit/dump",
    fields={"type": Text(enum=("user", "network", "meta"))},
    permission=AUDIT,
)
def dump(world: World, request: Request) -> str:
    """What Proxmox itself would generate; custom snippets are not looked at."""
    machine = load(world, request.node, request.vmid)
    make = {"user": user_data, "network": network_data, "meta": meta_data}
    return make[str(request.params["type"])](machine)


def _custom(machine: Machine) -> dict[str, str]:
    value = machine.text("cicustom")
    return (
        {} if value in (None, " ") else parse_properties(options.SNIPPETS, str(value), "cicustom")
    )
