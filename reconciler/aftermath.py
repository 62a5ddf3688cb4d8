"""What ends leave to later runs: backups that were kept for a while, ends that were taken back."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from desired.source import Fleet
from reconciler.effective import REMOVED, TERMINATE, effective
from reconciler.ending import BEGUN
from reconciler.remains import Lifetime, backups_of, remove
from reconciler.site import Site
from state.api import ApiError, Json
from state.kept import KeptBackups
from state.memory import Phase
from state.outbox import Event
from state.store import Store
from state.verbs import DO, Wish


def taken_back(fleet: Fleet, store: Store) -> list[str]:
    """Let VMs live on whose end is no longer wanted; return a line for each.

    What stands in the place of a VM that was ended by word of mouth goes with its spec.
    """
    told = []
    for key in sorted(store.intents.keys(REMOVED)):
        spec = fleet.vms.get(key)
        gone = spec is None and not fleet.incomplete and not fleet.knows(key)
        if gone or (spec is not None and spec.state == "absent"):
            store.intents.drop(key, REMOVED)
    ending = store.bindings.in_phase(Phase.TERMINATE)
    memories = store.memories({one.key for one in ending}) if ending else {}
    for binding in ending:
        spec = fleet.vms.get(binding.key)
        if spec is None or effective(spec, memories[binding.key]).state == "absent":
            continue
        phase = Phase.CHANGE if binding.ready_at else Phase.DEPLOY
        for kind in sorted(memories[binding.key].intents.keys() & BEGUN):
            store.intents.drop(binding.key, kind)
        store.bindings.change(replace(binding, phase=phase))
        told.append(f"{binding.key}: its end was taken back: it is made as its spec says")
    return told


def remove_kept(store: Store, sites: Mapping[str, Site], at: datetime) -> list[str]:
    """Remove the backups whose time has come, of VMs that are gone (C-22); return lines."""
    told = []
    for kept in store.kept.all():
        site = sites.get(kept.cluster)
        if kept.until <= at and site is not None and not site.missed:
            told.append(_removed(store, site, kept, at))
    return told


def _removed(store: Store, site: Site, kept: KeptBackups, at: datetime) -> str:
    """Ask for the end of one machine's backups; until none is left a later run asks again."""
    view = site.observer.view(at, site.firewall)
    what = f"backups of {kept.key} (vm {kept.vmid}, gone since {kept.ended_at:%Y-%m-%d})"
    if view.problem:
        return f"{what}: {view.problem}"
    left = backups_of(site.api, view, Lifetime(kept.vmid, kept.since, kept.ended_at))
    problems = list(left.problems)
    asked = [one for one in left.backups if not one.protected]
    for backup in asked:
        try:
            remove(site.api, backup)
        except ApiError as error:
            problems.append(f"{backup.volume}: {error.text}")
    if not asked and not problems:
        store.kept.drop(kept)
        stays = f", {len(left.backups)} are protected and stay" if left.backups else ""
        return f"{what}: none is left{stays}"
    return "; ".join((f"{what}: {len(asked)} removed", *problems))


def ask_end(store: Store, key: str, by: str, token: str, at: datetime) -> bool:
    """Ask for a VM's end, whatever its spec says; False where this token asked before."""
    return store.verbs.ask(Wish(key, TERMINATE.removeprefix(DO), token, by, at, {}))


def abandon(store: Store, key: str, by: str, at: datetime) -> None:
    """Close a VM out whose node is dead (TERM-15): its addresses rest until a person frees them."""
    binding = store.bindings.of(key)
    if binding is None:
        return
    detail: dict[str, Json] = {"vmid": binding.vmid, "cluster": binding.cluster, "by": by}
    event = Event("vm_abandoned", key, at, detail, f"vm_abandoned/{key}/{binding.uuid}")
    store.bindings.change(replace(binding, phase=Phase.ABANDONED), event=event)
