"""What is open about a VM's place once it is there: on its way, arrived, given up, or enforced."""

from collections.abc import Iterator
from dataclasses import replace

from desired.spec import VMSpec
from handlers.effects import running
from handlers.migration import local_storages
from handlers.placement import Placement
from handlers.resource import resource_of
from reconciler.allocation.judging import judge, rank
from reconciler.allocation.placing import reasons
from reconciler.allocation.terrain import Terrain
from reconciler.allocation.ways import Path, Way, Ways, carry
from state.memory import Phase
from state.observed import SeenVM, VMRow
from state.placing import Placing
from state.store import Store


def with_place(spec: VMSpec, seen: SeenVM, terrain: Terrain, store: Store | None) -> SeenVM:
    """Return `seen` with what is open about its place; without a store nothing is written."""
    if seen.row is None or seen.config is None:
        return seen
    placing = seen.memory.placing
    if placing is not None:
        placing = _going_on(spec, seen, seen.row, placing, terrain, store)
    if (placing is None or placing.target is None) and _is_enforced(spec, seen):
        placing = aim(spec, seen, seen.row, terrain)
    if neighbours := terrain.capacity.mates(spec, seen.row.node):
        placing = replace(placing or Placing(seen.row.node), neighbours=neighbours)
    return replace(seen, memory=replace(seen.memory, placing=placing))


def _is_enforced(spec: VMSpec, seen: SeenVM) -> bool:
    binding = seen.memory.binding
    made = binding is not None and binding.phase in (Phase.READY, Phase.CHANGE)
    return made and spec.node is not None and spec.node.enforce and seen.node not in spec.node.nodes


def _going_on(
    spec: VMSpec,
    seen: SeenVM,
    row: VMRow,
    placing: Placing,
    terrain: Terrain,
    store: Store | None,
) -> Placing | None:
    """Return what of a stored place is still open, and forget what is not."""
    wanted = spec.node.nodes if spec.node else ()
    if placing.target is None:
        left = placing if row.node == placing.node and row.node not in wanted else None
    elif row.node == placing.target:
        left = None
    elif row.lock or not (why := next(_hopeless(spec, seen, placing.target, terrain), "")):
        left = placing
    else:
        left = Placing(row.node, problem=why)
    if store is not None and left != placing:
        store.placements.leave(seen.key, row.node, left.problem if left else "")
    return left


def _hopeless(spec: VMSpec, seen: SeenVM, target: str, terrain: Terrain) -> Iterator[str]:
    """Why a clone is not migrated any more: it stays where it is and goes on (DEP-16)."""
    attempt, node = seen.memory.attempts.get(Placement.name), terrain.view.nodes.get(target)
    if attempt is not None:
        yield f"the migration to {target} failed: {attempt.error}"
    if node is None or not node.online:
        yield f"{target} is not online any more"
    elif not node.takes_vms:
        yield f"{target} is in maintenance by now"
    if running(seen):
        yield f"it was started before it was on {target}"
    if spec.node and target not in spec.node.nodes:
        yield f"it was to go to {target}, the spec wants {' or '.join(spec.node.nodes)} by now"


def aim(spec: VMSpec, seen: SeenVM, row: VMRow, terrain: Terrain) -> Placing:
    """Choose where a VM is migrated that is not where its spec enforces it to be, if anywhere."""
    nodes = spec.node.nodes if spec.node else ()
    judged = [
        one
        for one in judge(spec, _ways_on(spec, seen, row, terrain), terrain)
        if one.verdict.node in nodes
    ]
    fitting = [one for one in judged if one.fits]
    best = min(fitting, key=lambda one: rank(one, terrain.rules.fill), default=None)
    if best is None or best.way is None:
        unknown = f"no node {' or '.join(nodes)} in the cluster"
        return Placing(row.node, problem=reasons(judged) or unknown)
    terrain.capacity.place(spec, best.verdict.node, best.needs)
    return Placing(row.node, best.verdict.node, best.way.target_storages)


def _ways_on(spec: VMSpec, seen: SeenVM, row: VMRow, terrain: Terrain) -> Ways:
    found: dict[str, Way] = {}
    closed: dict[str, str] = {}
    config = seen.config.wanted if seen.config else None
    drives = [(one, one.storage or "") for one in config.drives.values()] if config else []
    local = ", ".join(local_storages(seen))
    for node in spec.node.nodes if spec.node else ():
        carried = carry(drives, node, terrain)
        if isinstance(carried, str):
            closed[node] = carried
        elif local and resource_of(seen):
            closed[node] = f"the HA manager carries no disks along, and some are on {local}"
        elif local and running(seen) and spec.node and not spec.node.local_disks:
            closed[node] = f"disks on {local} are only carried along live with `local_disks: true`"
        else:
            found[node] = Way(Path.MOVE, row.node, row, storages=carried)
    return Ways(found, closed)
