"""What a fleet uses of one cluster: templates, storages, bridges, pools, nodes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from desired.source import Fleet
from desired.spec import VMSpec
from handlers.reclaim import given_up

_HARDWARE = re.compile("acpi|audio0|hotplug|kvm|tablet|watchdog")
"""Config keys that take VM.Config.HWType and that no handler owns (pve-api.md 1)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Sorted names; `templates` maps an alias to its vmids here, `bridges` a bridge to its VLANs
    (0 for none), `bridge_nodes` a bridge to the nodes it must be on (empty: any may be chosen).

    `unpooled` says whether some VM stands in no pool; `firewall`, `startup`, `hardware` and `ha`
    whether some VM has a firewall, a place in the host's own boot, hardware of a certain type, or
    is under HA; `media` whether some VM says what is in its CD-ROM drive; `migrates` whether VMs
    may be migrated, `guarded` whether snapshots are taken before changes, or go
    with a disk that is erased, `backed_up` whether a VM is backed up. `files` are
    by content (`iso`, `snippets`) each volume and the nodes that it must be on (empty: any may be
    chosen),
    `mappings` the cluster's names for devices of hosts: `pci/gpu`. `images` maps an alias to the
    volumes of disk images here, `smallest` to the least size (bytes) that a spec asks of the
    system disk.
    """

    templates: Mapping[str, tuple[int, ...]]
    storages: tuple[str, ...]
    bridges: Mapping[str, tuple[int, ...]]
    bridge_nodes: Mapping[str, tuple[str, ...]]
    pools: tuple[str, ...]
    unpooled: bool
    firewall: bool
    startup: bool
    hardware: bool
    media: bool = False
    ha: bool = False
    migrates: bool = False
    guarded: bool = False
    backed_up: bool = False
    files: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    mappings: tuple[str, ...] = ()
    images: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    smallest: Mapping[str, int] = field(default_factory=dict)


def usage(fleet: Fleet, cluster: str) -> Usage:
    """Return what the fleet's sound, wanted specs use of the cluster."""
    specs = [
        spec
        for _, spec in sorted(fleet.vms.items())
        if spec.cluster == cluster and spec.state == "present"
    ]
    bridges: dict[str, set[int]] = {}
    nodes: dict[str, set[str]] = {}
    for spec in specs:
        for nic in spec.nics.values():
            if nic.bridge:
                bridges.setdefault(nic.bridge, set()).add(nic.vlan or 0)
                nodes.setdefault(nic.bridge, set()).update(_nodes(spec))
    stand_ins = {one for others in fleet.placement.storage_map.values() for one in others}
    enforced = any(spec.node and spec.node.enforce for spec in specs)
    aliases = sorted({spec.template for spec in specs if spec.template})
    copies = {one: fleet.templates.get(one, {}).get(cluster, ()) for one in aliases}
    images = {one: fleet.images.get(one, {}).get(cluster, ()) for one in aliases}
    images = {one: volumes for one, volumes in images.items() if volumes and not copies[one]}
    return Usage(
        templates={one: vmids for one, vmids in copies.items() if one not in images},
        storages=tuple(sorted({*stand_ins, *(one for spec in specs for one in _storages(spec))})),
        bridges={name: tuple(sorted(vlans)) for name, vlans in sorted(bridges.items())},
        bridge_nodes={k: () if "" in some else tuple(sorted(some)) for k, some in nodes.items()},
        pools=tuple(sorted({spec.pool for spec in specs if spec.pool})),
        unpooled=any(spec.pool is None for spec in specs),
        firewall=any(spec.firewall is not None for spec in specs),
        startup=any(spec.startup is not None for spec in specs),
        hardware=bool(images) or any(map(_typed, specs)),
        media=any(spec.iso is not None for spec in specs),
        ha=any(spec.ha is not None for spec in specs),
        guarded=any((spec.guard and spec.guard.snapshot) or given_up(spec) for spec in specs),
        backed_up=any(
            one.backup is not None or (one.terminate is not None and one.terminate.backup)
            for one in fleet.vms.values()
            if one.cluster == cluster
        ),
        migrates=bool(specs) and (fleet.placement.post_clone_migration or enforced),
        files=_files(specs),
        mappings=tuple(sorted({one for spec in specs for one in _mappings(spec)})),
        images=images,
        smallest=smallest_system_disks(specs),
    )


def smallest_system_disks(specs: Iterable[VMSpec]) -> dict[str, int]:
    """The least size that is asked of the system disk, in bytes, by the template's alias (CI-04).

    One that asks for none takes the template's.
    """
    found: dict[str, int] = {}
    for spec in specs:
        system = spec.disks.get("system")
        if spec.template and system and system.size:
            size = found.get(spec.template, system.size)
            found[spec.template] = min(size, system.size)
    return dict(sorted(found.items()))


def _nodes(spec: VMSpec) -> tuple[str, ...]:
    """The nodes that the spec names; '' where any may be chosen."""
    return spec.node.nodes if spec.node else ("",)


def _storages(spec: VMSpec) -> list[str]:
    state = [disk.storage for disk in (spec.efi, spec.tpm) if disk]
    named = (spec.storage, *(disk.storage for disk in spec.disks.values()), *state)
    return [name for name in named if name]


def _typed(spec: VMSpec) -> bool:
    """Whether the spec names hardware of a type: VM.Config.HWType."""
    devices = (spec.machine, spec.scsihw, spec.vga, spec.rng, spec.serials, spec.pci, spec.usb)
    return any(devices) or any(_HARDWARE.fullmatch(key) for key in spec.config)


def _files(specs: list[VMSpec]) -> dict[str, dict[str, tuple[str, ...]]]:
    found: dict[str, dict[str, set[str]]] = {"iso": {}, "snippets": {}}
    for spec in specs:
        nodes = _nodes(spec)
        if spec.iso and spec.iso.state == "present":
            found["iso"].setdefault(spec.iso.volume, set()).update(nodes)
        custom = spec.cloudinit.custom if spec.cloudinit else None
        for volume in {*custom.volumes.values()} - {"none"} if custom else ():
            found["snippets"].setdefault(volume, set()).update(nodes)
    return {
        content: {
            volume: () if "" in nodes else tuple(sorted(nodes))
            for volume, nodes in sorted(volumes.items())
        }
        for content, volumes in found.items()
    }


def _mappings(spec: VMSpec) -> Iterator[str]:
    for kind, devices in (("pci", spec.pci), ("usb", spec.usb), ("dir", spec.virtiofs)):
        for device in devices.values():
            if device.mapping is not None:
                yield f"{kind}/{device.mapping}"
    if spec.rng is not None and spec.rng.source == "/dev/hwrng":
        yield "hwrng"
