"""Where the building of a template stands, as the cluster shows it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from reconciler.pve.form import quote_segment
from reconciler.template.order import Order, read_mark
from state.api import Api, NotFound, Refused
from state.conf import VMConfig
from state.observed import ClusterView, TaskRow, VMRow
from state.view import cluster_view


class BuildError(Exception):
    """The template was not built; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look: the VM that is being built, one that was finished before, and what is at work.

    `vmid` and `finished` are 0 where there is none. A VM that was begun and is not there (yet) has
    a vmid and no row.
    """

    view: ClusterView
    vmid: int = 0
    config: VMConfig | None = None
    finished: int = 0
    task: TaskRow | None = None

    @property
    def row(self) -> VMRow | None:
        return self.view.vms.get(self.vmid)


def look(order: Order, cluster: str, api: Api, at: datetime, kept: int) -> Seen:
    """Look for an order's VM and tasks; `kept` is the vmid that an earlier try began with, or 0.

    Raises ApiError, and BuildError where the order's node is away.
    """
    tasks = api.get("/cluster/tasks")
    resources = api.get("/cluster/resources")
    view = cluster_view(cluster, at, resources, api.get("/cluster/status"), tasks, None)
    node = view.nodes.get(order.node)
    if view.problem or node is None or not node.online:
        why = view.problem or f"node {order.node} of cluster {cluster} is not online"
        raise BuildError(why)
    vmid, config, finished = _mine(order, api, view, kept)
    asked = {("download", order.file), ("qmcreate", str(vmid)), ("qmtemplate", str(vmid))}
    works = (one for one in view.tasks if one.running and one.node == order.node)
    task = next((one for one in works if (one.kind, one.id) in asked), None)
    return Seen(view, vmid, config, finished, task)


def free_vmid(api: Api) -> Callable[[int], bool]:
    """What asks `GET /cluster/nextid?vmid=`: 400 when any guest of the cluster has it."""

    def free(vmid: int) -> bool:
        try:
            api.get("/cluster/nextid", {"vmid": vmid})
        except Refused:
            return False
        return True

    return free


def _mine(order: Order, api: Api, view: ClusterView, kept: int) -> tuple[int, VMConfig | None, int]:
    """Return (the vmid being built, its config, that of a finished one).

    A VM is known by its mark, which those of its name are read for, and those whose name is not
    broadcast yet; under its creation's lock, where no mark shows, by the vmid that was kept.
    """
    found, config, finished = 0, None, 0
    for row in view.vms.values():
        names = (None, order.name, f"VM {row.vmid}")
        if row.node != order.node or row.name not in names:
            continue
        if row.vmid == kept and row.lock == "create":
            return kept, None, 0
        read = _config(api, row)
        if read is None or read_mark(read.description) != order.mark(row.vmid):
            continue
        if row.vmid == kept or not read.template:
            found, config = row.vmid, read
        else:
            finished = row.vmid
    begun = kept if kept and kept not in view.vms else 0
    return found or begun, config, finished


def _config(api: Api, row: VMRow) -> VMConfig | None:
    try:
        answer = api.get(f"/nodes/{quote_segment(row.node)}/qemu/{row.vmid}/config")
    except NotFound:
        return None
    raw = answer if isinstance(answer, dict) else {}
    return VMConfig({k: v for k, v in raw.items() if isinstance(v, str | int | float)})
