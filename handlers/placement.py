"""Where the VM is, against where it was asked to be; and the way there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


class Placement:
    """Migrates the VM to its node: once after a clone elsewhere, later only where that is enforced.

        web-2: {node: pve2}
        web-3: {node: {name: pve2, enforce: true, local_disks: true}}
        web-4: {node: {among: [pve1, pve2]}, anti_affinity: web}

    Owns no config key. Allocation chooses the node and whether there is a way: a clone that cannot
    land there is migrated before its first start (DEP-15); where that fails or no node fits, the
    VM stays beside its template and works (DEP-16). From then on `node` is provenance, and
    `PlacementDiffers` says that it is elsewhere, unless it is enforced: then the VM is migrated,
    live when it runs. `GET` and `POST /nodes/N/qemu/V/migrate`, VM.Migrate.

    Risk: a live migration takes the network's bandwidth and a moment of standstill; a running VM
    is never migrated offline, nor its local disks carried along unless `local_disks` says so.
    """

    name = "placement"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys: tuple[str, ...] = ()

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        placing, wanted = seen.memory.placing or Placing(), spec.node.nodes if spec.node else ()
        if placing.target and placing.target != seen.node and _is_asked(spec, seen, placing.target):
            yield self._moved(seen, placing, placing.target)
        elif placing.problem and seen.node not in wanted:
            yield self._differs(seen, f"is on {seen.node}: {placing.problem}")
        elif wanted and seen.node not in ("", *wanted):
            reason = f"is on {seen.node}, not on {' or '.join(wanted)}: a spec moves no VM "
            yield self._differs(seen, f"{reason}without `enforce: true`")
        if placing.neighbours:
            reason = f"shares {seen.node} with {', '.join(placing.neighbours)}: no other node fits"
            yield Note(seen.key, self.name, "node", reason, "AntiAffinity")

    def _moved(self, seen: SeenVM, placing: Placing, target: str) -> Change | Note:
        attempt = seen.memory.attempts.get(self.name)
        if attempt and attempt.not_before > seen.at:
            again = f"next try in {(attempt.not_before - seen.at).total_seconds():.0f} s"
            return self._differs(seen, f"is to go to {target}: {attempt.error}; {again}")
        if resource_of(seen) and _asked(seen):
            return self._differs(seen, f"the HA manager was asked to move it to {target}")
        call = Call(Method.POST, f"{vm_path(seen)}/migrate", _params(seen, placing, target))
        return Change(seen.key, self.name, "node", seen.node, target, (call,))

    def _differs(self, seen: SeenVM, reason: str) -> Note:
        return Note(seen.key, self.name, "node", reason, "PlacementDiffers")

    def apply(self, changes: Sequence[Change], ctx: Context) -> Outcome:
        """Ask Proxmox whether the VM may go, then send it there. Raises ApiError."""
        call = changes[0].calls[0]
        target = str(call.params["target"])
        carried = {
            pair.partition(":")[0] for pair in str(call.params.get("targetstorage", "")).split(",")
        }
        answer = ctx.api.get(call.path, {"target": target})
        for reason in _hindrances(answer, target, carried):
            raise Refused(f"{target}: {reason}", 0, {})
        upid = ctx.api.send(call, heavy=True)
        return Outcome(upid=upid) if isinstance(upid, str) else Outcome()


def _is_asked(spec: VMSpec, seen: SeenVM, target: str) -> bool:
    """Whether the VM is still being made, or its spec wants it there now as well."""
    binding = seen.memory.binding
    if binding is not None and binding.phase is Phase.DEPLOY:
        return True
    return spec.node is not None and spec.node.enforce and target in spec.node.nodes


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
