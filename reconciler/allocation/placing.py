"""Which copy of its template a new VM is made from, and on which node (DEP-13, DEP-15, DEP-16)."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from desired.spec import VMSpec
from reconciler.allocation.capacity import Needs
from reconciler.allocation.images import image_problem, target_storage
from reconciler.allocation.judging import RULES, Judged, judge, rank
from reconciler.allocation.problem import problem
from reconciler.allocation.terrain import Terrain
from reconciler.allocation.ways import Path, Way, ways
from state.change import Note
from state.memory import Binding
from state.observed import VMRow
from state.placing import Choice, Placing

MOST_TOLD = 3
"""Nodes whose reasons a condition repeats; `reconcile why` has them all."""

Copies = tuple[int | str, ...]
"""What a template's name stands for: vmids of templates, or volumes of images."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A template copy or an image, the node where the VM is made, and what is open about that.

    `storage` is given to a full clone and to a VM of an image; `needs` are what its disks take.
    """

    template: int | None
    template_node: str | None
    node: str
    storage: str | None = None
    image: str | None = None
    placing: Placing = field(default_factory=Placing)
    needs: Needs = field(default_factory=dict)

    @property
    def end(self) -> str:
        """The node that it is to be on in the end."""
        return self.placing.target or self.node


def place(spec: VMSpec, copies: Copies, terrain: Terrain) -> Placed | Note:
    """Choose the node: of those that nothing rules out the best by the fleet's rules, never beside
    a VM of its anti-affinity group while another fits. Where none fits the VM is made on the one
    node that its spec names if it can be, else beside its template, where it stays (DEP-16).
    """
    view, images = terrain.view, tuple(one for one in copies if isinstance(one, str))
    rows = [view.vms[vmid] for vmid in copies if isinstance(vmid, int) and vmid in view.vms]
    known = [row for row in rows if row.template or row.name is None]
    if wrong := image_problem(spec, images, terrain) if images else None:
        return wrong
    if not known and not images:
        return _no_template(spec, copies, rows)
    online = {name for name, node in view.nodes.items() if node.takes_vms}
    usable = [row for row in known if row.node in online]
    if not usable and not images:
        nodes = ", ".join(sorted({row.node for row in known}))
        reason = f"the template stands only on {nodes}, which is not online: start the node"
        return problem(spec, "template", "TemplateUnreachable", reason)
    if spec.node and not view.nodes.keys() & set(spec.node.nodes):
        asked = " or ".join(spec.node.nodes)
        reason = f"no node {asked} in cluster {view.name}: it has {_names(view.nodes)}"
        return problem(spec, "node", "NodeMissing", reason)
    judged = judge(spec, ways(spec, usable, images, terrain), terrain)
    return _chosen(spec, judged, terrain)


def _chosen(spec: VMSpec, judged: list[Judged], terrain: Terrain) -> Placed:
    fitting, rule = [one for one in judged if one.fits], _rule(spec, terrain)
    if not fitting and _pinned(spec):
        # A person who names one node knows better what may be promised there.
        named = (one for one in judged if one.verdict.node in _pinned(spec))
        fitting = [one for one in named if not one.barred]
        rule = f"{rule}, though it is short of room"
    best = min(fitting, key=lambda one: rank(one, terrain.rules.fill), default=None)
    if best is not None and best.way is not None:
        return _placed(spec, best, best.way, judged, rule, terrain)
    return _beside_template(spec, judged, terrain)


def _pinned(spec: VMSpec) -> tuple[str, ...]:
    nodes = spec.node.nodes if spec.node else ()
    return nodes if len(nodes) == 1 else ()


def _placed(
    spec: VMSpec, best: Judged, way: Way, judged: list[Judged], rule: str, terrain: Terrain
) -> Placed:
    node = best.verdict.node
    moves = way.path is Path.MIGRATE
    placing = Placing(
        node=way.landing,
        target=node if moves else None,
        storages=way.target_storages if moves else "",
        neighbours=terrain.capacity.mates(spec, node),
        choice=Choice(node, rule, tuple(one.verdict for one in judged)),
    )
    return _by(way, spec, placing, best.needs, terrain)


def _by(way: Way, spec: VMSpec, placing: Placing, needs: Needs, terrain: Terrain) -> Placed:
    storage = spec.storage if spec.clone == "full" else None
    if way.image is not None:
        storage = target_storage(spec, way.image)
        return Placed(None, None, way.landing, storage, way.image, placing, needs)
    assert way.row is not None
    return Placed(way.row.vmid, way.row.node, way.landing, storage, None, placing, needs)


def _beside_template(spec: VMSpec, judged: list[Judged], terrain: Terrain) -> Placed:
    """None fits: the VM stays beside a template where it can be made, and works there."""
    beside = [one for one in judged if one.way and one.way.landing == one.verdict.node]
    near = [one for one in beside if one.way and one.way.path in (Path.CLONE, Path.CREATE)]
    sound = [one for one in near if not one.barred] or [one for one in near if _takes(one, terrain)]
    best = min(sound, key=lambda one: rank(one, "balance"))
    assert best.way is not None
    wanted = spec.node.nodes if spec.node else ()
    asked = [one for one in judged if one.verdict.node in wanted] if wanted else judged
    choice = Choice("", _rule(spec, terrain), tuple(one.verdict for one in judged))
    placing = Placing(
        node=best.verdict.node,
        problem=reasons(asked),
        neighbours=terrain.capacity.mates(spec, best.verdict.node),
        choice=choice,
    )
    return _by(best.way, spec, placing, best.needs, terrain)


def _takes(one: Judged, terrain: Terrain) -> bool:
    return terrain.view.nodes[one.verdict.node].takes_vms


def reasons(judged: list[Judged]) -> str:
    told = [f"{one.verdict.node}: {one.verdict.against[0]}" for one in judged if not one.fits]
    more = [f"{len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else []
    return "; ".join([*told[:MOST_TOLD], *more])


def _rule(spec: VMSpec, terrain: Terrain) -> str:
    if _pinned(spec):
        return "its spec"
    group = f"the fewest of {spec.anti_affinity}, then " if spec.anti_affinity else ""
    return group + RULES[terrain.rules.fill]


def still_placed(
    spec: VMSpec, old: Binding, placing: Placing | None, copies: Copies, terrain: Terrain
) -> Placed | None:
    """Return the placement chosen before, while nothing that it rests on has changed.

    A VM that waits for its clone thus stays where the first look put it.
    """
    view, target = terrain.view, placing.target if placing else None
    stands = [view.nodes.get(name or "") for name in (old.node, target or old.node)]
    storage = spec.storage if spec.clone == "full" else None
    wanted = spec.node is None or (target or old.node) in spec.node.nodes
    if old.node is None or not all(node is not None and node.takes_vms for node in stands):
        return None
    if old.clone != spec.clone or not (wanted or (placing and placing.problem)):
        return None
    placing = placing or Placing()
    if old.image is not None:
        same = old.image in copies and old.storage == target_storage(spec, old.image)
        there = same and terrain.lack(old.storage or "", old.node) is None
        return Placed(None, None, old.node, old.storage, old.image, placing) if there else None
    row = view.vms.get(old.template or 0)
    home = view.nodes.get(old.template_node or "")
    if row is None or home is None or not home.takes_vms or old.template not in copies:
        return None
    if row.node != old.template_node or old.storage != storage:
        return None
    return Placed(row.vmid, row.node, old.node, storage, None, placing)


def _no_template(spec: VMSpec, copies: Copies, rows: list[VMRow]) -> Note:
    wanted = ", ".join(map(str, copies))
    if rows:
        reason = f"{spec.template}: vm {rows[0].vmid} is not a template: convert it, or correct "
        reason += "templates: in fleet.yaml"
    else:
        reason = f"{spec.template}: no template {wanted} in cluster {spec.cluster}: create it, "
        reason += "give the token VM.Audit on it, or correct templates: in fleet.yaml"
    return problem(spec, "template", "TemplateMissing", reason)


def _names(nodes: Mapping[str, object]) -> str:
    return ", ".join(sorted(nodes)) or "no nodes"
