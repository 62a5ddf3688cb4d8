"""What the engine is to reach of a VM now: its spec, and what was asked of it besides. Pure."""

import json

from desired.ending import End
from desired.spec import VMSpec
from handlers.wishes import is_renewed
from state.memory import Intent, Memory, Phase
from state.verbs import DO, Wish

TERMINATE = f"{DO}terminate"
"""The intent of a person who asked for a VM's end, whatever its spec says."""

RENEWED = (f"{DO}reinstall", f"{DO}redeploy")
"""The intents of a person who asked for another machine in the place of this one."""

REMOVED = "removed"
"""The intent that stands in the place of a VM that was ended while its spec wanted it."""


def effective(spec: VMSpec, memory: Memory) -> VMSpec:
    """Return the spec that counts in the VM's present phase."""
    if spec.state == "present" and TERMINATE in memory.intents:
        return spec.model_copy(update={"state": "absent"})
    if spec.state == "present" and memory.binding and is_renewed(memory):
        return spec.model_copy(update={"state": "absent", "terminate": End()})
    return spec


def asked(intent: Intent) -> Wish:
    """Return who asked for the end and by which token, of a row that another program may have
    written: what it does not tell is empty."""
    try:
        detail = json.loads(intent.detail or "{}")
    except ValueError:
        detail = {}
    told = detail if isinstance(detail, dict) else {}
    verb = intent.kind.removeprefix(DO)
    token, by = str(told.get("token") or intent.at.isoformat()), str(told.get("by") or "somebody")
    return Wish(intent.key, verb, token, by, intent.at, {})


def has_turn(spec: VMSpec, memory: Memory) -> bool:
    """Whether there is anything to be seen to, by an effective spec.

    What is to be absent and is bound to no machine is as it should be; so is what was ended.
    """
    if spec.state == "absent":
        return memory.binding is not None
    return REMOVED not in memory.intents or memory.binding is not None


def is_removed(memory: Memory) -> bool:
    """Whether the VM was ended, and its spec wants it all the same."""
    ended = memory.binding is not None and memory.binding.phase is Phase.REMOVED
    return ended or (memory.binding is None and REMOVED in memory.intents)
