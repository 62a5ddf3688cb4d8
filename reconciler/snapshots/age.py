"""Which snapshots of a VM are to go: ours that are too old, or too many (TASK-02, TASK-10)."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from desired.spec import VMSpec
from handlers.handler import Subject, send_calls
from handlers.snapshots import GUARDS, MARK, snapshots_path
from handlers.wishes import ROLLBACK, wish_of
from reconciler.show.text import count_of
from state.change import Call, Change, Method, Note
from state.observed import SeenVM

NAME = "remove_snapshots"
DAY = 86_400.0
_OURS = re.compile(rf"^{re.escape(MARK)}", re.M)


@dataclass(frozen=True, slots=True)
class Aged:
    """A snapshot: when it was taken, and whether we did that."""

    name: str
    at: datetime
    ours: bool = False


def is_ours(description: str) -> bool:
    """Whether we took a snapshot that somebody asked us for, as its description says."""
    return _OURS.search(description) is not None


def counted(taken: Iterable[Aged], spec: VMSpec) -> list[Aged]:
    """Those that age and quota are about, the oldest first; none before a guarded change."""
    foreign = spec.snapshots is not None and spec.snapshots.foreign
    mine = (one for one in taken if one.ours or foreign)
    plain = (one for one in mine if not re.fullmatch(GUARDS, one.name))
    return sorted(plain, key=lambda one: (one.at, one.name))


def outlived(taken: Iterable[Aged], spec: VMSpec, at: datetime) -> Iterator[tuple[Aged, str]]:
    """Yield each snapshot that is to go, the oldest first, and why."""
    policy, every = spec.snapshots, list(taken)
    if policy is None:
        return
    mine, left = counted(every, spec), len(every)
    most = policy.keep
    for place, one in enumerate(mine):
        age = (at - one.at).total_seconds()
        over = most is not None and len(mine) - place > most
        full = policy.schedule is not None and _is_full(left, spec)
        if policy.life is not None and age > policy.life:
            yield one, f"{age / DAY:.1f} d old, and lives {policy.life / DAY:g} d"
        elif over:
            yield one, f"the oldest of {count_of(len(mine) - place, 'snapshot')}, keep is {most}"
        elif full:
            yield one, f"the oldest of {count_of(left, 'snapshot')}, and the next has no room"
        else:
            return
        left -= 1


def _is_full(left: int, spec: VMSpec) -> bool:
    """Whether the next one by schedule would be refused by the quota; with 0 none is taken."""
    quota = spec.quota.snapshots if spec.quota else None
    return bool(quota) and left >= (quota or 0)


class OldSnapshots:
    """Removes the oldest snapshot that is to go; the next look goes on with the next.

    `taken` is what was read of each VM that has any. `DELETE …/snapshot/NAME`; VM.Snapshot.
    """

    name = f"{NAME}.old"
    subject = Subject.VM
    after: tuple[str, ...] = ()
    blocking = True
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def __init__(self, taken: Mapping[str, tuple[Aged, ...]]) -> None:
        self.taken = taken

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        wish = wish_of(seen.memory, ROLLBACK)
        needed = wish.text("name") if wish else None
        for one, why in outlived(self.taken.get(seen.key, ()), spec, seen.at):
            if one.name == needed:
                continue
            call = Call(Method.DELETE, f"{snapshots_path(seen)}/{one.name}")
            old = f"{one.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC ({why})"
            yield Change(seen.key, self.name, one.name, old, None, (call,), gate=True)
            return
