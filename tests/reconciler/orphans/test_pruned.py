"""Pruned VMs meet their end, under the thresholds and approvals of design 4."""

from pathlib import Path

import pytest

from handlers.marker import read_marker
from reconciler.effective import TERMINATE
from reconciler.show.plan import plan_json, render_plan
from reconciler.show.text import Paint
from state.change import Call
from state.memory import Intent
from state.store import Store
from tests.lab import Killed
from tests.orphanage import HOUR, TINY, Orphanage


def orphaned(folder: Path, left: int = 1, gone: int = 1, **rules: object) -> Orphanage:
    """VMs `a0`, `a1` … keep their specs, `z0`, `z1` … have lost theirs and are due."""
    kept = {f"a{number}": TINY for number in range(left)}
    lost = {f"z{number}": TINY for number in range(gone)}
    lab = Orphanage(folder, {**kept, **lost}, **rules)
    lab.run()
    lab.specs(kept)
    lab.run()
    lab.days()
    return lab


def runs(lab: Orphanage, number: int = 3, apart: float = 300.0) -> None:
    for _ in range(number):
        lab.run()
        lab.clock.sleep(apart)


def text(lab: Orphanage, **options: object) -> str:
    return render_plan(lab.dry(**options), Paint())


def test_a_pruned_vm_is_destroyed_and_what_it_had_is_free(tmp_path: Path) -> None:
    lab = orphaned(tmp_path)
    runs(lab)
    assert (lab.ours, lab.machines) == ({"a0"}, {100})
    assert lab.intents == {}
    summary = lab.run()
    assert (summary.writes, summary.failed) == (0, 0)


def test_a_dry_run_shows_what_would_be_pruned_and_what_will_be(tmp_path: Path) -> None:
    lab = orphaned(tmp_path, gone=2)
    lab.specs({"a0": TINY, "z1": TINY})
    lab.run()
    lab.specs({"a0": TINY})
    lab.run()
    shown = text(lab)
    assert "- z0 " in shown and "DESTROY" in shown and "scsi0" in shown
    assert "= z1 " in shown and "prune destroys the VM from" in shown
    assert "; its spec is gone since " in shown and "1 to destroy (pruned)" in shown
    told = plan_json(lab.dry())
    assert told["plan"]["destroy"] == 1  # type: ignore[index, call-overload]
    lab.specs({"a0": {**TINY, "state": "absent"}, "z1": TINY})
    lab.run(only=("z1",))
    assert "2 to destroy (1 state: absent, 1 pruned)" in text(lab)
    assert lab.machines == {100, 101, 102}


def test_in_a_small_fleet_nothing_is_done_without_approval(tmp_path: Path) -> None:
    """The guest is not even stopped."""
    lab = orphaned(tmp_path, minimum=10)
    runs(lab)
    assert lab.world.vms[101].running
    with lab.store() as store:
        found = {one.type: one for one in store.conditions.all()["z0"]}
    assert {"ApprovalNeeded", "Unmanaged"} <= found.keys()
    assert "fewer than 10 VMs" in found["ApprovalNeeded"].message
    digest = lab.dry().digest
    lab.run(approve=digest, by="ann")
    runs(lab)
    assert lab.machines == {100}


def test_more_than_the_share_waits_also_over_many_runs(tmp_path: Path) -> None:
    lab = orphaned(tmp_path, left=4, gone=4, destroys="30%")
    runs(lab, 4, apart=HOUR)
    assert len(lab.machines) == 7, "30 % of 4 VMs in 24 h"
    lab.days()
    runs(lab, 3)
    assert len(lab.machines) == 6


def test_what_bears_another_fleets_marker_by_now_is_left_alone(tmp_path: Path) -> None:
    """It was moved to a fleet with a store of its own."""
    lab = orphaned(tmp_path)
    config = lab.world.vms[101].config
    mark = read_marker(str(config["description"]))
    assert mark is not None
    for old, new in (("fleet=law", "fleet=other"), (mark.store, "0123abcd")):
        before = str(config["description"])
        moved = before.replace(old, new)
        lab.ask("PUT", f"/nodes/{lab.world.vms[101].node}/qemu/101/config", description=moved)
        runs(lab, 3)
        assert lab.world.vms[101].running
        with lab.store() as store:
            types = {one.type for one in store.conditions.all()["z0"]}
        assert {"IdentityMismatch", "Unmanaged"} <= types
        lab.ask("PUT", f"/nodes/{lab.world.vms[101].node}/qemu/101/config", description=before)


def test_a_protected_vm_needs_approval(tmp_path: Path) -> None:
    lab = orphaned(tmp_path)
    node = lab.world.vms[101].node
    lab.ask("PUT", f"/nodes/{node}/qemu/101/config", protection=1)
    runs(lab)
    assert lab.world.vms[101].running


def test_whose_end_a_person_asked_for_is_ended_whatever_became_of_its_spec(tmp_path: Path) -> None:
    """By name: neither the grace nor a small fleet keeps it."""
    lab = Orphanage(tmp_path, {"a0": TINY, "z0": TINY}, prune="false", minimum=10)
    lab.run()
    with Store.open(lab.where, at=lab.at) as store:
        store.intents.put(Intent("z0", TERMINATE, lab.at))
    lab.specs({"a0": TINY})
    assert lab.orphans["z0"].told.endswith("gone; a person asked for its end before that")
    runs(lab)
    assert (lab.ours, lab.machines) == ({"a0"}, {100})


def test_the_ends_of_many_are_no_rollout(tmp_path: Path) -> None:
    """What holds them back is the threshold, not a batch."""
    lab = orphaned(tmp_path, left=3, gone=2, rollout="{over: 1}")
    runs(lab)
    assert lab.machines == {100, 101, 102}


def test_a_held_vm_waits(tmp_path: Path) -> None:
    lab = orphaned(tmp_path)
    node = lab.world.vms[101].node
    lab.ask("PUT", f"/nodes/{node}/qemu/101/config", tags="reconcile-law;hold")
    runs(lab)
    assert lab.world.vms[101].running


@pytest.mark.parametrize(("method", "word"), [("POST", "shutdown"), ("DELETE", "qemu/101")])
def test_a_spec_that_is_back_before_the_end_keeps_its_vm(
    method: str, word: str, tmp_path: Path
) -> None:
    """As it was: the same machine under the same id, running, although its end had begun."""
    lab = orphaned(tmp_path)
    uuid = lab.world.vms[101].config["smbios1"]

    def killed(call: Call) -> bool:
        if call.method == method and word in call.path:
            raise Killed(call.path)
        return False

    lab.wire.meanwhile = killed
    with pytest.raises(Killed):
        lab.run()
    lab.wire.meanwhile = None
    lab.specs({"a0": TINY, "z0": TINY})
    lab.run()
    assert (lab.world.vms[101].config["smbios1"], lab.world.vms[101].running) == (uuid, True)
    assert (lab.ours, lab.intents) == ({"a0", "z0"}, {})
