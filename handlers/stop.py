"""How a guest is stopped: asked to shut down, waited for, switched off; by our clock, over ticks.

The engine keeps what was begun as intents, committed before the call, so that whoever comes after
a crash goes on: `stop` (asked at; its detail says for which pending values, and what became of the
request), `force` (switched off at) and `start`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import quote

from handlers.effects import running
from handlers.handler import vm_path, vmid_of
from handlers.resource import resource_of, set_state
from handlers.waiting import pending_marks
from state.change import Call, Change, Effect, Method, Note
from state.memory import Intent
from state.observed import SeenVM, TaskRow

START, STOP, FORCE = "start", "stop", "force"
STAY_OFF, SWITCH_OFF = "stop.off", "stop.force"
"""Fields of changes, beside STOP for a restart: to stop and stay off, and to switch off."""

SHUTDOWN, SWITCHED_OFF = timedelta(seconds=120), timedelta(seconds=60)
"""How long a guest has to shut down, and how long its end may take once switched off (C14)."""

MANAGED = timedelta(seconds=210)
"""How long the HA manager has: both windows, and its own rounds."""

ARRIVES = timedelta(seconds=15)
"""A request of which nothing is to be seen after this was never heard."""

LEAST = timedelta(seconds=10)
"""With less than this left of its time a guest is not asked again."""

STALE = timedelta(days=1)
"""After this a request is forgotten, and made anew."""

SKEW = timedelta(seconds=2)
BOOT_SLACK = timedelta(seconds=30)
"""Uptimes come with broadcasts of ten seconds: a boot instant is this exact."""

OVERRULES = (8, 2)
"""The first release whose `stop` may overrule a shutdown that is under way."""

FAILED, SENT, OFF = "failed", "sent", "off"


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop that was begun: `marks` are the pending values that it is for; none: to stay off.

    `answer` is the shutdown's UPID, `sent` where no task tells of it, `failed` once the task has
    failed; empty when no answer was heard.
    """

    intent: Intent
    marks: frozenset[str]
    answer: str = ""

    @property
    def restarts(self) -> bool:
        return bool(self.marks)

    @property
    def failed(self) -> bool:
        return self.answer == FAILED


def begun_stop(seen: SeenVM) -> Stop | None:
    """The stop that was begun last, be it over or not."""
    intent = seen.memory.intents.get(STOP)
    if intent is None:
        return None
    marks, _, answer = intent.detail.partition(" ")
    return Stop(intent, frozenset(marks.split(",")) - {OFF, ""}, answer)


def open_stop(seen: SeenVM) -> Stop | None:
    """The stop that is still to come to its end: the VM was not seen started again since."""
    stop = begun_stop(seen)
    return None if stop and is_back(seen, stop) else stop


def is_back(seen: SeenVM, stop: Stop) -> bool:
    """Whether the VM runs again after this stop, started by us or by somebody else."""
    if not running(seen):
        return False
    start, boot = seen.memory.intents.get(START), seen.boot_instant
    ours = start is not None and start.at >= stop.intent.at
    # Without an uptime, which a young row lacks, a boot instant says nothing.
    known = boot is not None and boot < seen.at
    return ours or (known and boot is not None and boot > stop.intent.at + BOOT_SLACK)


def ask(seen: SeenVM, field: str, state: str = "stopped") -> Change:
    """Ask the guest, or the HA manager, to shut the VM down; `field` is STOP or STAY_OFF.

    Asked again after a failure it has what is left of its time, and all of it once that is over.
    `POST …/status/shutdown`.
    """
    stop, seconds = open_stop(seen), int(SHUTDOWN.total_seconds())
    if stop and stop.failed and seen.at - stop.intent.at < SHUTDOWN:
        seconds -= int((seen.at - stop.intent.at).total_seconds())
    call = Call(Method.POST, f"{vm_path(seen)}/status/shutdown", {"timeout": seconds})
    if resource_of(seen):
        call = set_state(seen, state)
    effect = Effect.STOP_START
    return Change(seen.key, "power", field, seen.status, "stopped", (call,), effect, gate=True)


def go_on(seen: SeenVM, stop: Stop) -> Iterator[Change | Note]:
    """What comes next of a stop that is open, of a VM that still has a process."""
    since, force = seen.at - stop.intent.at, seen.memory.intents.get(FORCE)
    seconds = int(since.total_seconds())
    again = ask(seen, STOP if stop.restarts else STAY_OFF)
    if force and force.at >= stop.intent.at:
        yield from _switched_off(seen, stop, force)
    elif not _arrived(seen, stop) or since > STALE:
        yield (
            _wait(seen, "it may not have heard yet that it is to stop")
            if since < ARRIVES
            else again
        )
    elif resource_of(seen):
        if since < MANAGED:
            yield _wait(seen, f"the HA manager was asked {seconds} s ago to stop it")
        else:
            yield _failed(seen, f"the HA manager has not stopped it in {seconds} s")
    elif since < SHUTDOWN:
        failed = stop.failed and SHUTDOWN - since >= LEAST
        yield again if failed else _wait(seen, f"was asked {seconds} s ago to shut down")
    elif not _looked(stop.intent, SHUTDOWN):
        yield _wait(seen, f"did not shut down in {seconds} s: looking once more")
    else:
        yield _switch_off(seen, stop)


def wind_down(seen: SeenVM, stop: Stop) -> Iterator[Note]:
    """A stop that nobody wants any more may still come: it is waited for, and goes no further."""
    force = seen.memory.intents.get(FORCE)
    until = stop.intent.at + (MANAGED if resource_of(seen) else SHUTDOWN + ARRIVES)
    if force and force.at >= stop.intent.at:
        until = max(until, force.at + SWITCHED_OFF)
    if seen.at < until:
        seconds = int((seen.at - stop.intent.at).total_seconds())
        yield _wait(seen, f"was asked {seconds} s ago to shut down, which is no longer needed")


def _arrived(seen: SeenVM, stop: Stop) -> bool:
    """Whether the request to stop was taken: an answer was heard, or its effect is seen."""
    resource = resource_of(seen)
    taken = resource.state != "started" if resource else bool(_shutdowns(seen, stop))
    return taken or stop.answer != ""


def _switched_off(seen: SeenVM, stop: Stop, force: Intent) -> Iterator[Change | Note]:
    since = seen.at - force.at
    seconds = int(since.total_seconds())
    if since < SWITCHED_OFF or not _looked(force, SWITCHED_OFF):
        yield _wait(seen, f"was switched off {seconds} s ago, and is still {seen.status}")
        return
    attempt, text = seen.memory.attempts.get("power"), f"VM failed to stop (status: {seen.status})"
    counted = attempt is not None and attempt.at >= force.at
    why = attempt.error if attempt and counted and not attempt.error.startswith(text) else ""
    yield _failed(seen, ": ".join(filter(None, (text, why))) + ". Will retry.")
    # Counted by the engine as a failure first, so that the next try waits for its time.
    if counted:
        yield _switch_off(seen, stop)


def _switch_off(seen: SeenVM, stop: Stop) -> Change:
    """`POST …/status/stop`; the shutdown that holds the VM's lock is overruled or cancelled."""
    path = f"{vm_path(seen)}/status/stop"
    calls: tuple[Call, ...] = (Call(Method.POST, path, {"overrule-shutdown": True}),)
    release = seen.cluster.release
    if release and release < OVERRULES:
        running = (one for one in _shutdowns(seen, stop) if one.running)
        paths = (f"/nodes/{one.node}/tasks/{quote(one.upid, safe='')}" for one in running)
        calls = (*(Call(Method.DELETE, one) for one in paths), Call(Method.POST, path))
    return Change(seen.key, "power", SWITCH_OFF, seen.status, "stopped", calls, gate=True)


def _shutdowns(seen: SeenVM, stop: Stop) -> list[TaskRow]:
    """The shutdown tasks of the VM that tell that the request has arrived."""
    vmid, since = str(vmid_of(seen)), (stop.intent.at - SKEW).timestamp()
    found = (task for task in seen.cluster.tasks if task.kind == "qmshutdown" and task.id == vmid)
    return [task for task in found if task.running or task.starttime >= since]


def _looked(intent: Intent, window: timedelta) -> bool:
    """Whether some look was made after the window's end: after a pause the first may be late."""
    return intent.looked_at is not None and intent.looked_at >= intent.at + window


def _wait(seen: SeenVM, reason: str) -> Note:
    return Note(seen.key, "power", STOP, reason, blocking=True)


def _failed(seen: SeenVM, reason: str) -> Note:
    return Note(seen.key, "power", STOP, reason, "StopFailed", blocking=True)


def begins(change: Change, seen: SeenVM, at: datetime) -> Intent | None:
    """The intent to commit before a change of power is sent; None for any other change."""
    if change.handler != "power":
        return None
    if change.new == "running":
        return Intent(seen.key, START, at)
    if change.field == SWITCH_OFF:
        return Intent(seen.key, FORCE, at)
    stop, marks = open_stop(seen), pending_marks(seen) if change.field == STOP else frozenset()
    fresh = Intent(seen.key, STOP, at, 0, ",".join(sorted(marks)) or OFF)
    again = stop is not None and stop.failed and at - stop.intent.at < SHUTDOWN
    return replace(stop.intent, detail=fresh.detail) if stop and again else fresh


def answered(intent: Intent, upid: str | None) -> Intent:
    """The intent of a stop once its request was taken."""
    return replace(intent, detail=f"{intent.detail.partition(' ')[0]} {upid or SENT}")
