"""What is remembered of a guarded change, and what stands out of it without anything being done."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import blake2b

from desired.spec import VMSpec
from handlers.handler import Subject, send_calls, vmid_of
from handlers.snapshots import snapshots_path
from state.change import Call, Change, Method, Note
from state.memory import Intent
from state.observed import SeenVM

GUARD, SAFEGUARD = "guard", "safeguard"
"""The intent that holds a session, and whose changes its steps are."""

UNAVAILABLE, PARTIAL, UNDONE = "GuardUnavailable", "GuardPartial", "ChangeRolledBack"
_NOT_AN_EDIT = {"guard", "windows", "drift", "copies", "do"}
_NAME = re.compile(r"rc-\d+-([0-9a-f]{6})")


class Stage(StrEnum):
    """How far a guarded change has come; each is stored before what it names is sent."""

    TAKE = "take"
    TAKEN = "taken"
    BARE = "bare"
    CHECK = "check"
    RELEASE = "release"
    BACK = "back"
    ROLLING = "rolling"
    ROLLED = "rolled"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True)
class Session:
    """One guarded change of a VM: `at` is when its stage began, `looks` the failed checks since.

    `name` is its snapshot's, `edit` which spec is applied, `upid` the rollback's task; `beyond`
    says what the snapshot does not cover, `why` what the change came to grief on.
    """

    stage: Stage
    at: datetime
    name: str = ""
    edit: str = ""
    upid: str = ""
    beyond: str = ""
    why: str = ""
    looks: int = 0

    def intent(self, key: str) -> Intent:
        fields = [self.stage, self.name, self.edit, self.upid, self.beyond, self.why]
        return Intent(key, GUARD, self.at, self.looks, json.dumps(fields))


def session_of(seen: SeenVM) -> Session | None:
    """The VM's guarded change, if there is one."""
    intent = seen.memory.intents.get(GUARD)
    if intent is None:
        return None
    stage, name, edit, upid, beyond, why = json.loads(intent.detail)
    return Session(Stage(stage), intent.at, name, edit, upid, beyond, why, intent.looks)


def edit_of(spec: VMSpec) -> str:
    """Names what the spec asks of the VM: the same edit is not tried again once it was undone."""
    document = spec.model_dump_json(by_alias=True, exclude=_NOT_AN_EDIT)
    return blake2b(document.encode(), digest_size=8).hexdigest()


def snapshot_name(seen: SeenVM, run: int) -> str:
    """`rc-<run>-<mark>`: the mark says that the snapshot is ours, of this very VM."""
    return f"rc-{run}-{_mark(seen)}"


def is_ours(seen: SeenVM, name: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and match[1] == _mark(seen)


def _mark(seen: SeenVM) -> str:
    text = f"{seen.store}/{seen.cluster.name}/{vmid_of(seen)}"
    return blake2b(text.encode(), digest_size=3).hexdigest()


def stands(spec: VMSpec, seen: SeenVM, session: Session) -> bool:
    """Whether what was undone stays so: the spec is the same, and nobody has lifted the hold."""
    return session.edit == edit_of(spec) and holds(seen, session)


def holds(seen: SeenVM, session: Session) -> bool:
    """Whether the VM's hold is the one that was put when its change was rolled back."""
    hold, over = seen.memory.hold, (Stage.ROLLED, Stage.UNDONE)
    return hold is not None and session.stage in over and hold.at == session.at


class Safeguard:
    """Says that a change was rolled back, and removes a snapshot of ours that was left behind.

        guard: {health: {tcp: 22}, within: 5min}

    Owns no config key. The guarded change itself is the engine's: it takes the snapshot before the
    first write, checks the VM when all is applied, and rolls back. Here is what any look can see.
    `DELETE …/snapshot/NAME`.

    Risk: only a snapshot whose name was made for this VM by this store is removed.
    """

    name = SAFEGUARD
    subject = Subject.VM
    after: tuple[str, ...] = ("exists",)
    blocking = False
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        session = session_of(seen)
        if session is None:
            left = seen.config.live.text("parent") if seen.config else None
            if left and is_ours(seen, left):
                call = Call(Method.DELETE, f"{snapshots_path(seen)}/{left}")
                yield Change(seen.key, self.name, "snapshot", left, None, (call,))
        elif session.stage is Stage.UNDONE and stands(spec, seen, session):
            beyond = f"; still as the change made it: {session.beyond}" if session.beyond else ""
            reason = f"rolled back: {session.why}{beyond}. Edit the spec, or try it again: "
            yield Note(
                seen.key, self.name, "change", f"{reason}reconcile unhold {seen.key}", UNDONE
            )
