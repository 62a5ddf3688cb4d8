"""Snapshots that a person asked for: taken, rolled back to, removed."""

from collections.abc import Iterable
from hashlib import blake2b
from re import fullmatch

from desired.spec import VMSpec
from handlers.handler import Subject, send_calls, vm_path
from handlers.wishes import DELETE_SNAPSHOT, ROLLBACK, SNAPSHOT, may_ask, wish_of
from state.change import Call, Change, Effect, Method, Note, Param
from state.observed import SeenVM
from state.verbs import Wish

SNAPSHOTS = "snapshots"
NAME = r"[A-Za-z][A-Za-z0-9_-]{1,39}"
"""What Proxmox takes for a snapshot's name."""

GUARDS = r"rc-\d+-[0-9a-f]{6}"
"""Names of the snapshots before guarded changes, which are removed again: not a person's."""

MARK = "reconcile: asked by "
"""How the last line of a description begins whose snapshot we took for somebody."""


class Snapshots:
    """Takes, removes and rolls back to the snapshots that a person asked for, each once.

        do: {snapshot: {token: before-upgrade, vmstate: true}}
        do: {rollback: {token: "2026-11-20", name: before-upgrade}}

    Owns no config key. What is there is read just before the call, so that nothing is done twice.
    `POST …/snapshot`, `POST …/snapshot/NAME/rollback`, `DELETE …/snapshot/NAME`; VM.Snapshot,
    VM.Snapshot.Rollback. A rollback stops the guest and takes its disks and config back; what the
    spec says is put right again afterwards.

    Risk: what was written since the snapshot is lost by a rollback.
    """

    name = SNAPSHOTS
    subject = Subject.VM
    after: tuple[str, ...] = ("exists",)
    blocking = False
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        if not may_ask(seen):
            return
        memory = seen.memory
        if wish := wish_of(memory, SNAPSHOT):
            yield self._change(seen, wish, None, "taken", taken_by(seen, wish))
        elif wish := wish_of(memory, ROLLBACK):
            name = wish.text("name") or ""
            call = Call(Method.POST, f"{snapshots_path(seen)}/{name}/rollback")
            yield self._change(seen, wish, "now", f"as of {name}", call, Effect.STOP_START)
        elif wish := wish_of(memory, DELETE_SNAPSHOT):
            call = Call(Method.DELETE, f"{snapshots_path(seen)}/{wish.text('name') or ''}")
            yield self._change(seen, wish, wish.text("name"), None, call)

    def _change(
        self,
        seen: SeenVM,
        wish: Wish,
        old: str | None,
        new: str | None,
        call: Call,
        effect: Effect = Effect.LIVE,
    ) -> Change:
        field = f"{wish.verb} {snapshot_name(wish)}"
        return Change(seen.key, self.name, field, old, new, (call,), effect)


def snapshots_path(seen: SeenVM) -> str:
    return f"{vm_path(seen)}/snapshot"


def snapshot_name(wish: Wish) -> str:
    """The name that was given, else the token where it can be one, else a name made of it."""
    named = wish.text("name")
    if named:
        return named
    if fullmatch(NAME, wish.token) and not fullmatch(GUARDS, wish.token):
        return wish.token
    return "s-" + blake2b(wish.token.encode(), digest_size=6).hexdigest()


def taken_by(seen: SeenVM, wish: Wish) -> Call:
    """`POST …/snapshot`; its description says who asked, behind one that was given."""
    about = f"{wish.text('description') or ''}\n\n{MARK}{wish.by}".strip()
    params: dict[str, Param] = {"snapname": snapshot_name(wish), "description": about}
    if wish.params.get("vmstate") is True:
        params["vmstate"] = True
    return Call(Method.POST, snapshots_path(seen), params)
