"""Reads the counters of some VMs' clusters at once, outside a run (USE-04)."""

from collections.abc import Callable, Iterator
from datetime import datetime

from reconciler.config import Opened
from reconciler.prepare import fits
from reconciler.secrets import SecretError
from reconciler.sim.embedded import EmbeddedFailed
from reconciler.usage.sampling import sample
from state.api import ApiError
from state.view import resources_view


def sync_now(opened: Opened, only: tuple[str, ...], now: Callable[[], datetime]) -> Iterator[str]:
    """Sample the clusters that have such VMs, one read each; yield what kept it from being done.

    All VMs of a cluster are sampled, for that costs the same.
    """
    fleet, store = opened.fleet, opened.store
    bindings = store.bindings.all()
    for name in sorted({one.cluster for key, one in bindings.items() if fits(key, only)}):
        try:
            api = opened.connect(name)
            view = resources_view(api, name, now())
        except (ApiError, SecretError, EmbeddedFailed) as error:
            yield f"cluster {name}: {error}"
            continue
        mine = {one.vmid: one for one in bindings.values() if one.cluster == name}
        sample(store, view, mine, fleet.name, fleet.schedule.zone)
