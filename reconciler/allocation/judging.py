"""Judges every node for one VM: the way there, what rules it out, what it is ranked by (DEP-16)."""

from collections.abc import Iterator
from dataclasses import dataclass

from desired.spec import VMSpec
from desired.units import GIB
from reconciler.allocation.capacity import THICK, Needs, cpus_of
from reconciler.allocation.needs import disks_of, ram_of
from reconciler.allocation.terrain import Terrain
from reconciler.allocation.ways import Way, Ways
from state.conf import VMConfig
from state.observed import NodeRow, StorageRow
from state.placing import Verdict

RULES = {
    "balance": "the most free RAM",
    "round_robin": "the fewest VMs of the fleet",
    "fill": "the least free RAM that is enough",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """One node: the verdict for people, and what of it the choice goes by.

    With `barred` a VM could not even be made there.
    """

    verdict: Verdict
    way: Way | None
    needs: Needs
    barred: bool

    @property
    def fits(self) -> bool:
        return not self.verdict.against


def judge(spec: VMSpec, found: Ways, terrain: Terrain) -> list[Judged]:
    """Return the judgement of every node of the cluster, by name."""
    nodes = sorted(terrain.view.nodes.items())
    return [_judged(spec, row, found.to.get(name), found, terrain) for name, row in nodes]


def _judged(spec: VMSpec, node: NodeRow, way: Way | None, found: Ways, terrain: Terrain) -> Judged:
    config = terrain.inside(way.row) if way and way.row else None
    needs = disks_of(spec, config, way) if way else {}
    barring = [*_closed(node, way, found), *_unequipped(spec, node.node, terrain)]
    barring += [lack for one in needs if (lack := terrain.lack(one, node.node))]
    against = [*barring, *_unwanted(spec, node.node), *_full(spec, config, node, needs, terrain)]
    verdict = Verdict(
        node.node,
        str(way.path) if way else "",
        len(terrain.capacity.mates(spec, node.node)),
        terrain.capacity.ours.get(node.node, 0),
        terrain.capacity.ram.get(node.node, 0) - ram_of(spec, config),
        tuple(dict.fromkeys(against)),
    )
    barred = bool(barring) or _no_room(needs, node.node, terrain)
    return Judged(verdict, way, needs, barred)


def _closed(node: NodeRow, way: Way | None, found: Ways) -> Iterator[str]:
    if not node.online:
        yield "it is not online"
    elif not node.takes_vms:
        yield "it is in maintenance"
    if way is None:
        yield found.closed.get(node.node, "no copy of the template can be reached")


def _unwanted(spec: VMSpec, node: str) -> Iterator[str]:
    if spec.node and node not in spec.node.nodes:
        yield f"the spec wants {' or '.join(spec.node.nodes)}"


def _unequipped(spec: VMSpec, node: str, terrain: Terrain) -> Iterator[str]:
    """What the spec names and the node lacks: bridges, mapped devices, files on its storages."""
    bridges = terrain.bridges.get(node)
    for nic in spec.nics.values():
        known = any(nic.bridge in names for names in terrain.bridges.values())
        if nic.bridge and known and bridges is not None and nic.bridge not in bridges:
            yield f"bridge {nic.bridge} is not there"
    if terrain.holdings is None:
        return
    for kind, name in mappings(spec):
        there = terrain.holdings.mapped(kind, name)
        if there and node not in there:
            yield f"mapping {name} has no {kind} device there"
    for volume, content in files(spec):
        rows = terrain.storages.get(volume.partition(":")[0], {})
        there = terrain.holdings.holding(volume, content, rows)
        if there and node not in there:
            yield f"{volume} is not there"


def mappings(spec: VMSpec) -> Iterator[tuple[str, str]]:
    """Yield (kind, name) of every mapping that the spec names."""
    for kind, devices in (("pci", spec.pci), ("usb", spec.usb), ("dir", spec.virtiofs)):
        for device in devices.values():
            if device.mapping is not None and device.state == "present":
                yield kind, device.mapping


def files(spec: VMSpec) -> Iterator[tuple[str, str]]:
    """Yield (volume, content) of the ISO and the snippets that the spec names."""
    if spec.iso is not None and spec.iso.state == "present":
        yield spec.iso.volume, "iso"
    custom = spec.cloudinit.custom if spec.cloudinit else None
    for volume in sorted({*custom.volumes.values()} - {"none"}) if custom else ():
        yield volume, "snippets"


def _full(
    spec: VMSpec, config: VMConfig | None, node: NodeRow, needs: Needs, terrain: Terrain
) -> Iterator[str]:
    """What the node has too little of, counting all that is planned there."""
    capacity, rules = terrain.capacity, terrain.rules
    need = ram_of(spec, config)
    left, reserve = capacity.ram.get(node.node, 0) - need, int(node.maxmem * rules.ram_reserve)
    if need and left < reserve:
        shown = f"{_size(left)} of RAM would be left" if left > 0 else "it has too little RAM left"
        yield f"{shown}, {_size(reserve)} are to stay free"
    config_cpus = (config.integer("cores", 1) * config.integer("sockets", 1)) if config else 1
    cpus = capacity.cpus.get(node.node, 0) + cpus_of(spec, config_cpus)
    if node.maxcpu and cpus > node.maxcpu * rules.cpu_overcommit:
        yield (
            f"{cpus:g} virtual CPUs would stand against {node.maxcpu:g}, "
            f"{rules.cpu_overcommit:g} times as many are allowed"
        )
    for row, size, left in _short(needs, node.node, terrain):
        yield f"storage {row.storage} has {_size(left)} left, {_size(size)} are needed"


def _short(needs: Needs, node: str, terrain: Terrain) -> Iterator[tuple[StorageRow, int, int]]:
    """The storages without room for the disks: what is needed of each, and what is left."""
    for storage, size in sorted(needs.items()):
        row = terrain.storages.get(storage, {}).get(node)
        left = terrain.capacity.free(row) if row else None
        if row is not None and left is not None and terrain.capacity.counted(row, size) > left:
            yield row, size, max(left, 0)


def _no_room(needs: Needs, node: str, terrain: Terrain) -> bool:
    """Whether a disk surely cannot be made; on thin storage it only may not grow to its size."""
    return any(not left or row.kind in THICK for row, _, left in _short(needs, node, terrain))


def _size(size: int) -> str:
    return f"{size / GIB:.1f} GiB"


def rank(judged: Judged, rule: str) -> tuple[float, ...]:
    """The lower the better: who is there of its group, then the rule of `placement: fill`."""
    one = judged.verdict
    if rule == "round_robin":
        return (one.mates, one.vms, -one.free)
    return (one.mates, one.free if rule == "fill" else -one.free)
