"""A cluster to place VMs in, of three nodes with local and shared storage; and short answers."""

from collections.abc import Iterable
from typing import NamedTuple

from desired.catalog import PlacementRules
from desired.spec import VMSpec
from reconciler.allocation.capacity import Capacity
from reconciler.allocation.placing import Placed, place
from reconciler.allocation.terrain import Terrain
from state.change import Note
from state.machine import Machine
from state.observed import NodeRow, StorageRow
from tests.engine import machine, storage, template, view

LOCAL = storage("local-lvm", "pve1", "pve2", "pve3", kind="lvmthin")
CEPH = storage("ceph", "pve1", "pve2", "pve3", shared=True, kind="rbd")
ON_LOCAL = machine(scsi0="local-lvm:base-9000-disk-0,size=3G", boot="order=scsi0")
ON_CEPH = machine(scsi0="ceph:base-9000-disk-0,size=3G", ide2="none,media=cdrom")
ONE_COPY = (template(9000, "pve1"),)
THREE_COPIES = tuple(template(9000 + n, f"pve{n + 1}") for n in range(3))
SHARED_ISO = "ceph:iso/x.iso,media=cdrom"
STAYS = PlacementRules(post_clone_migration=False)


class Where(NamedTuple):
    """A placement in short: the copy, where it lands, where it ends, the storage it is given."""

    template: int | None
    node: str
    end: str
    storage: str | None = None


def terrain(
    rows: Iterable[object] = THREE_COPIES,
    inside: Machine = ON_LOCAL,
    storages: Iterable[StorageRow] = (*LOCAL, *CEPH),
    nodes: Iterable[NodeRow] | None = None,
    rules: PlacementRules = STAYS,
) -> Terrain:
    world = view(rows, nodes, storages=tuple(storages))  # type: ignore[arg-type]
    return Terrain(world, dict.fromkeys(world.vms, inside), Capacity.of(world, rules))


def chosen(wanted: VMSpec, *given: object, **fields: object) -> Placed:
    answer = place(wanted, (9000, 9001, 9002), terrain(*given, **fields))  # type: ignore[arg-type]
    assert isinstance(answer, Placed), answer
    return answer


def placed(wanted: VMSpec, *given: object, **fields: object) -> Where:
    answer = chosen(wanted, *given, **fields)
    return Where(answer.template, answer.node, answer.end, answer.storage)


def refused(wanted: VMSpec, condition: str, *given: object, **fields: object) -> str:
    """What a blocking note of that condition says."""
    answer = place(wanted, (9000, 9001, 9002), terrain(*given, **fields))  # type: ignore[arg-type]
    assert isinstance(answer, Note)
    assert (answer.handler, answer.condition, answer.blocking) == ("allocate", condition, True)
    return answer.reason


def against(answer: Placed, on: str) -> str:
    """What was said against a node."""
    assert answer.placing.choice is not None
    (verdict,) = (one for one in answer.placing.choice.verdicts if one.node == on)
    return "; ".join(verdict.against)
