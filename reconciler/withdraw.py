"""Give up what a removed spec was promised before any machine was made: vmid and addresses."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from desired.source import Fleet
from reconciler.site import Site
from state.api import ApiError
from state.cache import CachedVM
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
    for site in sites.values():
        promised = [
            binding
            for binding in store.bindings.deploying(site.name)
            if binding.uuid is None and binding.key not in tasks and not fleet.knows(binding.key)
        ]
        cached = store.cache.all(site.name) if promised else {}
        for binding in promised:
            sent = maybe_sent(cached.get(binding.vmid), at)
            if not sent and _is_free(site, binding.vmid):
                store.bindings.withdraw(binding.key)
                done.append(binding.key)
    return done


def maybe_sent(kept: CachedVM | None, at: datetime) -> bool:
    """Whether a clone may still come: the mark that is made before any write is not a day old."""
    return kept is not None and (kept.dirty_since is None or at - kept.dirty_since < LATE)


def _is_free(site: Site, vmid: int) -> bool:
    try:
        return site.vmid_free(vmid)
    except ApiError:
        return False
