"""Proxmox's tasks: what a UPID says, and how a task ended. Nothing here waits."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from reconciler.pve import errors, form
from state.api import Api, ApiError

_UPID = re.compile(
    r"UPID:(?P<node>[a-zA-Z0-9][a-zA-Z0-9-]*):(?P<pid>[0-9A-Fa-f]{8}):(?P<pstart>[0-9A-Fa-f]{8,9})"
    r":(?P<start>[0-9A-Fa-f]{8}):(?P<kind>[^:\s]+):(?P<id>[^:\s]*):(?P<user>[^:\s]+):"
)
_WARNINGS = re.compile(r"WARNINGS: (\d+)")


@dataclass(frozen=True, slots=True)
class Upid:
    """The parts of a UPID. A clone's `id` is the template's vmid, not the new one."""

    node: str
    kind: str
    id: str
    user: str
    starttime: datetime


@dataclass(frozen=True, slots=True)
class TaskEnd:
    """How a task ended: `text` is its exitstatus; `WARNINGS: n` is a success to be shown."""

    ok: bool
    text: str
    warnings: int = 0

    @property
    def error(self) -> ApiError | None:
        """The error that the end means, by the same words as an answer's; None for a success."""
        return None if self.ok else errors.read_text(self.text, 0)


def parse_upid(text: str) -> Upid:
    """Return the parts of a UPID; raises ValueError for anything else."""
    match = _UPID.fullmatch(text)
    if not match:
        raise ValueError(f"expected a UPID, seen {text!r}")
    started = datetime.fromtimestamp(int(match["start"], 16), UTC)
    return Upid(match["node"], match["kind"], match["id"], match["user"], started)


def task_status(api: Api, upid: str) -> TaskEnd | None:
    """Return how the task ended, None while it runs. Raises ApiError (NotFound: no such task).

    Asked on the task's own node: `GET /nodes/N/tasks/UPID/status`.
    """
    answer = api.get(f"{_path(upid)}/status")
    fields = answer if isinstance(answer, dict) else {}
    if fields.get("status") != "stopped":
        return None
    text = str(fields.get("exitstatus") or "unexpected status").strip()
    warnings = _WARNINGS.fullmatch(text)
    if warnings:
        return TaskEnd(True, text, int(warnings[1]))
    return TaskEnd(text == "OK", text)


def task_log(api: Api, upid: str, limit: int = 50) -> list[str]:
    """Return the first lines of the task's log. Raises ApiError."""
    rows = api.get(f"{_path(upid)}/log", {"limit": limit})
    lines = rows if isinstance(rows, list) else []
    return [str(line.get("t", "")) for line in lines if isinstance(line, dict)]


def _path(upid: str) -> str:
    return f"/nodes/{parse_upid(upid).node}/tasks/{form.quote_segment(upid)}"
