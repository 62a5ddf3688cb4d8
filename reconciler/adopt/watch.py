"""What runs do with a spec of `adopt: VMID`: nothing before it is bound, only look until it is
enforced."""

from pydantic import ValidationError

from desired.drift import policy_for
from desired.spec import VMSpec
from reconciler.show.text import show_change
from state.applied import AppliedSpec
from state.change import Change, Note
from state.memory import Memory

NOT_ADOPTED = "NotAdopted"
OBSERVED = "ObserveOnly"


def waits(spec: VMSpec, memory: Memory) -> Note | None:
    """Say that a VM made by others is not ours yet; it is neither made nor touched by a run."""
    if spec.adopt is None or memory.binding is not None:
        return None
    reason = f"vm {spec.adopt} is not taken over yet: reconcile adopt --vmid {spec.adopt} --apply"
    return Note(spec.key, "allocate", "vm", reason, NOT_ADOPTED)


def never_lifted(applied: AppliedSpec | None) -> str:
    """Why nothing but a person's word ends a VM: it was adopted, and only looked at since."""
    try:
        spec = VMSpec.model_validate_json(applied.document) if applied else None
    except ValidationError:
        return ""
    watched_yet = spec is not None and is_watched(spec, "default")
    return "it was adopted with `drift: alert`, and never lifted" if watched_yet else ""


def is_watched(spec: VMSpec, handler: str) -> bool:
    """Whether nothing of a handler's may be written: adopted, and not yet to be enforced."""
    return spec.adopt is not None and policy_for(spec.drift, handler) != "enforce"


def watched(spec: VMSpec, change: Change) -> Note | None:
    """Return what is said in place of a change of a VM that is only looked at; None if silent."""
    if policy_for(spec.drift, change.handler) == "ignore":
        return None
    shown, moved = show_change(change)
    reason = f"{shown}: {moved} is not written: adopted, with drift: alert"
    return Note(change.subject, change.handler, change.field, reason, OBSERVED)
