"""A site's own handler: its `diff` is asked in a child; the engine does the rest as with ours."""

import base64
import copyreg
import dataclasses
import io
import pickle
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import msgspec

from desired.spec import VMSpec
from handlers.handler import Context, Subject, send_calls
from reconciler.loops.loop import LoopResult, Occasion
from reconciler.loops.over import vm_loop
from reconciler.own.fitness import unfit
from reconciler.own.found import OwnJob
from reconciler.own.process import Child, Cut
from state.api import ApiError, Json
from state.change import Call, Change, Effect, Method, Note, Outcome
from state.observed import SeenVM
from state.secret import Secret

MOST_CUTS = 3
"""After so many children that had to be cut no other VM is asked about in that run."""

STOPPING = ("status/reboot", "status/reset")
_CONDITION = re.compile(r"[A-Z][A-Za-z0-9]{2,39}(=False)?")

Plain = str | int | float | bool | None


class HandlerFailed(ApiError):
    """The code of a handler failed, or asked for what it may not: the VM's step failed."""


@dataclass(frozen=True, slots=True)
class SaidCall:
    """One call as a child says it."""

    method: Literal["POST", "PUT", "DELETE"]
    path: str
    params: dict[str, str | int | float | bool | list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Said:
    """One change, or one note where there is a `reason`, as a child says it."""

    field: str
    reason: str | None = None
    condition: str | None = None
    blocking: bool = False
    old: Plain | list[str] = None
    new: Plain | list[str] = None
    calls: list[SaidCall] = dataclasses.field(default_factory=list)
    effect: Effect = Effect.LIVE
    approval: bool = False


@dataclass(slots=True)
class Asker:
    """The child of one run of a handler; one that was cut is begun anew for the next VM."""

    job: OwnJob
    occasion: Occasion
    child: Child | None = None
    cuts: int = 0
    printed: list[str] = field(default_factory=list)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def close(self) -> None:
        if self.child is not None:
            self.printed += self.child.output.decode(errors="replace").splitlines()
            self.child.__exit__()
            self.child = None

    def ask(self, spec: VMSpec, seen: SeenVM) -> list[Said]:
        """Return what the handler says of one VM. Raises HandlerFailed."""
        with self._turn:
            try:
                frame = self._begun().ask({"diff": pickled(spec, seen)}, self._seconds())
            except Cut as error:
                self.cuts += 1
                self.close()
                raise HandlerFailed(f"job {self.job.name}: {error}") from error
        return said_in(frame, self.job.name)

    def _begun(self) -> Child:
        if self.cuts >= MOST_CUTS:
            raise HandlerFailed(f"job {self.job.name}: was cut {self.cuts} times in this run")
        if self.child is None:
            self.child = Child(_refused, self.occasion.stopped.is_set).__enter__()
            code = str(self.job.code.resolve())
            frame = self.child.ask({"code": code, "handler": True}, self._seconds())
            said_in(frame, self.job.name)
        return self.child

    def _seconds(self) -> float:
        left = (self.occasion.deadline - self.occasion.clock.now()).total_seconds()
        return max(1.0, min(self.job.metadata.deadline, left))


def _refused(question: dict[str, Json]) -> Json:
    raise Cut("cut: a handler asks for nothing: its diff goes by what it is given")


@dataclass(frozen=True, slots=True)
class OwnHandler:
    """A handler of VMs whose `diff` is a site's code."""

    job: str
    asker: Asker
    after: tuple[str, ...] = ()
    blocking: bool = True
    keys: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.job}.own"

    @property
    def subject(self) -> Subject:
        return Subject.VM

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterator[Change | Note]:
        """What the site's code finds; a call that it may not make fails the VM's step."""
        for said in self.asker.ask(spec, seen):
            if said.reason is not None:
                yield self._note(said, seen)
            else:
                yield self._change(said, spec, seen)

    def apply(self, changes: Sequence[Change], ctx: Context) -> Outcome:
        return send_calls(changes, ctx)

    def _note(self, said: Said, seen: SeenVM) -> Note:
        if said.condition is not None and not _CONDITION.fullmatch(said.condition):
            raise HandlerFailed(f"expected a condition such as Unlabelled, seen {said.condition!r}")
        reason = (said.reason or "")[:500]
        return Note(seen.key, self.name, said.field, reason, said.condition, said.blocking)

    def _change(self, said: Said, spec: VMSpec, seen: SeenVM) -> Change:
        calls = tuple(_call(one) for one in said.calls)
        if not calls:
            raise HandlerFailed(f"{self.name}: the change of {said.field} has no call")
        for call in calls:
            wrong = unfit(call, spec, seen)
            if wrong:
                raise HandlerFailed(f"{self.name}: {call.method} {call.path}: {wrong}")
        stops = any(call.path.endswith(STOPPING) for call in calls)
        mild = said.effect in (Effect.LIVE, Effect.HOTPLUG, Effect.NEXT_BOOT)
        return Change(
            seen.key,
            self.name,
            said.field,
            _value(said.old),
            _value(said.new),
            calls,
            Effect.STOP_START if stops and mild else said.effect,
            approval=said.approval,
        )


def run_handler(job: OwnJob, occasion: Occasion) -> LoopResult:
    """Run a site's handler over every VM that is made, by the one engine."""
    asker = Asker(job, occasion)
    about = job.metadata.description or job.metadata.name
    handler = OwnHandler(job.name, asker)
    try:
        result = vm_loop(job.name, about, (handler,), job.metadata.timetable).run(occasion)
    finally:
        asker.close()
    return replace(result, details=(*result.details, *asker.printed))


def said_in(frame: dict[str, Json], job: str) -> list[Said]:
    """Return what a child's frame says. Raises HandlerFailed."""
    result = frame.get("result")
    found = result.get("found") if isinstance(result, dict) else None
    if isinstance(result, dict) and found is None and result.get("message"):
        raise HandlerFailed(f"job {job}: {str(result['message'])[:500]}")
    try:
        return msgspec.convert(found, list[Said])
    except msgspec.ValidationError as error:
        raise HandlerFailed(
            f"job {job}: its diff gave what is no change or note: {error}"
        ) from None


def pickled(spec: VMSpec, seen: SeenVM) -> str:
    """Return both for the child: of the cluster's VMs the one alone, each secret an empty one."""
    row = {seen.row.vmid: seen.row} if seen.row else {}
    alone = replace(seen, cluster=replace(seen.cluster, vms=row, tasks=(), ha=None), secrets={})
    data = io.BytesIO()
    pickler = pickle.Pickler(data)
    pickler.dispatch_table = {**copyreg.dispatch_table, Secret: lambda _: (Secret, ("",))}
    pickler.dump((spec, alone))
    return base64.b64encode(data.getvalue()).decode()


def _call(said: SaidCall) -> Call:
    params = {k: tuple(v) if isinstance(v, list) else v for k, v in said.params.items()}
    return Call(Method(said.method), said.path, params)


def _value(value: Plain | list[str]) -> str | int | float | bool | tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) else value
