"""One way to ask for a verb, whoever asks: a command, a spec's `do:`, or another program's row."""

from dataclasses import replace
from datetime import datetime
from re import fullmatch

from desired.spec import VMSpec
from handlers.snapshots import NAME
from handlers.wishes import (
    BACKUP,
    DELETE_SNAPSHOT,
    MOVE,
    REDEPLOY,
    REINSTALL,
    RESTORE,
    RESUME,
    ROLLBACK,
    SNAPSHOT,
    SUSPEND,
    TERMINATE,
    restores,
    wish_of,
)
from reconciler.behaviour import is_skipped
from reconciler.effective import REMOVED
from reconciler.verbs.table import VERBS
from state.memory import Memory, Phase
from state.store import Store
from state.verbs import Wish

ALONE = (TERMINATE, REINSTALL, REDEPLOY)
"""While one of these is open nothing else is asked."""

WANTED = (
    SUSPEND,
    RESUME,
    MOVE,
    BACKUP,
    RESTORE,
    REINSTALL,
    REDEPLOY,
    SNAPSHOT,
    ROLLBACK,
)
"""Verbs for a VM that some spec wants."""


class Refused(ValueError):
    """The verb is not for this VM, or not now; says why and what to do instead."""


def refusal(spec: VMSpec | None, memory: Memory, wish: Wish) -> str:
    """Why a verb may not be asked, as far as the store can tell; empty when it may."""
    verb, binding = VERBS[wish.verb], memory.binding
    wanted = spec is not None and spec.state == "present"
    ended = wish.verb == REDEPLOY and REMOVED in memory.intents
    if binding is None and not (wanted and (verb.bare or ended)):
        return "there is no machine of it yet"
    if binding is not None and is_skipped(binding.phase):
        return f"it is {binding.phase}: see reconcile reset and reconcile forget"
    name = wish.text("name")
    if name and not fullmatch(NAME, name):
        return f"{name!r} is no snapshot's name: a letter, then letters, digits, - or _"
    for other in ALONE:
        if other != wish.verb and wish_of(memory, other):
            return f"a {other} of it is under way"
    if wish.verb != RESTORE and restores(memory):
        return "a restore of it is under way"
    if spec is None or spec.state == "absent":
        if wish.verb in WANTED:
            return "no spec wants it: give it one first (see reconcile adopt)"
        return ""
    return _refused_of(spec, wish)


def _refused_of(spec: VMSpec, wish: Wish) -> str:
    """Why the spec, or what was asked besides, forbids it."""
    if wish.verb in (REINSTALL, REDEPLOY) and spec.template is None:
        return "its spec names no template to make another machine of: set template: first"
    if wish.verb == REDEPLOY and spec.adopt is not None:
        return f"its spec adopts vm {spec.adopt}, which ends: take `adopt:` out of it first"
    quota = spec.quota.snapshots if spec.quota else None
    if wish.verb == SNAPSHOT and quota == 0:
        return "its quota of snapshots is 0 (quota: {snapshots: N})"
    if wish.verb == BACKUP:
        return _unplaced(spec, wish)
    if wish.verb == RESTORE and ":" not in (wish.text("backup") or ""):
        return "no backup is named: expected STORAGE:backup/NAME, see reconcile backup list"
    if wish.verb in (ROLLBACK, DELETE_SNAPSHOT) and not wish.text("name"):
        return "no snapshot is named"
    if wish.verb != MOVE:
        return ""
    node, storage = wish.text("node"), wish.text("storage")
    if (node is None) == (storage is None):
        return "expected either a node or a storage to move it to"
    enforced = spec.node.nodes if spec.node and spec.node.enforce else ()
    if node is not None and enforced and node not in enforced:
        return f"its spec keeps it on {', '.join(enforced)} (node: enforce), and it would move back"
    return ""


def _unplaced(spec: VMSpec, wish: Wish) -> str:
    """Why a backup has no place to go to."""
    if spec.quota and spec.quota.backups == 0:
        return "its quota of backups is 0 (quota: {backups: N})"
    if wish.text("storage") or (spec.backup and spec.backup.storage):
        return ""
    return "no storage is named: give --storage, or backup: {storage: NAME} in its spec"


def ask(store: Store, spec: VMSpec | None, memory: Memory, wish: Wish, at: datetime) -> str:
    """Open a verb, and say in words what comes of it. Raises Refused; the same token asks once.

    To suspend what is suspended, or to resume what is not, is done at once (SUS-02).
    """
    if why := refusal(spec, memory, wish):
        raise Refused(why)
    if memory.binding is None and wish.verb == REDEPLOY:
        store.intents.drop(wish.key, REMOVED)
        store.verbs.record(wish, "done", "it was terminated: its spec counts again", at)
        return "was terminated: the next run deploys it again"
    already = wish_of(memory, wish.verb)
    suspended = wish_of(memory, SUSPEND)
    if wish.verb == SUSPEND and already:
        store.verbs.record(wish, "done", "it is suspended already", at)
        return "is suspended already"
    if wish.verb == RESUME and not suspended:
        store.verbs.record(wish, "done", "it is not suspended", at)
        return "is coming back already" if already else "is not suspended"
    broken = wish_of(memory, RESTORE)
    broken = None if restores(memory) else broken
    if wish.verb == RESTORE and broken and already:
        already, wish = None, replace(wish, params={**wish.params, "again": True})
    if already and already.token != wish.token:
        when = f"{already.at:%Y-%m-%d %H:%M} UTC"
        raise Refused(f"{already.by} asked for one at {when}, and it is still open")
    before = suspended if wish.verb == RESUME else None
    before = wish_of(memory, RESUME) if wish.verb == SUSPEND else before
    before = broken if wish.verb == REINSTALL else before
    if before is not None and "was" in before.params:
        wish = replace(wish, params={**wish.params, "was": before.params["was"]})
    if not store.verbs.ask(wish, before, at):
        return "was asked by this token before: nothing is done"
    binding = memory.binding
    if wish.verb == SUSPEND and binding and binding.phase in (Phase.READY, Phase.CHANGE):
        store.bindings.change(replace(binding, phase=Phase.SUSPENDED))
    return VERBS[wish.verb].does
