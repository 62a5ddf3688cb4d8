"""What a new VM takes of a node: RAM, and bytes of each storage."""

from desired.spec import VMSpec
from desired.units import MIB
from reconciler.allocation.capacity import Needs
from reconciler.allocation.images import target_storage
from reconciler.allocation.ways import Path, Way
from state.conf import VMConfig


def ram_of(spec: VMSpec, config: VMConfig | None) -> int:
    """Bytes of RAM: the spec's, else the template's."""
    if spec.memory is not None:
        return spec.memory
    return config.memory * MIB if config else 0


def disks_of(spec: VMSpec, config: VMConfig | None, way: Way) -> Needs:
    """Bytes that the VM's disks take of each storage on the node that the way leads to."""
    if way.path is Path.MOVE:
        return _carried(config, way)
    needs: dict[str, int] = {}

    def take(storage: str | None, size: int) -> None:
        if storage:
            needs[storage] = needs.get(storage, 0) + size

    system = system_storage(spec, config, way)
    boot = config.boot_disk if config else None
    wanted = spec.disks.get("system") or spec.disks.get(boot or "")
    for slot, drive in config.drives.items() if config else ():
        if drive.cdrom and not drive.cloudinit:
            continue
        on = spec.storage if spec.clone == "full" and spec.storage else drive.storage
        size = drive.size or 0
        if slot == boot and wanted and wanted.size:
            size = max(size, wanted.size)
        take(way.storages.get(on or "", on), size)
    if config is None:
        take(system, (wanted and wanted.size) or 0)
    here = config.drives if config else {}
    for slot, disk in spec.disks.items():
        if slot != "system" and slot not in here:
            take(disk.storage or spec.storage or system, disk.size or 0)
    for state in (spec.efi, spec.tpm):
        if state is not None:
            take(state.storage or spec.storage or system, 0)
    return needs


def _carried(config: VMConfig | None, way: Way) -> Needs:
    """What the disks of a VM take that are carried along to another node."""
    needs = dict.fromkeys(way.storages.values(), 0)
    for drive in config.drives.values() if config else ():
        if target := way.storages.get(drive.storage or ""):
            needs[target] += drive.size or 0
    return needs


def system_storage(spec: VMSpec, config: VMConfig | None, way: Way) -> str | None:
    """The storage that the system disk ends on; None where that is not known."""
    if config is not None and config.boot_disk:
        full = spec.storage if spec.clone == "full" else None
        storage = full or config.disks[config.boot_disk].storage or ""
        return way.storages.get(storage, storage) or None
    if way.image:
        return target_storage(spec, way.image)
    return spec.storage if spec.clone == "full" else None
