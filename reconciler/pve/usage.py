"""What a fleet uses of one cluster: templates, storages, bridges, pools, nodes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from desired.source import Fleet
from desired.spec import VMSpec

_HARDWARE = re.compile(
    r"acpi|audio0|hotplug|kvm|machine|rng0|scsihw|tablet|vga|watchdog|(serial|usb|hostpci)\d+"
)
"""Config keys that take VM.Config.HWType and that no handler owns (pve-api.md 1)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Sorted names; `templates` maps an alias to its vmids here, `bridges` a bridge to its VLANs
    (0 for none), `bridge_nodes` a bridge to the nodes it must be on (empty: any may be chosen).

    `unpooled` says whether some VM stands in no pool; `firewall`, `startup` and `hardware` whether
    some VM has a firewall, a place in the host's own boot, or hardware passed through `config:`.
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
                nodes.setdefault(nic.bridge, set()).add(spec.node.name if spec.node else "")
    aliases = sorted({spec.template for spec in specs if spec.template})
    return Usage(
        templates={one: fleet.templates.get(one, {}).get(cluster, ()) for one in aliases},
        storages=tuple(sorted({one for spec in specs for one in _storages(spec)})),
        bridges={name: tuple(sorted(vlans)) for name, vlans in sorted(bridges.items())},
        bridge_nodes={k: () if "" in some else tuple(sorted(some)) for k, some in nodes.items()},
        pools=tuple(sorted({spec.pool for spec in specs if spec.pool})),
        unpooled=any(spec.pool is None for spec in specs),
        firewall=any(spec.firewall is not None for spec in specs),
        startup=any(spec.startup is not None for spec in specs),
        hardware=any(_HARDWARE.fullmatch(key) for spec in specs for key in spec.config),
    )


def _storages(spec: VMSpec) -> list[str]:
    named = (spec.storage, *(disk.storage for disk in spec.disks.values()))
    return [name for name in named if name]
