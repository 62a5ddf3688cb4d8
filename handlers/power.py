"""Whether the VM runs, and what waits for its next start."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from desired.spec import VMSpec
from handlers.effects import running
from handlers.handler import Subject, send_calls, vm_path, vmid_of
from handlers.resource import is_started, resource_of, set_state, troubled
from handlers.stop import START, STAY_OFF, STOP, Stop, ask, begun_stop, go_on, open_stop, wind_down
from handlers.waiting import RESTART, permission, waits
from handlers.wishes import asks_off
from state.change import Call, Change, Method, Note
from state.memory import Intent
from state.observed import SeenVM

WINDOW = timedelta(seconds=60)
LOOKS = 5
"""A start has failed after 60 s and at least five looks (C-08, DEP-24)."""

REBOOT = timedelta(seconds=60)
"""How long a VM that somebody reboots may be seen stopped before it comes back."""


class Power:
    """Starts the VM once all that it needs is in place, verifies that it runs, and stops it.

        power: running        # or stopped, unmanaged
        restart: window       # or never, allow: when it may be stopped for values that wait

    Owns no config key and alone looks at the live state. Values that wait for a stop and start
    raise `RestartRequired`; where the policy permits, or a person asked, the guest is asked to shut
    down, switched off when it does not, and started again, once for the same values. After a
    start call the engine keeps the intent `start`; the VM is ready when it is seen running, and
    has failed when it is not after 60 s and five looks: then `StartFailed`, and it is tried again.

    Risk: a stop ends what the guest does; a guest that does not shut down is switched off.
    """

    name = "power"
    subject = Subject.VM
    after = (
        "exists",
        "placement",
        "cpu",
        "memory",
        "retained",
        "disks",
        "network",
        "firewall",
        "cloudinit",
        "options",
        "firmware",
        "devices",
        "media",
        "passthrough",
    )
    blocking = True
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        stop = open_stop(seen)
        if spec.power == "unmanaged" and stop is None:
            return
        if trouble := troubled(seen):
            reason = f"the HA manager has it in state {trouble}: nothing is touched"
            yield Note(seen.key, self.name, "power", reason, "HAError", blocking=True)
        elif running(seen):
            yield from self._running(spec, seen, stop)
        elif is_wanted_on(spec, stop):
            yield from self._start(seen)
        elif asks_off(seen.memory) and is_started(seen):
            call = set_state(seen, "disabled")
            yield Change(seen.key, self.name, "ha", "started", "disabled", (call,))

    def _running(self, spec: VMSpec, seen: SeenVM, stop: Stop | None) -> Iterator[Change | Note]:
        granted = permission(spec, seen)
        yield from waits(seen, granted)
        if stop:
            yield from go_on(seen, stop) if _still_wanted(spec, seen) else wind_down(seen, stop)
        elif is_wanted_off(spec):
            state = "disabled" if spec.ha and spec.ha.state == "disabled" else "stopped"
            yield ask(seen, STAY_OFF, state)
        elif seen.status in ("paused", "suspended"):
            reason = f"is {seen.status}, wanted running: resume it by hand"
            yield Note(seen.key, self.name, "verify", reason, "PowerDiffers", blocking=True)
        elif seen.status != "running":
            yield self._wait(seen, f"is {seen.status}, not running yet")
        elif seen.config and seen.config.pending and granted.granted and not begun_stop(seen):
            yield ask(seen, STOP)

    def _start(self, seen: SeenVM) -> Iterator[Change | Note]:
        stop, intent = begun_stop(seen), seen.memory.intents.get(START)
        if intent and stop and intent.at < stop.intent.at:
            intent = None
        if seen.status == "unknown":
            yield self._wait(seen, "its status is not known yet")
        elif intent and not _over(intent, seen):
            seconds = int((seen.at - intent.at).total_seconds())
            yield self._wait(seen, f"started {seconds} s ago, status: {seen.status}")
        elif not intent and not stop and _reboots(seen):
            yield self._wait(seen, "somebody reboots it: waiting for it to come back")
        else:
            if intent:
                reason = f"VM failed to start (status: {seen.status}). Will retry."
                yield Note(seen.key, self.name, "verify", reason, "StartFailed", blocking=True)
            yield self._start_call(seen, stop)

    def _start_call(self, seen: SeenVM, stop: Stop | None) -> Change | Note:
        call, resource = Call(Method.POST, f"{vm_path(seen)}/status/start"), resource_of(seen)
        if resource and resource.state == "started":
            return self._wait(seen, "the HA manager is to start it")
        if resource:
            call = set_state(seen, "started")
        # What else can be done while it is off is done first, but holds a VM of ours no longer.
        gate = stop is not None
        return Change(seen.key, self.name, "power", seen.status, "running", (call,), gate=gate)

    def _wait(self, seen: SeenVM, reason: str) -> Note:
        return Note(seen.key, self.name, "verify", reason, blocking=True)


def is_wanted_off(spec: VMSpec) -> bool:
    """Whether the VM is to be stopped; `ha: {state: stopped}` says so too."""
    off = spec.ha is not None and spec.ha.state in ("stopped", "disabled")
    return spec.power == "stopped" or (off and spec.power == "running")


def is_wanted_on(spec: VMSpec, stop: Stop | None) -> bool:
    """Whether a VM that is seen stopped is to be started: it is to run, or it was us."""
    return not is_wanted_off(spec) and (spec.power == "running" or bool(stop and stop.restarts))


def resumes(seen: SeenVM) -> bool:
    """Whether power must be asked whatever else is open: a stop was begun and is not over."""
    return open_stop(seen) is not None


def _still_wanted(spec: VMSpec, seen: SeenVM) -> bool:
    """Whether there still is a reason for a stop that was begun, and nobody forbade it since."""
    permitted = spec.restart != "never" or RESTART in seen.memory.intents
    restarts = spec.power == "running" and permitted and bool(seen.config and seen.config.pending)
    return is_wanted_off(spec) or restarts


def _over(intent: Intent, seen: SeenVM) -> bool:
    return seen.at - intent.at >= WINDOW and intent.looks >= LOOKS


def _reboots(seen: SeenVM) -> bool:
    """Whether a reboot through Proxmox is under way: its task ends before the VM is back."""
    since = (seen.at - REBOOT).timestamp()
    tasks = (one for one in seen.cluster.tasks if one.kind == "qmreboot")
    mine = (one for one in tasks if one.id == str(vmid_of(seen)))
    return any(one.endtime is None or one.endtime >= since for one in mine)
