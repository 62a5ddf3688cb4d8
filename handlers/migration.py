"""How a VM is sent to another node: the call, what must be asked first, and what is enforced."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from desired.spec import VMSpec
from handlers.effects import running
from handlers.handler import Context, Subject, vm_path, vmid_of
from handlers.resource import resource_of
from state.api import Json, Refused
from state.change import Call, Change, Method, Note, Outcome, Param
from state.memory import Phase
from state.observed import SeenVM
from state.placing import Placing

ASKED = timedelta(minutes=10)
"""How long the HA manager is left to carry a request out before it is asked again."""


class Migration:
    """Migrates a VM whose spec enforces where it is, live when it runs.

        web-3: {node: {name: pve2, enforce: true, local_disks: true}}

    Owns no config key. Allocation says whether it can go and to which node; what keeps it is told
    by `placement`. Whatever else differs comes first (CP-11), one migration at a time is under way
    on a node, and one that failed is tried again later. `GET` and
    `POST /nodes/N/qemu/V/migrate`, VM.Migrate.

    Risk: a live migration takes the network's bandwidth and a moment of standstill; a running VM
    is never migrated offline, nor its local disks carried along unless `local_disks` says so.
    """

    name = "migration"
    subject = Subject.VM
    after = ("exists",)
    blocking = False
    keys: tuple[str, ...] = ()

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        placing, binding = seen.memory.placing, seen.memory.binding
        if spec.node is None or not spec.node.enforce or placing is None or binding is None:
            return
        target = placing.target
        if target not in spec.node.nodes or target in (None, seen.node):
            return
        if binding.phase is Phase.CHANGE:
            yield self._waits(seen, f"is to go to {target} once its change is done")
        elif resource_of(seen) and _asked(seen):
            yield self._waits(seen, f"the HA manager was asked to move it to {target}")
        elif binding.phase is Phase.READY:
            yield replace(moved(seen, self.name, placing), gate=True)

    def _waits(self, seen: SeenVM, reason: str) -> Note:
        return Note(seen.key, self.name, "node", reason, "PlacementDiffers")

    @staticmethod
    def apply(changes: Sequence[Change], ctx: Context) -> Outcome:
        """Ask Proxmox whether the VM may go, then send it there. Raises ApiError."""
        return migrate(changes, ctx)


def moved(seen: SeenVM, handler: str, placing: Placing) -> Change:
    """The change of node to what the placing aims at."""
    target = placing.target or ""
    call = Call(Method.POST, f"{vm_path(seen)}/migrate", _params(seen, placing, target))
    return Change(seen.key, handler, "node", seen.node, target, (call,))


def migrate(changes: Sequence[Change], ctx: Context) -> Outcome:
    """Ask Proxmox whether the VM may go, then send it there. Raises ApiError."""
    call = changes[0].calls[0]
    target, given = str(call.params["target"]), str(call.params.get("targetstorage", ""))
    carried = {pair.partition(":")[0] for pair in given.split(",")}
    answer = ctx.api.get(call.path, {"target": target})
    for reason in _hindrances(answer, target, carried):
        raise Refused(f"{target}: {reason}")
    upid = ctx.api.send(call, heavy=True)
    return Outcome(upid=upid) if isinstance(upid, str) else Outcome()


def local_storages(seen: SeenVM) -> tuple[str, ...]:
    """The storages of the VM's disks that its node alone sees; a cloud-init drive is made anew."""
    if seen.config is None:
        return ()
    shared = {row.storage for row in seen.cluster.storages if row.shared}
    drives = seen.config.wanted.drives.values()
    found = {one.storage for one in drives if one.storage and not one.cloudinit}
    return tuple(sorted(found - shared))


def _params(seen: SeenVM, placing: Placing, target: str) -> dict[str, Param]:
    params: dict[str, Param] = {"target": target}
    if running(seen):
        params["online"] = True
        if local_storages(seen):
            params["with-local-disks"] = True
    if placing.storages:
        params["targetstorage"] = placing.storages
    return params


def _asked(seen: SeenVM) -> bool:
    """Whether a request to the HA manager is young: its task ends before anything has moved."""
    since = (seen.at - ASKED).timestamp()
    return any(
        task.kind == "hamigrate" and task.id == str(vmid_of(seen)) and task.starttime >= since
        for task in seen.cluster.tasks
    )


def _hindrances(answer: Json, target: str, carried: set[str]) -> Iterator[str]:
    """What Proxmox says that keeps the VM from going to a node (`GET …/migrate`)."""
    told = answer if isinstance(answer, dict) else {}
    refused = told.get("not_allowed_nodes")
    why = refused.get(target) if isinstance(refused, dict) else None
    about: Mapping[str, Json] = why if isinstance(why, dict) else {}
    missing = [one for one in _texts(about.get("unavailable_storages")) if one not in carried]
    if missing:
        yield f"storage {', '.join(missing)} is not there"
    if devices := _texts(about.get("unavailable-resources")):
        yield f"it has nothing mapped for {', '.join(devices)}"
    if others := about.get("blocking-ha-resources"):
        named = others if isinstance(others, list) else []
        names = [str(one.get("sid")) for one in named if isinstance(one, dict)]
        yield f"a rule of the HA manager keeps it from {', '.join(names) or 'others'} there"
    mapped = set(_texts(told.get("mapped-resources")))
    if bound := [one for one in _texts(told.get("local_resources")) if one not in mapped]:
        yield f"the VM is bound to its node by {', '.join(bound)}"


def _texts(value: Json) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
