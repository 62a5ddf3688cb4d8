"""One fault as data: what goes wrong, for which call, task or part of the cluster, how often."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

import msgspec

from reconciler.sim.accounts.access import Grant

Kind = Literal[
    "error-before",
    "error-after",
    "drop-before",
    "drop-after",
    "latency",
    "truncated-body",
    "non-json-body",
    "gzip-bomb",
    "task-fail",
    "task-hang",
    "task-warn",
    "lock",
    "stubborn-guest",
    "storage-full",
    "node-down",
    "node-dead",
    "slow-node",
    "node-maintenance",
    "quorum-lost",
    "broadcast-frozen",
    "rights-withdrawn",
    "clock-jump",
    "ha-move",
    "guest-off",
    "log-overrun",
]
CALL_KINDS = frozenset(get_args(Kind)[:8])
TASK_KINDS = frozenset(get_args(Kind)[8:11])
EVENT_KINDS = frozenset(("ha-move", "guest-off", "log-overrun"))
"""What happens once, at once or when its call comes; all others are states that last."""

SPOILED = frozenset(("truncated-body", "non-json-body", "gzip-bomb"))
OWN_FIELDS = frozenset(("id", "met", "acted", "on", "ends_at", "kept"))
"""Set by the simulator, never by who sets a fault."""

MIB = 1024**2


@dataclass(slots=True)
class Fault:
    """One fault. Which fields count depends on `kind`; docs/simulator.md has the table.

    A fault of calls matches by `method`, `path` (a glob) and `vmid`, one of tasks by `task` (its
    type, such as qmclone) and `vmid` (its id); it acts `times` times from its `nth` match on. A
    state of the cluster holds from when it is set until it is removed or `lasting` seconds passed;
    with a `method` or `path` it waits for the `nth` call that matches and begins just before it.
    """

    kind: Kind
    id: int = 0
    method: str = "*"
    path: str = "*"
    vmid: int | None = None
    task: str = "*"
    nth: int = 1
    times: int | None = 1
    status: int = 500
    text: str = "simulated fault"
    seconds: float = 0.0
    lasting: float = 0.0
    storage: str = ""
    node: str = ""
    user: str = ""
    size: int = 64 * MIB
    tidy: bool = True
    silent: bool = False
    met: int = 0
    acted: int = 0
    on: bool = False
    ends_at: float | None = None
    kept: list[Grant] = field(default_factory=list)

    def counts(self) -> bool:
        """Count one match; True when the fault acts on it."""
        self.met += 1
        if self.met < self.nth or (self.times is not None and self.acted >= self.times):
            return False
        self.acted += 1
        return True

    @property
    def spent(self) -> bool:
        return self.times is not None and self.acted >= self.times

    @property
    def of_cluster(self) -> bool:
        """Whether it is a state or an event of the cluster, not of a call or task."""
        return self.kind not in CALL_KINDS and self.kind not in TASK_KINDS

    @property
    def waits(self) -> bool:
        """Whether it begins with a certain call, which has not come yet."""
        return self.of_cluster and (self.method, self.path) != ("*", "*") and not self.acted

    def meets_call(self, method: str, path: str) -> bool:
        if self.method not in ("*", method) or not fnmatch.fnmatchcase(path, self.path):
            return False
        if self.vmid is None or self.of_cluster:
            return True
        return re.search(rf"/{self.vmid}(/|$)", path) is not None

    def meets_task(self, kind: str, id: str) -> bool:
        if not fnmatch.fnmatchcase(kind, self.task):
            return False
        return self.vmid is None or id == str(self.vmid)


def read_fault(given: Any, texts: bool = False) -> Fault:
    """A fault from JSON values, or from `texts` as a command line has them. ValueError names what
    is wrong."""
    if not isinstance(given, dict) or given.get("kind") not in get_args(Kind):
        raise ValueError(f"kind: expected one of {', '.join(get_args(Kind))}")
    known = {one.name for one in fields(Fault)} - OWN_FIELDS
    unknown = sorted(given.keys() - known)
    if unknown:
        names = f"{', '.join(unknown)}; expected some of {', '.join(sorted(known))}"
        raise ValueError(f"unknown fields: {names}")
    return msgspec.convert(given, Fault, strict=not texts)


def parse_fault(text: str) -> dict[str, str]:
    """The fields of `KIND[,FIELD=VALUE]...`, as `reconcile simulate --fault` takes them."""
    kind, *parts = text.split(",")
    found = {"kind": kind}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r}: expected FIELD=VALUE")
        found[name] = value
    return found
