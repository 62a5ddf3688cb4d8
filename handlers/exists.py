"""The VM itself: cloned once, and known again by its marker and uuid."""

from collections.abc import Iterable, Iterator

from desired.spec import VMSpec
from handlers.effects import wanted
from handlers.handler import Subject, send_calls, vmid_of
from handlers.marker import marker, read_marker
from state.change import Call, Change, Method, Note, Param
from state.memory import Binding
from state.observed import Presence, SeenVM


class Exists:
    """Clones the VM from its template, linked or full, under the vmid that allocate bound.

        web-1: {template: debian-12, clone: full, storage: local-lvm, node: pve2}

    Owns no config key. The clone is a gate: nothing else is asked until the VM is there and its
    `lock: clone` is gone. Which template and node it came from is provenance: editing them later
    changes nothing. `POST /nodes/N/qemu/T/clone`; DEP-13.

    Risk: none to what exists; the vmid is ours before the call, the call carries our marker, and
    Proxmox refuses a taken vmid. A VM whose marker or uuid names another machine is left alone.
    A machine that was there and is surely gone is cloned again only with a person's approval:
    what was on its disks does not come back.
    """

    name = "exists"
    subject = Subject.VM
    after: tuple[str, ...] = ()
    blocking = True
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        lock = (seen.row.lock if seen.row else None) or (seen.config and seen.config.live.lock)
        if seen.memory.task is not None and seen.presence is Presence.ABSENT:
            yield self._note(seen, f"clone runs ({seen.memory.task.upid})")
        elif seen.presence is Presence.ABSENT:
            yield self._clone(spec, seen)
        elif lock == "clone":
            yield self._note(seen, "clone runs")
        else:
            yield from (self._note(seen, text, "IdentityMismatch") for text in _strange(seen))

    def _clone(self, spec: VMSpec, seen: SeenVM) -> Change | Note:
        binding = seen.memory.binding
        if binding is None or binding.template is None or binding.template_node is None:
            return self._note(seen, "no template: set template:", "TemplateMissing")
        call = Call(
            Method.POST,
            f"/nodes/{binding.template_node}/qemu/{binding.template}/clone",
            _clone_params(spec, seen, binding),
        )
        kind = "full clone" if binding.clone == "full" else "clone"
        new = f"{kind} {binding.template}"
        if binding.uuid is not None:
            new = f"{kind} of {spec.template} in place of vm {binding.vmid}, which is gone"
        approval = binding.uuid is not None
        return Change(seen.key, self.name, "vm", None, new, (call,), gate=True, approval=approval)

    def _note(self, seen: SeenVM, reason: str, condition: str | None = None) -> Note:
        return Note(seen.key, self.name, "vm", reason, condition, blocking=True)


def _clone_params(spec: VMSpec, seen: SeenVM, binding: Binding) -> dict[str, Param]:
    """`storage` may only be given to a full clone, `target` only across shared storage."""
    full = binding.clone == "full"
    params: dict[str, Param] = {
        "newid": binding.vmid,
        "name": spec.name,
        "description": marker(seen),
        "full": full,
    }
    if full and (storage := binding.storage or spec.storage):
        params["storage"] = storage
    if binding.node and binding.node != binding.template_node:
        params["target"] = binding.node
    return params


def _strange(seen: SeenVM) -> Iterator[str]:
    """Why this may not be the machine that we made: the first reason is enough."""
    config, vmid, binding = wanted(seen), vmid_of(seen), seen.memory.binding
    mark, known = read_marker(config.description), binding and binding.uuid
    if mark and mark.vmid != vmid:
        yield f"vm {vmid} is a copy of vm {mark.vmid} ({mark.key}): remove its marker line"
    elif mark and mark.store != seen.store:
        yield f"vm {vmid} belongs to store {mark.store}, not to {seen.store}: nothing is written"
    elif known and config.uuid and config.uuid != known.lower():
        yield f"vm {vmid} has uuid {config.uuid}, ours had {known}: it was made anew by somebody"
    elif not mark and not (known and config.uuid):
        yield f"vm {vmid} bears no marker and its uuid is not known: it may be somebody else's"
