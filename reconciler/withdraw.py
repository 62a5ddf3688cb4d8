"""Give up what a removed spec was promised before any machine was made: vmid and addresses."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from desired.source import Fleet
from reconciler.site import Site
from state.api import ApiError
from state.memory import Binding
from state.store import Store

LATE = timedelta(days=1)
"""A clone that was asked for and is not there after a day will not come any more."""


def withdraw(fleet: Fleet, store: Store, sites: Mapping[str, Site], at: datetime) -> list[str]:
    """Unbind the keys that have neither a spec nor a machine; return them.

    Never seen, nothing sent for it (or long ago), no open task, and Proxmox says that its vmid is
    free: only then is it certain that nothing uses the addresses (TERM-09).
    """
    done = []
    tasks = store.tasks.all()
    for key, binding in sorted(store.bindings.all().items()):
        promised = binding.uuid is None and binding.cluster in sites and key not in tasks
        if not promised or fleet.knows(key):
            continue
        if not _maybe_sent(store, binding, at) and _is_free(sites[binding.cluster], binding.vmid):
            store.bindings.withdraw(key)
            done.append(key)
    return done


def _maybe_sent(store: Store, binding: Binding, at: datetime) -> bool:
    """Whether a clone may still come: the mark that is made before any write is not a day old."""
    kept = store.cache.all(binding.cluster).get(binding.vmid)
    return kept is not None and (kept.dirty_since is None or at - kept.dirty_since < LATE)


def _is_free(site: Site, vmid: int) -> bool:
    try:
        return site.vmid_free(vmid)
    except ApiError:
        return False
