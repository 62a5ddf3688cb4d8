"""What people asked of a VM by a word, as the intents hold it: `do.VERB` and a JSON object."""

import json
from collections.abc import Iterator

from state.memory import Intent, Memory, Phase
from state.observed import Presence, SeenVM
from state.verbs import DO, Wish

SUSPEND, RESUME = "suspend", "resume"
SNAPSHOT, ROLLBACK, DELETE_SNAPSHOT = "snapshot", "rollback", "delete-snapshot"
MOVE = "move"
BACKUP = "backup"
REINSTALL, REDEPLOY = "reinstall", "redeploy"
RESET = "reset"
TERMINATE = "terminate"
RESTORE = "restore"

KNOWN = (
    SUSPEND,
    RESUME,
    SNAPSHOT,
    ROLLBACK,
    DELETE_SNAPSHOT,
    MOVE,
    BACKUP,
    REINSTALL,
    REDEPLOY,
    RESET,
    TERMINATE,
    RESTORE,
)
UNCLEAR, SUSPENDED = "VerbUnclear", "Suspended"
DONE, WAS = "done", "was"
"""Parameters that the engine adds: that a suspended VM is off, and how it was before."""

STAGE, MADE, MACS = "stage", "made", "macs"
"""Of a reinstall: that the old machine is gone and another one is made, and the old MACs."""

AT_HOME = (Phase.READY, Phase.CHANGE, Phase.SUSPENDED)
"""The phases of a machine that was deployed once and is still wanted."""


class Unclear(ValueError):
    """A row of the intents that another program wrote does not say what it asks."""


def read_wish(intent: Intent) -> Wish:
    """The verb that an intent asks. Raises Unclear: no JSON object, an unknown verb, no token.

    Who wrote the row without `by` is `outside`; without `token` its moment is the token.
    """
    verb = intent.kind.removeprefix(DO)
    if verb not in KNOWN:
        raise Unclear(f"{intent.kind} names no verb; the verbs are {', '.join(KNOWN)}")
    try:
        detail = json.loads(intent.detail or "{}")
    except ValueError:
        raise Unclear(f"{intent.kind}: its detail is no JSON") from None
    if not isinstance(detail, dict):
        raise Unclear(f"{intent.kind}: its detail is no JSON object")
    by = str(detail.pop("by", "outside"))
    token = str(detail.pop("token", intent.at.isoformat()))
    return Wish(intent.key, verb, token, by, intent.at, detail)


def wish_of(memory: Memory, verb: str) -> Wish | None:
    """The open verb of a VM; None when nobody asks it, or nobody can tell what is asked."""
    intent = memory.intents.get(DO + verb)
    if intent is None:
        return None
    try:
        return read_wish(intent)
    except Unclear:
        return None


def wishes_of(memory: Memory) -> Iterator[Wish]:
    """Every open verb of a VM, by name."""
    for kind in sorted(memory.intents):
        wish = wish_of(memory, kind.removeprefix(DO)) if kind.startswith(DO) else None
        if wish is not None:
            yield wish


def unclear(memory: Memory) -> Iterator[tuple[str, str]]:
    """The rows of which nobody can tell what they ask: kind, and why."""
    for kind, intent in sorted(memory.intents.items()):
        if kind.startswith(DO):
            try:
                read_wish(intent)
            except Unclear as error:
                yield kind, str(error)


def asks_off(memory: Memory) -> bool:
    """Whether a person asked that the VM be off, so that no window or policy keeps it running."""
    return wish_of(memory, SUSPEND) is not None


def is_asked(memory: Memory, handler: str, field: str) -> bool:
    """Whether a change follows from a suspend or from its end, and from nobody's drift."""
    named = handler == "power" or (handler, field) == ("options", "onboot")
    suspended = wish_of(memory, SUSPEND) or wish_of(memory, RESUME)
    return named and suspended is not None


def is_renewed(memory: Memory) -> bool:
    """Whether the machine is to end because another one is made of its spec."""
    reinstall, redeploy = wish_of(memory, REINSTALL), wish_of(memory, REDEPLOY)
    return redeploy is not None or (reinstall is not None and STAGE not in reinstall.params)


def kept_macs(memory: Memory) -> dict[str, str]:
    """The MACs that a machine which is made anew is to have, by slot."""
    wish = wish_of(memory, REINSTALL)
    macs = wish.params.get(MACS) if wish else None
    return {slot: str(mac) for slot, mac in macs.items()} if isinstance(macs, dict) else {}


def restores(memory: Memory) -> bool:
    """Whether a restore of the VM is under way: one that failed waits for a person instead."""
    wish = wish_of(memory, RESTORE)
    return wish is not None and wish.text("step") != "failed"


def may_ask(seen: SeenVM) -> bool:
    """Whether the machine is there, known, and past its deploy."""
    binding = seen.memory.binding
    present = seen.presence is Presence.PRESENT and seen.config is not None
    return present and binding is not None and binding.phase in AT_HOME
