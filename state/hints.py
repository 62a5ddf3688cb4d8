"""What hints that a VM's config moved since it was read: its row, the tasks, the cluster log."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from state.api import Json
from state.observed import TaskRow, VMRow
from state.traces import Trace
from state.view import rows, text, whole

BOOT_SLACK = 30.0
_VM = re.compile(r"\bVM (\d+)\b")
_TASK = re.compile(r"UPID:[^:\s]+:[^:\s]+:[^:\s]+:[^:\s]+:[^:\s]+:(\d+):")


def row_hints(row: VMRow, at: float) -> str:
    """Return what the row tells of the config, as text; `at` is the look's time (epoch s)."""
    boot = round(at - row.uptime) if row.status == "running" else None
    fields = [row.node, row.lock, sorted(row.tags), row.name, row.maxcpu, row.maxmem, row.maxdisk]
    return msgspec.json.encode([*fields, boot]).decode()


def row_moved(before: str, now: str) -> bool:
    """Say whether the row hints at a new config: any field, or the boot instant by over 30 s."""
    if before == now:
        return False
    try:
        old, new = msgspec.json.decode(before), msgspec.json.decode(now)
    except msgspec.DecodeError:
        return True
    if old[:-1] != new[:-1] or (old[-1] is None) != (new[-1] is None):
        return True
    return old[-1] is not None and abs(old[-1] - new[-1]) > BOOT_SLACK


@dataclass(frozen=True, slots=True)
class Suspects:
    """VMs whose config may have moved, nodes whose log was lost, and the new position.

    With `everything` no line is left that was seen before: any node's lines may be lost.
    """

    vmids: frozenset[int] = frozenset()
    nodes: frozenset[str] = frozenset()
    everything: bool = False
    position: Mapping[str, int] = field(default_factory=dict)


def log_suspects(log: Json, position: Mapping[str, int]) -> Suspects:
    """Read the new lines of `/cluster/log`; `position` is the last uid seen by node.

    When no line up to the last one seen is left for a node, the ring has run over and all its VMs
    are suspect; so they are when a node's log is seen for the first time.
    """
    uids: dict[str, list[int]] = {}
    vmids: set[int] = set()
    for row in rows(log):
        node, uid = text(row, "node") or "", whole(row, "uid")
        uids.setdefault(node, []).append(uid)
        if uid > position.get(node, -1):
            message = text(row, "msg") or ""
            vmids.update(int(found) for found in _VM.findall(message) + _TASK.findall(message))
    lost = {node for node, last in position.items() if min(uids.get(node, [last + 1])) > last}
    restarted = {node for node, seen in uids.items() if max(seen) < position.get(node, -1)}
    first = uids.keys() - position.keys()
    known = any(last in uids.get(node, ()) for node, last in position.items())
    return Suspects(
        vmids=frozenset(vmids),
        nodes=frozenset(lost | restarted | first),
        everything=bool(uids or position) and not known,
        position={node: max(seen) for node, seen in sorted(uids.items())},
    )


def log_traces(log: Json, position: Mapping[str, int]) -> list[Trace]:
    """Return the new lines of `/cluster/log` that name a VM, the oldest first."""
    found = []
    for row in rows(log):
        message = text(row, "msg") or ""
        if whole(row, "uid") > position.get(text(row, "node") or "", -1):
            at = datetime.fromtimestamp(whole(row, "time"), UTC)
            vmids = {*_VM.findall(message), *_TASK.findall(message)}
            user = text(row, "user") or ""
            found += [Trace(at, int(vmid), user, message) for vmid in sorted(vmids)]
    return sorted(found)


def task_suspects(tasks: Iterable[TaskRow], known: Mapping[str, bool]) -> set[int]:
    """Return the VMs of tasks that began or ended since; `known` maps a UPID to "has ended"."""
    moved = (task for task in tasks if known.get(task.upid) is not (not task.running))
    return {int(task.id) for task in moved if task.id.isdigit()}


def known_tasks(tasks: Iterable[TaskRow]) -> dict[str, bool]:
    """Return what to remember of the tasks for the next look."""
    return {task.upid: not task.running for task in sorted(tasks, key=lambda task: task.upid)}
