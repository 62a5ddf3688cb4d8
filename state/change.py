"""What is to be done, as data: calls, changes, notes and outcomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from state.secret import Secret

Param = str | int | float | bool | Secret | tuple[str, ...]
Value = str | int | float | bool | Secret | tuple[str, ...] | None


class Effect(StrEnum):
    """When a change takes effect, and what it costs the guest."""

    LIVE = "live"
    HOTPLUG = "hotplug"
    NEXT_BOOT = "next-boot"
    STOP_START = "stop-start"
    DESTROY = "destroy"


class Method(StrEnum):
    """The verbs of the Proxmox API."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    DELETE = "DELETE"


@dataclass(frozen=True, slots=True)
class Call:
    """One API request as data: `path` below `/api2/json`, each id in it already quoted."""

    method: Method
    path: str
    params: Mapping[str, Param] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = " ".join(f"{name}={value}" for name, value in sorted(self.params.items()))
        return f"{self.method} {self.path} {shown}".rstrip()


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs, and the calls that make it right.

    `old` None adds, `new` None removes. Config keys stand in calls `PUT …/config`: those of one
    VM are merged into one request. A `gate` ends that VM's planning until the next look; `group`
    names what must be applied serially; `approval` asks for a person first (design 2 and 4).
    `remember` holds fingerprints (use, value) to keep once the change went through; until then
    they are intents. `drift` says who made it differ in Proxmox, where no edit of the spec did.
    """

    subject: str
    handler: str
    field: str
    old: Value
    new: Value
    calls: tuple[Call, ...] = ()
    effect: Effect = Effect.LIVE
    group: str = ""
    gate: bool = False
    approval: bool = False
    remember: tuple[tuple[str, str], ...] = ()
    drift: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """Why something is not changed, and the condition that this raises.

    A `blocking` note holds back what comes `after` its handler, as a difference would.
    """

    subject: str
    handler: str
    field: str
    reason: str
    condition: str | None = None
    blocking: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of applying changes: a task to follow, an error, a later moment, or done."""

    upid: str | None = None
    error: str | None = None
    retry_at: datetime | None = None

    @property
    def done(self) -> bool:
        return self.upid is None and self.error is None and self.retry_at is None
