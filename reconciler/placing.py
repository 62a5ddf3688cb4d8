"""Which template copy a new VM is cloned from, and on which node it lands (DEP-13, DEP-16)."""

from collections.abc import Mapping
from dataclasses import dataclass

from desired.spec import VMSpec
from reconciler.ledger import Ledger
from state.change import Note
from state.memory import Binding
from state.observe import Machine
from state.observed import ClusterView, VMRow


@dataclass(frozen=True, slots=True)
class Placed:
    """A template copy and where the clone goes; `storage` only for a full clone."""

    template: int
    template_node: str
    node: str
    storage: str | None = None


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
    cloned across; else any copy, where the VM then stays. Without a wanted node the roomiest.
    """
    rows = [view.vms[vmid] for vmid in copies if vmid in view.vms]
    known = [row for row in rows if row.template or row.name is None]
    if not known:
        return _no_template(spec, copies, rows)
    online = {name for name, node in view.nodes.items() if node.online}
    usable = [row for row in known if row.node in online]
    if not usable:
        nodes = ", ".join(sorted({row.node for row in known}))
        reason = f"the template stands only on {nodes}, which is not online: start the node"
        return problem(spec, "template", "TemplateUnreachable", reason)
    if spec.node and spec.node.name not in view.nodes:
        reason = f"no node {spec.node.name} in cluster {view.name}: it has {_names(view.nodes)}"
        return problem(spec, "node", "NodeMissing", reason)
    row, node = _choose(spec, usable, online, view, machines, ledger)
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
        and all(node is not None and node.online for node in nodes)
        and (old.clone, old.storage) == (spec.clone, storage)
        and (spec.node is None or spec.node.name == old.node)
    )
    if not unchanged or row is None or old.node is None:
        return None
    return Placed(row.vmid, row.node, old.node, storage)


def _choose(
    spec: VMSpec,
    usable: list[VMRow],
    online: set[str],
    view: ClusterView,
    machines: Mapping[int, Machine],
    ledger: Ledger,
) -> tuple[VMRow, str]:
    by_node = {row.node: row for row in sorted(usable, key=lambda row: -row.vmid)}
    shared = [row for row in usable if _reaches_all_nodes(spec, row, view, machines)]
    if spec.node:
        if spec.node.name in by_node:
            return by_node[spec.node.name], spec.node.name
        if shared and spec.node.name in online:
            return shared[0], spec.node.name
        row = usable[0]
        return row, row.node
    node = ledger.roomiest(online if shared else by_node) or usable[0].node
    row = by_node.get(node) or shared[0]
    return row, node


def _reaches_all_nodes(
    spec: VMSpec, row: VMRow, view: ClusterView, machines: Mapping[int, Machine]
) -> bool:
    """Whether the clone call may name another node: template and target storage are shared."""
    config = machines.get(row.vmid, Machine()).config
    if config is None:
        return False
    shared = {storage.storage for storage in view.storages if storage.shared}
    needed = {drive.storage for drive in config.wanted.drives.values() if drive.storage}
    if spec.clone == "full" and spec.storage:
        needed.add(spec.storage)
    return needed <= shared


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
