"""What people ask of a VM by a word is done once, whoever asks it, and what came of it stands."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from desired.spec import VMSpec
from reconciler.sim.faults import Fault
from reconciler.verbs.asking import Refused, refusal
from state.api import Json
from state.memory import Binding, Intent, Memory, Phase
from state.verbs import Wish
from tests.lab import Lab
from tests.laws.fleets import Spec
from tests.laws.test_restart import deployed, edit
from tests.verbs import asked, open_verbs, opened, phase, results

PLAIN: Spec = {"memory": "1GiB"}


def snapshots(lab: Lab) -> list[str]:
    return sorted(lab.world.vms[100].snapshots)


def writes(lab: Lab, ending: str) -> int:
    return sum(one.path.endswith(ending) and not one.error for one in lab.wire.writes())


def test_a_snapshot_is_taken_once_and_called_by_its_token(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    asked(lab, "snapshot", "before-upgrade")
    lab.settle()
    assert snapshots(lab) == ["before-upgrade"]
    assert results(lab) == {"snapshot before-upgrade": "done"}
    assert asked(lab, "snapshot", "before-upgrade").startswith("was asked by this token before")
    lab.settle()
    assert writes(lab, "/snapshot") == 1


def test_a_rollback_puts_the_config_back_and_the_spec_is_made_good_again(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**PLAIN, "drift": "alert"})
    asked(lab, "snapshot", "gold")
    lab.settle()
    edit(lab, {"memory": "1GiB", "tags": ["later"]})
    lab.settle()
    asked(lab, "rollback", "t2", name="gold")
    lab.settle()
    assert lab.world.vms[100].status == "running"
    assert "later" in str(lab.world.vms[100].config["tags"])
    assert writes(lab, "/rollback") == 1
    assert results(lab)["rollback t2"] == "done"


def test_the_stop_of_a_rollback_is_nobodys_drift(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    asked(lab, "snapshot", "gold")
    lab.settle()
    asked(lab, "rollback", "t2", name="gold")
    lab.settle()
    assert lab.world.vms[100].status == "running"
    with lab.store() as store:
        assert store.outbox.past("drift") == ()


def test_a_snapshot_that_is_not_there_is_not_rolled_back_to(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    asked(lab, "rollback", name="gold")
    lab.run()
    assert results(lab) == {"rollback t1": "refused"}
    assert lab.world.vms[100].status == "running"
    assert open_verbs(lab) == []


def test_a_snapshot_is_removed_by_its_name(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    asked(lab, "snapshot", "gold")
    lab.settle()
    asked(lab, "delete-snapshot", "t2", name="gold")
    lab.settle()
    assert snapshots(lab) == []
    asked(lab, "delete-snapshot", "t3", name="gold")
    lab.settle()
    assert results(lab)["delete-snapshot t3"] == "done"


def test_task_10_the_quota_of_snapshots_is_kept(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**PLAIN, "quota": {"snapshots": 1}})
    for token in ("one", "two"):
        asked(lab, "snapshot", token)
        lab.run()
        lab.clock.sleep(30.0)
    assert snapshots(lab) == ["one"]
    assert results(lab) == {"snapshot one": "done", "snapshot two": "refused"}


def test_what_fails_three_times_is_over_and_told(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    lab.simulator.faults.add(Fault("task-fail", task="qmsnapshot", times=None, text="no space"))
    asked(lab, "snapshot", "gold")
    lab.settle(runs=30, apart=300.0)
    assert results(lab) == {"snapshot gold": "failed"}
    with lab.store() as store:
        assert "no space" in store.verbs.of("a")[0].message
        assert [one.event for one in store.outbox.past("verb_failed")] == ["verb_failed"]


def test_a_vm_is_moved_to_a_node_and_to_a_storage(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    node = "pve2" if lab.world.vms[100].node != "pve2" else "pve3"
    asked(lab, "move", node=node)
    lab.settle()
    assert lab.world.vms[100].node == node
    asked(lab, "move", "t2", storage="shared")
    lab.settle()
    assert str(lab.world.vms[100].config["scsi0"]).startswith("shared:")
    assert results(lab) == {"move t1": "done", "move t2": "done"}


def test_a_spec_asks_once_for_every_token(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**PLAIN, "do": {"snapshot": "one"}})
    lab.settle()
    edit(lab, {**PLAIN, "do": {"snapshot": {"token": "t2", "name": "two"}}})
    lab.settle()
    assert snapshots(lab) == ["one", "two"]
    with lab.store() as store:
        assert {row.by for row in store.verbs.of("a")} == {"spec"}


def written(lab: Lab, verb: str, detail: str) -> None:
    """Write a row of the intents, as another program would."""
    with opened(lab) as (store, at):
        store.intents.put(Intent("a", f"do.{verb}", at, 0, detail))


def test_another_program_asks_by_a_row(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    written(lab, "suspend", '{"by": "billing", "token": "invoice-7"}')
    lab.settle()
    assert (lab.world.vms[100].status, phase(lab)) == ("stopped", Phase.SUSPENDED)
    with lab.store() as store:
        row = store.verbs.of("a")[0]
        assert (row.by, row.token, row.result) == ("billing", "invoice-7", "done")
    lab.clock.sleep(5.0)
    written(lab, "resume", '{"by": "billing", "token": "invoice-8"}')
    lab.settle()
    assert (lab.world.vms[100].status, phase(lab)) == ("running", Phase.READY)


def test_an_odd_row_is_a_condition_and_breaks_nothing(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    written(lab, "suspend", "please")
    lab.settle()
    assert lab.world.vms[100].status == "running"
    with lab.store() as store:
        found = {one.type: one.message for one in store.conditions.all()["a"]}
    assert found["VerbUnclear"].startswith("do.suspend: its detail is no JSON")


def test_a_row_whose_token_was_used_does_nothing_again(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    for _ in range(2):
        written(lab, "snapshot", '{"token": "gold"}')
        lab.settle()
    assert writes(lab, "/snapshot") == 1
    assert open_verbs(lab) == []


def test_a_row_that_may_not_be_asked_is_refused(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**PLAIN, "quota": {"snapshots": 0}})
    written(lab, "snapshot", '{"token": "gold"}')
    lab.settle()
    assert results(lab) == {"snapshot gold": "refused"}


@pytest.mark.parametrize(
    ("verb", "params", "why"),
    [
        ("rollback", {}, "no snapshot is named"),
        ("move", {}, "expected either a node or a storage"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    tmp_path: Path, verb: str, params: dict[str, Json], why: str
) -> None:
    lab = deployed(tmp_path, PLAIN)
    with pytest.raises(Refused, match=why):
        asked(lab, verb, **params)


def test_what_is_under_way_is_not_asked_twice(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    asked(lab, "snapshot", "one")
    with pytest.raises(Refused, match="ann@desk asked for one at"):
        asked(lab, "snapshot", "two")


@pytest.mark.parametrize("verb", ["reinstall", "redeploy"])
def test_a_machine_that_no_template_replaces_is_not_destroyed(verb: str) -> None:
    """C-19: it is checked before anything is touched."""
    memory = Memory(binding=Binding("a", "demo", 100, "a", phase=Phase.READY))
    wish = Wish("a", verb, "t1", "ann@desk", datetime(2026, 3, 1, tzinfo=UTC), {})
    bare = VMSpec(key="a", cluster="demo", name="a", adopt=100)
    assert refusal(bare, memory, wish).startswith("its spec names no template")
    again = refusal(bare.model_copy(update={"template": "debian-12"}), memory, wish)
    assert again.startswith("its spec adopts vm 100" if verb == "redeploy" else "")
    assert bool(again) == (verb == "redeploy")
