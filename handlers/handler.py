"""What a handler is, and the few builders that every handler shares.

Conditions. `Note.condition` is a type in CamelCase, raised as true: `ShrinkRefused`. A type whose
good value is true is raised as false by `Type=False`: `AntiSpoofEffective=False`. `why()` splits
it. A condition stands as long as some look yields the note; one that no look yields is over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

from desired.spec import VMSpec
from state.api import Api
from state.change import Call, Change, Effect, Method, Note, Outcome, Param, Value
from state.observed import SeenVM


class Subject(StrEnum):
    """What a handler's diff is asked about."""

    VM = "vm"
    ZONE = "zone"
    NODE = "node"
    FLEET = "fleet"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Context:
    """What `apply` may use. Secrets need no entry: the calls carry them, unrevealed."""

    api: Api
    at: datetime


Spec = TypeVar("Spec", contravariant=True)
Seen = TypeVar("Seen", contravariant=True)
Tools = TypeVar("Tools", contravariant=True)
Result = TypeVar("Result", covariant=True)


class Aspect(Protocol[Spec, Seen, Tools, Result]):
    """One aspect of one kind of subject: what differs, and how it is made right.

    Of a VM it is a `Handler`; of a zone, spec and seen are the zone's, and the tools its driver.

    `after` names the handlers that must have nothing left to do; `blocking` says whether this
    one holds back those that name it; `keys` are regular expressions, full matches of the config
    keys that it alone owns. All are constants of the class.
    """

    @property
    def name(self) -> str: ...

    @property
    def subject(self) -> Subject: ...

    @property
    def after(self) -> tuple[str, ...]: ...

    @property
    def blocking(self) -> bool: ...

    @property
    def keys(self) -> tuple[str, ...]: ...

    def diff(self, spec: Spec, seen: Seen) -> Iterable[Change | Note]:
        """Yield what differs between `spec` and `seen`; pure.

        A VM of which no handler yields anything is not looked at again until something of it
        moves. So an answer that hangs on the time, or on other machines, comes with a note.
        """
        ...

    def apply(self, changes: Sequence[Change], ctx: Tools) -> Result:
        """Make the changes of one group right.

        Raises ApiError (of a zone: DNSError), which the engine sorts.
        """
        ...


Handler = Aspect[VMSpec, SeenVM, Context, Outcome]
"""One aspect of a VM."""


def send_calls(changes: Sequence[Change], ctx: Context) -> Outcome:
    """Send the config keys as one PUT, then the other calls in order, up to the first task.

    Equal calls are sent once. A call that starts a task ends the VM's turn (design 3): the rest
    is planned anew by the next look. Raises ApiError of the first call that fails.
    """
    for call in distinct_calls(changes):
        answer = ctx.api.send(call, heavy=True)
        if isinstance(answer, str) and answer.startswith("UPID:"):
            return Outcome(upid=answer)
    return Outcome()


def distinct_calls(changes: Sequence[Change]) -> list[Call]:
    """The calls of these changes of one VM: one merged config PUT first, then each other once."""
    every = [call for change in changes for call in change.calls]
    merged = merge_config(every)
    calls = [merged] if merged else []
    for call in every:
        if not is_config_call(call) and call not in calls:
            calls.append(call)
    return calls


def vm_path(seen: SeenVM) -> str:
    """`/nodes/{node}/qemu/{vmid}` of a bound VM."""
    return f"/nodes/{seen.node}/qemu/{vmid_of(seen)}"


def vmid_of(seen: SeenVM) -> int:
    """The bound vmid; diffs run only after allocate has bound one."""
    if seen.memory.binding is None:
        raise LookupError(f"{seen.key}: no vmid is bound to it yet")
    return seen.memory.binding.vmid


def config_call(seen: SeenVM, params: Mapping[str, Param]) -> Call:
    """`PUT …/config` with these keys; the engine merges those of one VM and adds the digest."""
    return Call(Method.PUT, f"{vm_path(seen)}/config", params)


def is_config_call(call: Call) -> bool:
    """Whether the call is one of those that are merged into one PUT."""
    return call.method is Method.PUT and call.path.endswith("/config")


def merge_config(calls: Iterable[Call]) -> Call | None:
    """One PUT in place of many of one VM; `delete` lists are joined by commas, sorted."""
    found = [call for call in calls if is_config_call(call)]
    if not found:
        return None
    params: dict[str, Param] = {}
    deleted: set[str] = set()
    for call in found:
        for name, value in call.params.items():
            if name == "delete":
                deleted.update(str(value).split(","))
            else:
                params[name] = value
    if deleted - params.keys():
        params["delete"] = ",".join(sorted(deleted - params.keys()))
    return Call(Method.PUT, found[0].path, params)


def config_change(
    seen: SeenVM,
    handler: str,
    field: str,
    *,
    old: Value,
    new: Value,
    params: Mapping[str, Param],
    effect: Effect = Effect.LIVE,
) -> Change:
    """A change of one field that is made by config keys."""
    return Change(seen.key, handler, field, old, new, (config_call(seen, params),), effect)


def why(condition: str) -> tuple[str, bool]:
    """Split a note's condition into its type and status: `X` -> (X, True), `X=False` -> False."""
    name, _, value = condition.partition("=")
    return name, value != "False"
