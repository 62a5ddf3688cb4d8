"""One more sample just before we stop or move a machine: its counters begin anew after that."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from handlers.effects import running
from handlers.handler import vm_path
from reconciler.usage.sampling import Sample
from state.api import Api, ApiError
from state.change import Call, Change
from state.meter import Reading
from state.observed import SeenVM
from state.store import Store
from state.view import vm_row

ENDS = ("/status/shutdown", "/status/stop", "/status/suspend", "/migrate")
"""How the paths end that take a machine's network devices away."""

TRIES = 3
"""Several machines may be stopped at once, and one of them keeps its sample first."""


@dataclass(frozen=True, slots=True)
class Parting:
    """Samples one machine of a cluster: one read, and nothing that could stop what is to come."""

    api: Api
    store: Store
    cluster: str
    zone: tzinfo
    clock: Callable[[], datetime]

    def __call__(self, seen: SeenVM, changes: Iterable[Change]) -> None:
        """Take the sample, if the changes end the counters of a machine that runs."""
        binding = seen.memory.binding
        if binding is None or not running(seen) or not any(map(ends, calls_of(changes))):
            return
        try:
            answer = self.api.get(f"{vm_path(seen)}/status/current")
        except ApiError:
            return
        if not isinstance(answer, dict):
            return
        row = vm_row(answer)
        for _ in range(TRIES):
            found = Sample(self.cluster, self.clock(), self.store.usage.meters(self.cluster))
            found.meters.update(found.before.by_vmid)
            found.nics.update(found.before.by_nic)
            if row.uptime > 0:
                now = Reading(found.at, row.netin, row.netout, row.uptime)
                found.whole(binding.vmid, binding, now)
            if found.keep(self.store, self.zone):
                return


def calls_of(changes: Iterable[Change]) -> Iterable[Call]:
    return (call for change in changes for call in change.calls)


def ends(call: Call) -> bool:
    """Whether a call ends the counters: through the machine's own path, or the HA manager's."""
    stopped = call.params.get("state") in ("stopped", "disabled")
    return call.path.endswith(ENDS) or (stopped and "/ha/resources/" in call.path)
