"""Making a backup: begun where a node is free, and told once (TASK-04, TASK-05)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from desired.backups import Backups
from desired.spec import VMSpec
from handlers.handler import Context, Subject, send_calls, vmid_of
from handlers.wishes import BACKUP, wish_of
from reconciler.backups.archive import Archive
from reconciler.backups.ward import (
    MODE,
    PLACE,
    PROTECT,
    SCHEDULE,
    SENT,
    STATUS,
    TRIES,
    VZDUMP,
    Ward,
    kept,
    mark_of,
    sent_at,
    storage_of,
    tries_of,
)
from state.api import Json
from state.change import Call, Change, Method, Note, Outcome, Param
from state.memory import Attempt
from state.observed import SeenVM
from state.outbox import Event
from state.verbs import Wish

RESTORE = "do.restore"
DONE, FAILED = "backup_done", "backup_failed"
"""Events."""

UNVERIFIED = "BackupUnverified"
MOST = 3
"""So often a backup is begun; then it has failed."""

UNLISTED = timedelta(seconds=60)
"""How long a task that was begun may not be listed yet."""

LATER = timedelta(seconds=15)
"""How long a VM waits before it asks again whether its node is free."""


@dataclass(frozen=True, slots=True)
class Record:
    """Writes down what came of a backup that was begun: its volume, or why there is none.

    Changes nothing in Proxmox. The verb is closed with its event in one transaction.
    """

    ward: Ward
    subject: Subject = Subject.VM
    after: tuple[str, ...] = ()
    blocking: bool = True
    keys: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.ward.job}.record"

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        wish = wish_of(seen.memory, BACKUP)
        sent = sent_at(wish) if wish else None
        if wish is None or sent is None:
            return
        made, failure = self.ward.made(seen, wish), _failure(seen, wish)
        problem = self.ward.shelf.problem(wish.text(PLACE) or "")
        if is_at_work(seen):
            yield Note(seen.key, self.name, BACKUP, "it is being backed up", None, blocking=True)
        elif made is not None and made.size > 0:
            yield Change(seen.key, self.name, "record", None, made.volume)
        elif problem:
            yield Note(seen.key, self.name, BACKUP, problem, None, blocking=True)
        elif failure is None and seen.at - sent < UNLISTED:
            reason = "its backup was begun, and is not listed yet"
            yield Note(seen.key, self.name, BACKUP, reason, None, blocking=True)
        elif tries_of(wish.params) >= MOST:
            yield Change(seen.key, self.name, "record", None, "failed")

    def apply(self, changes: Sequence[Change], ctx: Context) -> Outcome:
        """Close the verb; another process may have done so."""
        store, key = self.ward.store, changes[0].subject
        memory = store.memories([key])[key]
        wish = wish_of(memory, BACKUP)
        if wish is None:
            return Outcome()
        volume = changes[0].new
        if volume != "failed":
            made = next(one for one in self.ward.shelf.archives if one.volume == volume)
            store.verbs.end(wish, "done", made.volume, ctx.at, _done(wish, made, ctx))
        else:
            last = _last(memory.attempts.values())
            why = last.error if last else "no backup came of it, and Proxmox lists no task of it"
            why = f"failed {tries_of(wish.params)} times: {why}"
            store.verbs.end(wish, "failed", why, ctx.at, _told(FAILED, wish, {"text": why}, ctx))
        for job in (SCHEDULE, STATUS):
            store.attempts.clear(key, f"{job}.take")
        return Outcome()


@dataclass(frozen=True, slots=True)
class Take:
    """Begins a backup that is asked for, or due, where its node makes no other.

        backup: {days: {mon: "02:30", thu: auto}, keep: 3, storage: pbs}

    `POST /nodes/N/vzdump`; VM.Backup, Datastore.AllocateSpace. What is begun is written down
    first, so no day is begun twice. With `remove=0`: Proxmox prunes nothing of its own accord.
    """

    ward: Ward
    subject: Subject = Subject.VM
    blocking: bool = True
    keys: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.ward.job}.take"

    @property
    def after(self) -> tuple[str, ...]:
        return (f"{self.ward.job}.record",)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        self.ward.learn(seen.cluster)
        wish, binding = self.ward.wish(spec, seen), seen.memory.binding
        if wish is None or binding is None:
            return
        storage = storage_of(spec, wish)
        why = _hindered(self.ward, spec, seen, wish)
        if storage is None or binding.uuid is None or why is not None:
            yield why or Note(
                seen.key,
                self.name,
                BACKUP,
                "no storage is named for its backups (backup: {storage: NAME})",
                "BackupUnplaced" if self.ward.asks else None,
                blocking=True,
            )
            return
        self.ward.wishes[seen.key] = wish
        mark = mark_of(self.ward.store.id, binding, wish.token)
        params = _params(spec, seen, wish, str(mark))
        call = Call(Method.POST, f"/nodes/{seen.node}/{VZDUMP}", params)
        yield Change(seen.key, self.name, BACKUP, None, storage, (call,))

    def apply(self, changes: Sequence[Change], ctx: Context) -> Outcome:
        """Take the node, write down that it is begun, send. Raises ApiError."""
        change, store = changes[0], self.ward.store
        wish = self.ward.wishes[change.subject]
        other = wish_of(store.memories([wish.key])[wish.key], BACKUP)
        is_open = other is not None
        if other is not None and other.token != wish.token:
            return Outcome()
        if not self.ward.takes(change.calls[0].path.split("/")[2]):
            if not is_open:
                # From now on it is the next run's of backup_status, too.
                store.verbs.ask(wish, None, ctx.at)
            return Outcome(retry_at=ctx.at + LATER)
        begun: dict[str, Json] = {
            SENT: ctx.at.isoformat(),
            TRIES: tries_of(wish.params) + 1,
            PLACE: str(change.new),
        }
        wish = replace(wish, params={**wish.params, **begun})
        if is_open:
            store.verbs.keep(wish)
        elif not store.verbs.ask(wish, None, ctx.at):
            return Outcome()
        return send_calls(changes, ctx)


def is_at_work(seen: SeenVM) -> bool:
    """Whether Proxmox makes a backup of the VM, or is about to."""
    vmid = str(vmid_of(seen))
    listed = (one for one in seen.cluster.tasks if one.kind == VZDUMP and one.id == vmid)
    return any(one.running for one in listed) or bool(seen.row and seen.row.lock == "backup")


def _params(spec: VMSpec, seen: SeenVM, wish: Wish, mark: str) -> dict[str, Param]:
    plan = spec.backup or Backups()
    params: dict[str, Param] = {
        "vmid": vmid_of(seen),
        "storage": storage_of(spec, wish) or "",
        "mode": wish.text(MODE) or plan.mode,
        "compress": "0" if plan.compress == "none" else plan.compress,
        "notes-template": f"{mark} {plan.notes or ''}".strip(),
        "remove": False,
    }
    return params | ({"protected": True} if wish.params.get(PROTECT) is True else {})


def _hindered(ward: Ward, spec: VMSpec, seen: SeenVM, wish: Wish) -> Note | None:
    """Why no backup is begun now: nobody knows what is there, or keep has no slot (C-20)."""
    problem = ward.shelf.problem(storage_of(spec, wish) or "")
    handler = f"{ward.job}.take"
    if RESTORE in seen.memory.intents:
        return Note(seen.key, handler, BACKUP, "a restore of it is open", None, blocking=True)
    if problem:
        return Note(seen.key, handler, BACKUP, problem, None, blocking=True)
    keep, there = kept(spec), [one for one in ward.mine(seen) if not one.protected]
    if keep is None or len(there) <= keep or wish.params.get(PROTECT) is True:
        return None
    reason = f"{len(there)} backups are there (keep {keep}), and the newest is not verified"
    condition = UNVERIFIED if ward.asks else None
    if there[-1].is_verified(spec.backup.verified_by if spec.backup else "server"):
        reason, condition = "the oldest backup goes first", None
    return Note(seen.key, handler, BACKUP, reason, condition, blocking=True)


def _failure(seen: SeenVM, wish: Wish) -> Attempt | None:
    """The failure of what was sent last."""
    last, sent = _last(seen.memory.attempts.values()), sent_at(wish)
    return last if last and sent and last.at >= sent else None


def _last(attempts: Iterable[Attempt]) -> Attempt | None:
    mine = (one for one in attempts if one.handler in (f"{SCHEDULE}.take", f"{STATUS}.take"))
    return max(mine, key=lambda one: one.at, default=None)


def _done(wish: Wish, made: Archive, ctx: Context) -> Event:
    detail: dict[str, Json] = {
        "volume": made.volume,
        "storage": made.storage,
        "size": made.size,
        "protected": made.protected,
    }
    return _told(DONE, wish, detail, ctx)


def _told(name: str, wish: Wish, detail: dict[str, Json], ctx: Context) -> Event:
    detail = {"by": wish.by, "token": wish.token, **detail}
    return Event(name, wish.key, ctx.at, detail, f"{name}/{wish.key}/{wish.token}")
