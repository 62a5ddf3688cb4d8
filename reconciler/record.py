"""All that is known of one VM as one flat document, for programs that keep it so (LOG-06)."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from desired.spec import VMSpec
from handlers.records import Named, wanted_of
from reconciler.config import Opened
from reconciler.queue.gate import looked
from reconciler.remains import Lifetime, backups_of
from reconciler.secrets import SecretError
from reconciler.sim.embedded import EmbeddedFailed
from reconciler.status import VMStatus
from reconciler.verbs.listing import saved_by
from state.api import Api, ApiError, Json
from state.cache import CachedVM
from state.machine import machine
from state.memory import Binding, Memory
from state.observe import read_pending
from state.observed import ClusterView, VMRow


@dataclass(frozen=True, slots=True)
class Live:
    """What the cluster says of a VM now; `problem` why that is not known."""

    row: VMRow | None = None
    mac: str | None = None
    snapshots: tuple[Json, ...] = ()
    backups: tuple[Json, ...] = ()
    problem: str = ""


def record(opened: Opened, status: VMStatus, memory: Memory, at: datetime) -> dict[str, Json]:
    """Return a VM's record. What only its cluster knows is null where that cannot be asked."""
    binding, spec = memory.binding, opened.fleet.vms.get(status.key)
    live = _live(opened, binding, at) if binding else Live(problem="it has no machine")
    unknown = bool(live.problem)
    document = spec.model_dump(mode="json", exclude_none=True) if spec else {}
    addresses: list[Json] = [*status.addresses]
    return {
        "service_id": status.key,
        "service_status": status.phase,
        "service_state": status.state,
        "vm_id": status.vmid,
        "vm_name": (spec and spec.fqdn) or status.name or None,
        "vm_cluster": status.cluster,
        "vm_node": live.row.node if live.row else status.node or None,
        "vm_status": live.row.status if live.row else None,
        "vm_lock": live.row.lock if live.row else None,
        "vm_ips": addresses,
        "vm_net0_mac": live.mac,
        "vm_rev_dns": _reverse(spec, memory),
        "vm_snapshots": None if unknown else list(live.snapshots),
        "vm_backups": None if unknown else list(live.backups),
        "vm_backup_schedule": document.get("backup"),
        "backup_now": _task(memory, "backup"),
        "backup_restore": _task(memory, "restore"),
        "problem": live.problem or None,
    }


def _live(opened: Opened, binding: Binding, at: datetime) -> Live:
    try:
        api = opened.connect(binding.cluster)
        view = looked(api, binding.cluster, at)
        return Live(problem=view.problem) if view.problem else _machine(api, view, binding)
    except (ApiError, SecretError, EmbeddedFailed) as error:
        return Live(problem=str(error))


def _machine(api: Api, view: ClusterView, binding: Binding) -> Live:
    """Read a machine's config, its snapshots, and its backups on every storage."""
    row = view.vms.get(binding.vmid)
    left = backups_of(api, view, Lifetime(binding.vmid, binding.created_at))
    backups: tuple[Json, ...] = tuple(
        {"volume": one.volume, "storage": one.storage, "size": one.size} for one in left.backups
    )
    if row is None:
        return Live(backups=backups, problem=f"vm {binding.vmid} is not there")
    document = msgspec.json.encode(read_pending(api, row)).decode()
    config = machine(CachedVM(row.vmid, document)).config
    nic = config.live.nics.get("net0") if config else None
    snapshots: tuple[Json, ...] = tuple(
        {"name": one.name, "at": one.at, "about": one.about} for one in saved_by(api, binding)
    )
    return Live(row, nic.mac if nic else None, snapshots, backups, "; ".join(left.problems))


def _reverse(spec: VMSpec | None, memory: Memory) -> dict[str, Json]:
    """The reverse name that each address is to have."""
    wanted = wanted_of(Named(spec, memory.leases)) if spec else ()
    return {one.address: min(one.values) for one in wanted if one.type == "PTR"}


def _task(memory: Memory, word: str) -> str | None:
    """The task of ours that is at work on the VM, if it is of that kind."""
    task = memory.task
    return task.upid if task is not None and word in task.handler else None
