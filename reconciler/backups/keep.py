"""Which backups go, and whether what is there may stand for the VM (C-20)."""

from collections.abc import Iterable
from dataclasses import dataclass

from desired.spec import VMSpec
from handlers.handler import Subject, send_calls, vmid_of
from reconciler.backups.take import UNVERIFIED
from reconciler.backups.ward import Ward, is_off, kept
from state.change import Change, Note
from state.observed import SeenVM

FRESH, TWICE = "BackupFresh", "BackupTwice"


@dataclass(frozen=True, slots=True)
class Keep:
    """Removes the oldest backup beyond `keep`, once the newest is verified.

    `DELETE …/content/VOLID`; VM.Backup, Datastore.AllocateSpace. Protected ones, those of others
    and of a former machine of that vmid are not counted and not touched.
    """

    ward: Ward
    subject: Subject = Subject.VM
    after: tuple[str, ...] = ()
    blocking: bool = True
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    @property
    def name(self) -> str:
        return f"{self.ward.job}.keep"

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        keep = kept(spec)
        there = [one for one in self.ward.mine(seen) if not one.protected]
        if keep is None or len(there) <= keep:
            return
        by = spec.backup.verified_by if spec.backup else "server"
        oldest, newest = there[0], there[-1]
        if newest.is_verified(by):
            old = f"{oldest.at:%Y-%m-%d %H:%M} UTC"
            yield Change(seen.key, self.name, oldest.volume, old, None, (oldest.removal(),))
            return
        failed = "its server found it broken" if newest.verification == "failed" else "not verified"
        reason = f"{newest.volume}: {failed}; {oldest.volume} stays until a newer one is"
        yield Note(seen.key, self.name, "keep", reason, UNVERIFIED if self.ward.asks else None)


@dataclass(frozen=True, slots=True)
class Fresh:
    """Says how old the last verified backup is, and who else backs the VM up. Changes nothing."""

    ward: Ward
    subject: Subject = Subject.VM
    after: tuple[str, ...] = ()
    blocking: bool = False
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    @property
    def name(self) -> str:
        return f"{self.ward.job}.fresh"

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        plan = spec.backup
        if plan is None or is_off(spec) or not self.ward.asks:
            return
        if plan.days and self.ward.covered and vmid_of(seen) in self.ward.covered:
            reason = "a backup job of the cluster (Datacenter, Backup) takes it too"
            yield Note(seen.key, self.name, "covered", reason, TWICE)
        length = plan.stays_fresh
        if length is None:
            return
        good = [one for one in self.ward.mine(seen) if one.is_verified(plan.verified_by)]
        problem = self.ward.shelf.problem(plan.storage or "")
        if problem:
            reason, fresh = problem, False
        elif not good:
            reason, fresh = "there is no verified backup of it yet", False
        else:
            last = good[-1]
            reason = f"last verified backup {last.at:%Y-%m-%d %H:%M} UTC ({last.volume})"
            fresh = seen.at - last.at <= length
        yield Note(seen.key, self.name, "fresh", reason, FRESH if fresh else f"{FRESH}=False")
