"""What a run tells while it goes on, and what a dry run found: plain events and values.

The engine builds these and hands them to a `Reporter`; how they look is the business of `show_*`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from state.change import Call, Change, Note
from state.placing import Choice
from state.rollouts import Rollout

PROCESS_VMS = "process_vms"
"""The loop that makes every VM what its spec says."""

Action = Literal["deploy", "change", "terminate", "reinstall", "repair", "job"]
Level = Literal["detail", "note", "warning", "error"]
StepResult = Literal["success", "skip", "error"]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins: `task` is the job's name, `keys` all VMs in scope, `interval` in seconds.

    `commit` is that of the folder of specs, with `+dirty` where they differ from it.
    """

    at: datetime
    task: str = PROCESS_VMS
    keys: tuple[str, ...] = ()
    interval: float | None = None
    last: datetime | None = None
    run: int | None = None
    commit: str = ""


@dataclass(frozen=True, slots=True)
class VMStarted:
    """Work on one VM begins; `state` is the pipeline state that it is in."""

    at: datetime
    key: str
    action: Action
    state: str
    vmid: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One transition tried: `before -> after` (equal when it failed), and how long it took.

    `label` is the contract's (DEP-04), or any other words for a step outside the pipeline. `detail`
    is the error, why it was skipped, or Proxmox's warnings of a step that went through.
    """

    at: datetime
    key: str
    label: str
    before: str
    after: str
    result: StepResult = "success"
    detail: str = ""
    seconds: float = 0.0
    action: Action = "deploy"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """One VM is waited for: `what` (`clone`, `start`) since `seconds`, at most `limit` of them.

    Without `what` no task of ours is at work: `status` says what the VM waits for.
    """

    at: datetime
    key: str
    what: str
    seconds: float
    limit: float | None = None
    status: str = ""


@dataclass(frozen=True, slots=True)
class VMPaused:
    """One VM's turn ends before it is ready; the next run goes on at `state`. `why` in words."""

    at: datetime
    key: str
    action: Action
    state: str
    why: str = ""
    vmid: int | None = None


@dataclass(frozen=True, slots=True)
class VMDone:
    """One VM is where it should be, `seconds` after its VMStarted."""

    at: datetime
    key: str
    action: Action
    state: str = "ready"
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class VMError:
    """One VM's turn ended with an error that is no step's (a broken spec, a lost cluster)."""

    at: datetime
    key: str
    error: str
    action: Action = "deploy"
    state: str = ""
    vmid: int | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """A line of the run as a whole, for a person: a preflight finding, a withheld plan, a warning.

    `level` `detail` is shown with `--verbose` only. `key` when it concerns one VM.
    """

    at: datetime
    text: str
    level: Level = "note"
    key: str = ""


@dataclass(frozen=True, slots=True)
class Traced:
    """One API request, as `--verbose` shows it: no body, no secret. `status` 0: no answer."""

    at: datetime
    method: str
    path: str
    status: int
    seconds: float
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """The run in numbers: `vms` in scope = ready + waiting + failed (`failed` counts broken specs).

    `changed` are those that this run wrote to; reads and writes are API requests. `forward_*` and
    `rev_*` are DNS records that were written or removed, and those that could not be (DNS-08).
    """

    vms: int
    ready: int
    changed: int
    failed: int
    reads: int
    writes: int
    seconds: float
    waiting: int = 0
    forward_ok: int = 0
    forward_err: int = 0
    rev_ok: int = 0
    rev_err: int = 0
    results: Mapping[str, str] = field(default_factory=dict)
    """Of each VM worked on: `ready`, `waiting` or `error`."""


@dataclass(frozen=True, slots=True)
class RunDone:
    """The run is over."""

    at: datetime
    summary: Summary
    task: str = PROCESS_VMS


@dataclass(frozen=True, slots=True)
class JobDone:
    """A job that is none over VMs is over: what a RunDone is for the others (TASK-08).

    `status` is `success`, `skipped` or `error`; `last` is when it ran before.
    """

    at: datetime
    task: str
    status: str
    processed: int
    errors: int
    seconds: float
    message: str = ""
    last: datetime | None = None


Event = (
    RunStarted
    | VMStarted
    | Step
    | Heartbeat
    | VMPaused
    | VMDone
    | VMError
    | Remark
    | Traced
    | RunDone
    | JobDone
)


class Reporter(Protocol):
    """Where a run's events go. Called from many threads; the events of one call stay together."""

    def report(self, *events: Event) -> None: ...


PlanKind = Literal[
    "create", "change", "destroy", "unchanged", "unmanaged", "unknown", "stuck", "broken"
]


@dataclass(frozen=True, slots=True)
class PlannedVM:
    """What a dry run found of one VM.

    `create`: `template`, `addresses` and `fqdn` are previews. `destroy`: `details` says what is
    lost. `unmanaged`, `unknown`, `stuck` (a person must help) and `broken`: `reason` says why it
    would not be touched. `waits` are the words after the number of changes (`restart needed: waits
    for a window`). `calls` is what would be sent, in order, and `place` how its node was chosen,
    for `--verbose`.
    """

    key: str
    kind: PlanKind
    node: str = ""
    vmid: int | None = None
    package: str | None = None
    changes: tuple[Change, ...] = ()
    withheld: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()
    template: int | None = None
    image: str | None = None
    addresses: tuple[str, ...] = ()
    fqdn: str | None = None
    details: tuple[str, ...] = ()
    reason: str = ""
    waits: str = ""
    calls: tuple[Call, ...] = ()
    place: Choice | None = None
    cluster: str = ""


@dataclass(frozen=True, slots=True)
class PlannedRollout:
    """An edit that goes out in batches, and the keys of each batch that is still to come."""

    rollout: Rollout
    batches: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedZone:
    """What a dry run found of one zone on one provider.

    `wanted` counts the records that VMs want in it, `held` those of ours that are there. `problem`
    are the words of a provider that was not to be asked: then it is compared as last read, if ever.
    """

    zone: str
    provider: str
    changes: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()
    problem: str = ""
    wanted: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class DryRun:
    """A whole dry run. `digest` names the changes that need approval; empty when none does.

    `errors` are those of the source (`file:line:column: …`); `problems` those of clusters. `commit`
    is that of the specs, with `+dirty` where they differ from it.
    """

    at: datetime
    vms: tuple[PlannedVM, ...] = ()
    digest: str = ""
    errors: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    reads: int = 0
    seconds: float = 0.0
    commit: str = ""
    rollouts: tuple[PlannedRollout, ...] = ()
    zones: tuple[PlannedZone, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether something could not be planned at all (exit status 1)."""
        broken = any(vm.kind in ("broken", "stuck", "unknown") for vm in self.vms)
        return bool(self.errors or self.problems) or broken

    @property
    def differs(self) -> bool:
        """Whether a run would change anything (exit status 2)."""
        found = any(vm.changes or vm.kind in ("create", "destroy") for vm in self.vms)
        return found or any(zone.changes for zone in self.zones)
