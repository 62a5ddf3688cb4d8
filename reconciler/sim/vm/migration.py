"""What keeps a VM where it is: local devices, mappings, volumes and storages.

Sources: qemu-server PVE/QemuMigrate.pm, PVE/QemuMigrate/Helpers.pm, PVE/QemuServer.pm
(check_local_resources, check_storage_availability, foreach_volid).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.sim.cluster.mapped import KIND_OF_KEY, mappings, missing_on
from reconciler.sim.errors import failed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.drives import is_drive, parse_drive
from reconciler.sim.parameters.formats import storage_id
from reconciler.sim.parameters.schema import (
    FormatError,
    Properties,
    parse_properties,
    split_list,
)
from reconciler.sim.parameters.volnames import split_volid
from reconciler.sim.vm.machine import Machine, sections
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

HARDWARE = ("usb", "hostpci", "serial", "parallel", "virtiofs")


@dataclass(frozen=True, slots=True)
class StorageMap:
    """Where local volumes go: `entries` by source, else `default`, else the same storage."""

    entries: dict[str, str] = field(default_factory=dict)
    default: str | None = None
    identity: bool = False

    def target(self, source: str) -> str:
        return self.entries.get(source, self.default or source)


def storage_pair(text: str) -> None:
    """The format of one part of `targetstorage`."""
    parse_storage_map(text)


def parse_storage_map(text: str) -> StorageMap:
    """Read `1`, `target` or `source:target,...`. Raises FormatError in Proxmox's words."""
    entries: dict[str, str] = {}
    default, identity = None, False
    for entry in split_list(text):
        source, colon, target = entry.partition(":")
        if entry == "1":
            identity = True
            continue
        try:
            for one in (source, target) if colon else (entry,):
                storage_id(one)
        except FormatError as error:
            raise FormatError(f"entry '{entry}' contains invalid ID - {error}\n") from error
        if colon and source in entries:
            raise FormatError(f"duplicate mapping for source '{source}'")
        if colon:
            entries[source] = target
        elif default is not None:
            raise FormatError("default target ID can only be provided once")
        else:
            default = entry
    if identity and (default or entries):
        raise FormatError("identity mapping cannot be combined with other mappings")
    return StorageMap(entries, default, identity)


@dataclass(slots=True)
class Devices:
    """Local devices: those in the way, the mapped ones, and what each node has no mapping for."""

    local: list[str] = field(default_factory=list)
    mapped: dict[str, dict[str, object]] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)

    @property
    def blocking(self) -> list[str]:
        return [key for key in self.local if key not in self.mapped]

    @property
    def not_live(self) -> list[str]:
        return [
            f"{key}:{one['name']}"
            for key, one in sorted(self.mapped.items())
            if not one.get("live-migration")
        ]


def devices_of(world: World, machine: Machine) -> Devices:
    """Devices of the VM that exist on its node only."""
    found = Devices(missing={node: [] for node in world.nodes})
    if machine.running:
        if "amd-sev" in machine.config:
            found.local.append("amd-sev")
        if any(key.startswith("virtiofs") for key in machine.config):
            found.local.append("virtiofs")
    if "ivshmem" in machine.config:
        found.local.append("ivshmem")
    for key in sorted(machine.config):
        kind = key.rstrip("0123456789")
        if kind in HARDWARE and key != kind:
            _look_at_device(world, machine, found, key, kind)
    return found


def _look_at_device(world: World, machine: Machine, found: Devices, key: str, kind: str) -> None:
    value = str(machine.config[key])
    form = options.OPTIONS[key]
    parts = parse_properties(form, value, key) if isinstance(form, Properties) else {}
    if parts.get("host", "").lower() == "spice" or (kind == "serial" and value == "socket"):
        return
    name = parts.get("dirid") if kind == "virtiofs" else parts.get("mapping")
    if name is not None:
        bus = KIND_OF_KEY[kind]
        for node in found.missing:
            if missing_on(world, bus, name, node):
                found.missing[node].append(key)
        found.mapped[key] = {"name": name}
        mapping = mappings(world).of(bus).get(name)
        if kind == "hostpci" and mapping is not None and mapping.live:
            found.mapped[key]["live-migration"] = 1
            return
        if kind == "hostpci" and not machine.running:
            return
    found.local.append(key)


@dataclass(slots=True)
class Reference:
    """How the VM uses one volume: where it is named and as what."""

    volid: str
    cdrom: bool = True
    shared: bool = False
    replicate: bool = False
    unused: bool = False
    attached: bool = False
    pending: bool = False
    vmstate: bool = False
    tpmstate: bool = False
    size: int | None = None
    drive: str | None = None
    snapshots: list[str] = field(default_factory=list)

    def row(self) -> dict[str, object]:
        """As the preconditions list it."""
        shown: dict[str, object] = {
            "volid": self.volid,
            "cdrom": int(self.cdrom),
            "replicate": int(self.replicate),
            "shared": int(self.shared),
            "is_unused": int(self.unused),
            "is_attached": int(self.attached),
            "is_vmstate": int(self.vmstate),
            "is_tpmstate": int(self.tpmstate),
        }
        if self.size is not None:
            shown["size"] = self.size
        if self.drive is not None:
            shown["drivename"] = self.drive
        if self.pending:
            shown["referenced_in_pending"] = 1
        if self.snapshots:
            shown["referenced_in_snapshot"] = dict.fromkeys(self.snapshots, 1)
        return shown


def references(machine: Machine) -> list[Reference]:
    """Every volume, path and `cdrom` that a section of the config names, in order of names."""
    found: dict[str, Reference] = {}
    for label, section in sections(machine):
        for key in sorted(section):
            if is_drive(key) or key.startswith("unused") or key == "vmstate":
                _note(found, label, key, str(section[key]))
    return [found[volid] for volid in sorted(found)]


def _note(found: dict[str, Reference], label: str, key: str, value: str) -> None:
    drive = parse_drive(key, value) if key != "vmstate" else None
    volid = value if drive is None else drive.file
    one = found.setdefault(volid, Reference(volid))
    one.cdrom = one.cdrom and drive is not None and drive.is_cdrom
    one.replicate = one.replicate or drive is None or drive.options.get("replicate") != "0"
    one.shared = one.shared or (drive is not None and drive.options.get("shared") == "1")
    one.unused = one.unused or key.startswith("unused")
    one.attached = one.attached or (not one.unused and label == "")
    one.pending = one.pending or label == "[PENDING]"
    one.vmstate = one.vmstate or key == "vmstate"
    one.tpmstate = one.tpmstate or key == "tpmstate0"
    if label not in ("", "[PENDING]"):
        one.snapshots.append(label)
    if drive is not None:
        one.size = one.size or drive.size
        one.drive = key if is_drive(key) else one.drive


def on_storages(machine: Machine) -> Iterator[tuple[str, str]]:
    """(storage, volid) of the attached drives that are volumes."""
    for one in references(machine):
        parts = split_volid(one.volid)
        if parts is not None and one.attached:
            yield parts[0], one.volid


def unavailable_storages(world: World, machine: Machine) -> dict[str, list[str]]:
    """Node -> storages of the VM that are not there."""
    names = sorted({name for name, _volid in on_storages(machine)})
    return {
        node: [name for name in names if not storage.storage_of(world, name).on(node)]
        for node in world.nodes
    }


def check_availability(world: World, machine: Machine, target: str) -> None:
    """Raise 500 unless every storage in use is also there on the target and takes its content."""
    for name, volid in on_storages(machine):
        store = storage.enabled_storage(world, name, machine.node)
        storage.enabled_storage(world, name, target)
        need_content(world, name, volid, store.content)


def need_content(world: World, place: str, volid: str, content: list[str]) -> None:
    """Raise 500 unless a storage with this content takes the volume."""
    _store, parsed = storage.read_volid(world, volid)
    if parsed.content not in content:
        raise failed(
            f"{volid}: content type '{parsed.content}' is not available on storage '{place}'\n"
        )


def network(text: str) -> str:
    """Proxmox's format CIDR: an address with a prefix, of either family."""
    _address, slash, prefix = text.partition("/")
    try:
        if slash and prefix.isdecimal():
            ipaddress.ip_interface(text)
            return text
    except ValueError:
        pass
    raise FormatError("value does not look like a valid CIDR network")
