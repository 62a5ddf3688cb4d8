"""The VM itself: made once, of a template or an image, and known again by its marker and uuid."""

from collections.abc import Iterable, Iterator

from desired.spec import VMSpec
from handlers.creation import creation_call
from handlers.effects import wanted
from handlers.handler import Subject, send_calls, vmid_of
from handlers.marker import marker, read_marker
from state.change import Call, Change, Method, Note, Param
from state.memory import Binding
from state.observed import UNFINISHED, Presence, SeenVM

OUTDATED = "ImageOutdated"


class Exists:
    """Clones the VM from its template, linked or full, under the vmid that allocate bound; where
    the template is a disk image, creates it with a copy of that.

        web-1: {template: debian-12, clone: full, storage: local-lvm, node: pve2}

    Owns no config key. The clone is a gate: nothing else is asked until the VM is there and its
    `lock: clone` (of a creation, `create`) is gone. Which template and node it came from is
    provenance: editing them later changes nothing, and `ImageOutdated` says that a VM was made
    from another one. `POST /nodes/N/qemu/T/clone`, `POST /nodes/N/qemu`; DEP-13.

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
        binding = seen.memory.binding
        work = "creation" if binding and binding.image else "clone"
        if seen.memory.task is not None and seen.presence is Presence.ABSENT:
            yield self._note(seen, f"{work} runs ({seen.memory.task.upid})")
        elif seen.presence is Presence.ABSENT:
            yield self._made(spec, seen)
        elif lock in UNFINISHED:
            yield self._note(seen, f"{work} runs{_idle(seen)}")
        else:
            yield from (self._note(seen, text, "IdentityMismatch") for text in strange(seen))
            if note := outdated(spec, binding):
                yield note

    def _made(self, spec: VMSpec, seen: SeenVM) -> Change | Note:
        binding = seen.memory.binding
        if binding is not None and binding.image is not None:
            call = creation_call(spec, seen, binding, binding.image)
            kind, source = "copy", binding.image
        elif binding is not None and binding.template and binding.template_node:
            path = f"/nodes/{binding.template_node}/qemu/{binding.template}/clone"
            call = Call(Method.POST, path, _clone_params(spec, seen, binding))
            kind = "full clone" if binding.clone == "full" else "clone"
            source = str(binding.template)
        else:
            return self._note(seen, "no template: set template:", "TemplateMissing")
        new, again = f"{kind} {source}", binding.uuid is not None
        if again:
            new = f"{kind} of {spec.template} in place of vm {binding.vmid}, which is gone"
        return Change(seen.key, self.name, "vm", None, new, (call,), gate=True, approval=again)

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


def _idle(seen: SeenVM) -> str:
    """What to say beside where a creation has nobody at work on it, as after its node went down."""
    binding, tasks = seen.memory.binding, seen.cluster.tasks
    if binding is None or not binding.image or seen.memory.task:
        return ""
    vmid = str(binding.vmid)
    if any(task.running and task.kind == "qmcreate" and task.id == vmid for task in tasks):
        return ""
    return f", but no task is seen to: if that stays so, qm unlock {vmid} && qm destroy {vmid}"


def outdated(spec: VMSpec, binding: Binding | None) -> Note | None:
    """Say that a VM was made from what its template's name does not mean any more.

    Provenance is never made right: a person rebuilds the VM, or leaves it as it is. It follows
    from what is remembered, so a VM that is settled has it without a look.
    """
    made = binding and (binding.image or binding.template)
    if not made or not spec.copies or made in spec.copies:
        return None
    now = ", ".join(map(str, spec.copies))
    reason = f"made from {made}, {spec.template} is {now} now: the VM stays as it is"
    return Note(spec.key, "exists", "template", reason, OUTDATED)


def strange(seen: SeenVM) -> Iterator[str]:
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
