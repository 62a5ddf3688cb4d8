"""What a call is answered, before it becomes bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reconciler.sim.errors import Refusal

UNREACHABLE = 595


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call got: `reason` is the status text, `extras` stand beside `data` in the body,
    `delay` is what a latency fault adds, `busy` how much longer a slow node takes (seconds);
    `spoiled` says how its body is broken on the wire, `size` how long a gzip bomb is."""

    status: int
    reason: str
    data: Any = None
    errors: dict[str, str] | None = None
    extras: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    message: str | None = None
    delay: float = 0.0
    busy: float = 0.0
    spoiled: str = ""
    size: int = 0

    @property
    def ok(self) -> bool:
        return self.status < 400


def refused(refusal: Refusal) -> Answer:
    """The answer that a refusal becomes; the reason phrase is its first line.

    Refusals of the ticket check have no body, nor has what a node says of another that it could
    not reach (595 and above); `message` is then None.
    """
    line = refusal.reason.partition("\n")[0].rstrip("\r")
    empty = refusal.status == 401 and not refusal.reason.endswith("\n")
    empty = empty or refusal.status >= UNREACHABLE
    message = None if empty else refusal.reason
    return Answer(refusal.status, line, None, refusal.errors, message=message)
