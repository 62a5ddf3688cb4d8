"""Approving a plan: what one saw and nothing else, for a while, each change once."""

from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.approval import ApprovalRefused, grant
from reconciler.config import Opened, open_live
from reconciler.glance import look_once
from reconciler.plan import VMPlan, approval_digest, approval_hashes
from reconciler.prepare import Stage, turns_of
from state.memory import Memory
from state.store import Store
from tests.engine import AT, UUID, binding, change, fleet, seen
from tests.lab import Lab, LabOpened
from tests.laws.fleets import Spec, fleet_files

LATER = AT + timedelta(hours=1)


def plan_of(*fields: str) -> VMPlan:
    asks = tuple(change("disks", field, approval=True) for field in fields)
    return VMPlan(seen(memory=Memory(binding(uuid=UUID))), (change("cpu"), *asks))


@pytest.fixture
def opened() -> Opened:
    return Opened(fleet(), Store.temporary(at=AT), Path("x.db"), preview=False)


def digest(opened: Opened, plan: VMPlan) -> str:
    return approval_digest([plan], opened.store.vault.key)


def test_the_digest_one_saw_grants_its_changes(opened: Opened) -> None:
    plan = plan_of("scsi1", "scsi2")
    assert grant(opened, [plan], digest(opened, plan), LATER, "ann", AT) == 2
    expected = set(approval_hashes([plan], opened.store.vault.key))
    assert opened.store.approvals.open_changes(AT) == expected
    assert opened.store.approvals.open_changes(LATER) == set()
    granted = opened.store.approvals.granted(digest(opened, plan), AT)
    assert granted is not None
    assert (granted.by, granted.until) == ("ann", LATER)


@pytest.mark.parametrize(
    ("now", "words"), [(("scsi1", "scsi2"), "it is "), ((), "nothing needs approval now")]
)
def test_a_plan_that_is_another_now_is_refused(
    opened: Opened, now: tuple[str, ...], words: str
) -> None:
    saw = digest(opened, plan_of("scsi1"))
    with pytest.raises(ApprovalRefused) as refused:
        grant(opened, [plan_of(*now)], saw, LATER, "ann", AT)
    assert words in str(refused.value)
    assert "reconcile --once --dry-run" in str(refused.value)
    assert opened.store.approvals.open_changes(AT) == set()


ONE: Spec = {"node": "pve1", "memory": "1GiB"}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Two VMs that were destroyed by hand: to make them anew needs approval."""
    lab = Lab(tmp_path, fleet_files({"a": ONE, "b": ONE}))
    lab.settle()
    for vmid in (100, 101):
        lab.ask("POST", f"/nodes/pve1/qemu/{vmid}/status/stop")
        lab.clock.sleep(30)
        lab.ask("DELETE", f"/nodes/pve1/qemu/{vmid}")
    lab.clock.sleep(60)
    return lab


def test_a_dry_run_changes_no_digest_and_uses_nothing_up(lab: Lab) -> None:
    first = lab.dry()
    assert first.digest
    assert lab.dry().digest == first.digest
    assert lab.run(approve=first.digest).ready == 2


def test_a_digest_does_not_change_with_time(lab: Lab) -> None:
    before = lab.dry().digest
    lab.clock.sleep(86400)
    assert lab.dry().digest == before


def test_a_granted_plan_may_shrink(lab: Lab) -> None:
    """One of them is no longer wanted; the other passes."""
    saw = lab.dry().digest
    lab.write(fleet_files({"b": ONE}))
    with pytest.raises(ApprovalRefused):
        lab.run(approve=saw)
    lab.write(fleet_files({"a": ONE, "b": ONE}))
    with open_live(lab.fleet, str(lab.database), lab.clock.now()) as found:
        plans = _plans(lab, found)
        grant(found, plans, saw, lab.clock.now() + timedelta(hours=1), "ann", lab.clock.now())
    lab.write(fleet_files({"b": ONE}))
    assert lab.run().ready == 1


def _plans(lab: Lab, found: Opened) -> list[VMPlan]:
    """Plan as `reconcile approve` does, on the lab's cluster."""
    ours = LabOpened(found.fleet, found.store, found.database, preview=False, stack=found.stack)
    ours.lab = lab
    turns = turns_of(ours.fleet, ())
    stage = Stage(ours, lab.told, lab.clock, dry=True)
    sites = stage.sites((turn.spec for turn in turns.values()), None)
    until = lab.clock.now() + timedelta(minutes=5)
    return look_once(ours, sites, turns, lab.clock, until).plans()
