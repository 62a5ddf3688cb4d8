"""Which template copy a new VM is cloned from, and on which node it lands (DEP-13, DEP-16)."""

from collections.abc import Mapping
from dataclasses import dataclass

from desired.spec import VMSpec
from reconciler.allocation.ledger import Ledger
from state.change import Note
from state.machine import Machine
from state.memory import Binding
from state.observed import ClusterView, VMRow


@dataclass(frozen=True, slots=True)
class Placed:
    """A template copy and where the clone goes; `storage` only for a full clone.

    Of a VM that is made from a disk image its volume is `image`, and no template is named.
    """

    template: int | None
    template_node: str | None
    node: str
    storage: str | None = None
    image: str | None = None


def problem(spec: VMSpec, field: str, condition: str, reason: str) -> Note:
    """A blocking note of allocation: nothing can be done for this VM until it is mended."""
    return Note(spec.key, "allocate", field, reason, condition, blocking=True)


def place(
    spec: VMSpec,
    copies: tuple[int, ...],
    view: ClusterView,
    machines: Mapping[int, Machine],
    ledger: Ledger,
) -> Placed | Note:
    """Choose template copy and node: a copy on the wanted node; else a copy on shared storage,
    cloned across; else the roomiest node with a copy, where the VM then stays. Without a wanted
    node the roomiest of all that a clone can land on.
    """
    rows = [view.vms[vmid] for vmid in copies if vmid in view.vms]
    known = [row for row in rows if row.template or row.name is None]
    if not known:
        return _no_template(spec, copies, rows)
    online = {name for name, node in view.nodes.items() if node.takes_vms}
    usable = [row for row in known if row.node in online]
    if not usable:
        nodes = ", ".join(sorted({row.node for row in known}))
        reason = f"the template stands only on {nodes}, which is not online: start the node"
        return problem(spec, "template", "TemplateUnreachable", reason)
    if spec.node and spec.node.name and spec.node.name not in view.nodes:
        reason = f"no node {spec.node.name} in cluster {view.name}: it has {_names(view.nodes)}"
        return problem(spec, "node", "NodeMissing", reason)
    ways = _ways(spec, usable, online, view, machines)
    if spec.node and spec.node.name and spec.node.name in ways:
        node = spec.node.name
    elif spec.node:
        node = ledger.roomiest([name for name, row in ways.items() if row.node == name] or ways)
    else:
        node = ledger.roomiest(ways)
    row = ways[node]
    storage = spec.storage if spec.clone == "full" else None
    return Placed(row.vmid, row.node, node, storage)


def still_placed(
    spec: VMSpec, old: Binding, copies: tuple[int, ...], view: ClusterView
) -> Placed | None:
    """Return the placement chosen before, while nothing that it rests on has changed.

    A VM that waits for its clone thus stays where the first look put it.
    """
    row = view.vms.get(old.template or 0)
    nodes = [view.nodes.get(name or "") for name in (old.node, old.template_node)]
    storage = spec.storage if spec.clone == "full" else None
    unchanged = (
        row is not None
        and old.template in copies
        and row.node == old.template_node
        and all(node is not None and node.takes_vms for node in nodes)
        and (old.clone, old.storage) == (spec.clone, storage)
        and (spec.node is None or spec.node.name == old.node)
    )
    if not unchanged or row is None or old.node is None:
        return None
    return Placed(row.vmid, row.node, old.node, storage)


def _ways(
    spec: VMSpec,
    usable: list[VMRow],
    online: set[str],
    view: ClusterView,
    machines: Mapping[int, Machine],
) -> dict[str, VMRow]:
    """Return the nodes that a clone can land on, each with its copy: its own before a far one.

    A far node needs every storage shared and available there (DEP-16); a storage that is listed
    nowhere is not known, and keeps nobody away.
    """
    ways: dict[str, VMRow] = {}
    for row in reversed(usable):
        ways |= dict.fromkeys(_far_nodes(spec, row, view, machines) & online, row)
    for row in sorted(usable, key=lambda row: -row.vmid):
        ways[row.node] = row
    target = _storage_nodes(view).get((spec.clone == "full" and spec.storage) or "", online)
    return {node: row for node, row in ways.items() if node in target} or ways


def _far_nodes(
    spec: VMSpec, row: VMRow, view: ClusterView, machines: Mapping[int, Machine]
) -> set[str]:
    """The nodes that the clone call may name as its target, beside the template's own."""
    config = machines.get(row.vmid, Machine()).config
    if config is None:
        return set()
    needed = {drive.storage for drive in config.wanted.drives.values() if drive.storage}
    if spec.clone == "full" and spec.storage:
        needed.add(spec.storage)
    if not needed <= {storage.storage for storage in view.storages if storage.shared}:
        return set()
    there = _storage_nodes(view)
    return set(view.nodes).intersection(*(there[storage] for storage in needed))


def _storage_nodes(view: ClusterView) -> dict[str, set[str]]:
    """The nodes on which each storage is available."""
    nodes: dict[str, set[str]] = {}
    for storage in view.storages:
        there = nodes.setdefault(storage.storage, set())
        if storage.available:
            there.add(storage.node)
    return nodes


def _no_template(spec: VMSpec, copies: tuple[int, ...], rows: list[VMRow]) -> Note:
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
