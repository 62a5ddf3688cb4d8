"""What `reconcile verify` found, for people and programs."""

from reconciler.show.plan import plan_json, render_plan
from reconciler.show.text import Paint
from reconciler.verify import Verified
from state.api import Json


def render_verified(found: Verified, paint: Paint) -> str:
    """Return the plan of the VM, then what no run can put right."""
    lines = [render_plan(found.dry, paint)]
    lines += [
        paint.bad(f"{slot}: {volume} is not on its storage: restore it from a backup")
        for slot, volume in sorted(found.missing.items())
    ]
    lines += [paint.bad(f"could not be read: {problem}") for problem in found.problems]
    if found.pruned:
        gone = ", ".join(map(str, found.pruned))
        lines.append(f"forgotten, as they are not there any more: vm {gone}")
    if not (found.failed or found.differs):
        lines.append(f"{found.key} is as its spec says")
    return "\n".join(lines)


def verified_json(found: Verified) -> dict[str, Json]:
    """Return the same as one object."""
    return {
        "vm": found.key,
        "differs": found.differs,
        "plan": dict(plan_json(found.dry)),
        "missing_volumes": dict(found.missing),
        "pruned": list(found.pruned),
        "problems": list(found.problems),
    }
