"""For the tests of a site's own jobs: runs without a cluster, VMs, and the laws of a `diff`.

check_laws(Handler(), [(spec_of(extensions={"keyboard": "de"}), seen_of())])
"""

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from sys import addaudithook
from tempfile import gettempdir
from typing import Protocol

from desired.spec import VMSpec
from handlers.handler import is_config_call, merge_config
from reconciler.own.fitness import unfit
from reconciler.own.job import Denied, Job
from reconciler.own.refuse import effect_of
from state.api import Json
from state.change import Change, Note
from state.conf import Scalar, VMConfig
from state.memory import Binding, Memory, Phase
from state.observed import ClusterView, NodeRow, Presence, SeenConfig, SeenVM, VMRow

KEY, NODE, VMID = "web-1", "pve1", 100
DAY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MARK = f"reconcile: store=testing fleet=testing key={KEY} vmid={VMID}"

Case = tuple[VMSpec, SeenVM]


class Diffs(Protocol):
    """What is tested: a class with a `diff` of one VM."""

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]: ...


class LawBroken(AssertionError):
    """A handler breaks a law; the text says which, and of which case."""


def spec_of(**fields: object) -> VMSpec:
    """A spec of `web-1`, with these fields. Raises pydantic's ValidationError."""
    return VMSpec.model_validate({"key": KEY, "cluster": "demo", "name": KEY} | fields)


def seen_of(config: Mapping[str, Scalar] | None = None, *, status: str = "running") -> SeenVM:
    """`web-1` as vm 100 on `pve1`, made and marked as ours, with these keys of its config."""
    view = VMConfig({"name": KEY, "description": MARK, **(config or {})})
    binding = Binding(KEY, "demo", VMID, KEY, node=NODE, phase=Phase.READY)
    row = VMRow(VMID, NODE, status, KEY)
    cluster = ClusterView("demo", DAY, {NODE: NodeRow(NODE, online=True)}, {VMID: row})
    return SeenVM(
        KEY,
        DAY,
        cluster,
        Memory(binding),
        Presence.PRESENT,
        row=row,
        config=SeenConfig(view, view),
        status=status,
        store="testing",
        fleet="testing",
    )


def job_of(
    config: Mapping[str, Json] | None = None,
    *,
    vms: Sequence[Mapping[str, Json]] = (),
    api: Mapping[str, Json] | None = None,
    specs: Mapping[str, Json] | None = None,
    dry: bool = False,
    told: list[dict[str, Json]] | None = None,
) -> Job:
    """A job's run without a cluster: `api` answers by path, every item can be claimed.

    What the job asks for is appended to `told`.
    """
    asked = [] if told is None else told

    def ask(question: dict[str, Json]) -> Json:
        asked.append(question)
        match question["ask"]:
            case "vms":
                return [dict(one) for one in vms]
            case "spec" | "get" as kind:
                known = (specs if kind == "spec" else api) or {}
                key = str(question["key" if kind == "spec" else "path"])
                if key not in known:
                    raise Denied(f"{kind} {key}: the test has no answer")
                return known[key]
            case "claim":
                return True
        return None

    return Job("testing", dict(config or {}), DAY, dry, "testing", ask)


def check_laws(handler: Diffs, cases: Iterable[Case]) -> None:
    """Prove of each case that the handler is pure, asks for what it may, and is idempotent.

    Pure: it says the same when it is asked again, changes nothing of what it is given, opens no
    connection, starts nothing and writes no file. Idempotent: once its config calls are made it
    asks for no change. Raises LawBroken.
    """
    checked = 0
    for number, (spec, seen) in enumerate(cases, 1):
        checked += 1
        problem = next(_problems(handler, spec, seen), "")
        if problem:
            raise LawBroken(f"case {number} ({spec.key}): {problem}")
    if not checked:
        raise LawBroken("expected at least one case, seen none")


def after(seen: SeenVM, changes: Iterable[Change]) -> SeenVM:
    """The VM once the config calls of these changes are made."""
    call = merge_config(call for change in changes for call in change.calls)
    if call is None or seen.config is None:
        return seen
    raw = dict(seen.config.wanted.raw)
    for name, value in call.params.items():
        if name != "delete":
            raw[name] = value if isinstance(value, int | float) else str(value)
    for name in filter(None, str(call.params.get("delete", "")).split(",")):
        raw.pop(name, None)
    view = VMConfig(raw)
    return replace(seen, config=SeenConfig(view, view))


def _problems(handler: Diffs, spec: VMSpec, seen: SeenVM) -> Iterator[str]:
    before = pickle.dumps((spec, seen))
    watch = _watch()
    with watch.watching():
        try:
            first, second = list(handler.diff(spec, seen)), list(handler.diff(spec, seen))
        except Denied as error:
            yield f"its diff is not pure: {error}"
            return
    if pickle.dumps((spec, seen)) != before:
        yield "its diff changed what it was given"
    if first != second:
        yield "its diff says something else when it is asked again"
    changes = [one for one in first if isinstance(one, Change)]
    for change in changes:
        if not change.calls:
            yield f"the change of {change.field} has no call"
        for call in change.calls:
            wrong = unfit(call, spec, seen)
            if wrong:
                yield f"{call.method} {call.path}: {wrong}"
    if not all(is_config_call(call) for change in changes for call in change.calls):
        return
    left = [c for c in handler.diff(spec, after(seen, changes)) if isinstance(c, Change)]
    if left:
        yield f"it is not idempotent: it asks for {left[0].field} again once that is done"


@dataclass(slots=True)
class _Watch:
    """The one audit hook of a process, which cannot be taken away but rests."""

    on: bool = False
    scratch: Path = field(default_factory=lambda: Path(gettempdir(), "nowhere"))

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        what = effect_of(event, args, self.scratch) if self.on else ""
        if what:
            raise Denied(f"it would {what}")

    @contextmanager
    def watching(self) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False


_WATCHES: list[_Watch] = []


def _watch() -> _Watch:
    if not _WATCHES:
        _WATCHES.append(_Watch())
        addaudithook(_WATCHES[0])
    return _WATCHES[0]
