"""Whether the VM runs, and what waits for its next start."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from desired.spec import VMSpec
from handlers.effects import running
from handlers.handler import Subject, send_calls, vm_path
from state.change import Call, Change, Method, Note
from state.memory import Intent
from state.observed import SeenVM

WINDOW = timedelta(seconds=60)
LOOKS = 5
"""A start has failed after 60 s and at least five looks (C-08, DEP-24)."""


class Power:
    """Starts the VM once all that it needs is in place, and verifies that it runs.

        power: running        # or stopped, unmanaged

    Owns no config key and alone looks at the live state. After a start call the engine keeps the
    intent `start`; the VM is ready when it is seen running, and has failed when it is not after
    60 s and five looks: then `StartFailed`, and the start is tried again. Values that wait for a
    stop and start raise `RestartRequired`; stopping is never done here.

    Risk: a start boots the guest.
    """

    name = "power"
    subject = Subject.VM
    after = (
        "exists",
        "cpu",
        "memory",
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
        if spec.power == "unmanaged":
            return
        if running(seen):
            yield from self._running(spec, seen)
        elif spec.power == "running":
            yield from self._start(seen)

    def _running(self, spec: VMSpec, seen: SeenVM) -> Iterator[Note]:
        if spec.power == "stopped":
            reason = f"is {seen.status}, wanted stopped: shut it down by hand"
            yield Note(seen.key, self.name, "power", reason, "PowerDiffers")
        elif seen.status in ("paused", "suspended"):
            reason = f"is {seen.status}, wanted running: resume it by hand"
            yield Note(seen.key, self.name, "verify", reason, "PowerDiffers", blocking=True)
        elif seen.status != "running":
            yield self._wait(seen, f"is {seen.status}, not running yet")
        if seen.config and seen.config.pending:
            keys = ", ".join(sorted(seen.config.pending))
            reason = f"waits for a stop and start: {keys}"
            yield Note(seen.key, self.name, "restart", reason, "RestartRequired")

    def _start(self, seen: SeenVM) -> Iterator[Change | Note]:
        intent = seen.memory.intents.get("start")
        if seen.status == "unknown":
            yield self._wait(seen, "its status is not known yet")
        elif intent and not _over(intent, seen):
            seconds = int((seen.at - intent.at).total_seconds())
            yield self._wait(seen, f"started {seconds} s ago, status: {seen.status}")
        else:
            if intent:
                reason = f"VM failed to start (status: {seen.status}). Will retry."
                yield Note(seen.key, self.name, "verify", reason, "StartFailed", blocking=True)
            call = Call(Method.POST, f"{vm_path(seen)}/status/start")
            yield Change(seen.key, self.name, "power", seen.status, "running", (call,))

    def _wait(self, seen: SeenVM, reason: str) -> Note:
        return Note(seen.key, self.name, "verify", reason, blocking=True)


def _over(intent: Intent, seen: SeenVM) -> bool:
    return seen.at - intent.at >= WINDOW and intent.looks >= LOOKS
