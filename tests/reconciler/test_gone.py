"""A machine that was there and is gone comes back only when a person says so (design 4)."""

from pathlib import Path

import pytest

from reconciler.show.plan import render_plan
from reconciler.show.text import Paint
from reconciler.sim.faults import Fault
from state.memory import Phase
from tests.lab import Lab
from tests.laws.fleets import FLEET, POOLS

VMS = """\
web-1: {node: pve2, memory: 1GiB, nics: {net0: {ipv4: {pool: public-v4}}}}
web-2: {memory: 1GiB}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Two VMs that were deployed; somebody has destroyed the first."""
    lab = Lab(tmp_path, {"fleet.yaml": FLEET, "pools/all.yaml": POOLS, "vms/all.yaml": VMS})
    lab.settle()
    vmid = machine(lab)
    lab.ask("POST", f"/nodes/pve2/qemu/{vmid}/status/stop")
    lab.clock.sleep(30)
    lab.ask("DELETE", f"/nodes/pve2/qemu/{vmid}")
    lab.clock.sleep(30)
    return lab


def machine(lab: Lab, key: str = "web-1") -> int:
    with lab.store() as store:
        return store.bindings.all()[key].vmid


def clones(lab: Lab, run: int | None = None) -> int:
    return sum(one.path.endswith("/clone") for one in lab.wire.writes(run))


def test_a_machine_that_is_gone_is_not_made_anew_by_itself(lab: Lab) -> None:
    before = clones(lab)
    summary = lab.run()
    assert (summary.ready, summary.waiting, summary.failed) == (1, 1, 0)
    assert clones(lab) == before
    assert "needs approval" in lab.told.words("web-1")


def test_the_plan_shows_that_the_machine_would_be_made_in_place_of_one_that_is_gone(
    lab: Lab,
) -> None:
    dry = lab.dry()
    text = render_plan(dry, Paint())
    assert f"clone of debian-12 in place of vm {machine(lab)}, which is gone" in text
    assert f"needs approval: reconcile approve {dry.digest}" in text


def test_an_approved_machine_comes_back_with_its_id_and_address(lab: Lab) -> None:
    vmid, leased = machine(lab), lab.shot()["leases"]
    lab.run(approve=lab.dry().digest)
    lab.settle()
    after = lab.shot()
    assert (machine(lab), after["leases"]) == (vmid, leased)
    assert after["vms"][vmid]["status"] == "running"


def test_its_deploy_is_told_from_the_beginning(lab: Lab) -> None:
    lab.run(approve=lab.dry().digest)
    told = lab.told.steps("web-1")
    assert [told[0].before, told[-1].after] == ["creation", "ready"]
    assert len(told) == 15


def test_an_approval_lasts_until_it_is_used_and_lets_the_clone_try_again(lab: Lab) -> None:
    """The clone is refused once: what was approved is the machine, not one call."""
    lab.simulator.faults.add(Fault("error-before", method="POST", path="*/clone", text="no"))
    lab.run(approve=lab.dry().digest)
    with lab.store() as store:
        binding = store.bindings.all()["web-1"]
    assert (binding.uuid, binding.phase) == (None, Phase.DEPLOY)
    lab.clock.sleep(60)
    assert lab.settle().ready == 2


def test_an_approval_is_not_used_up_by_a_clone_that_waits_for_its_turn(tmp_path: Path) -> None:
    fleet = FLEET.replace("workers: 1", "workers: 1, clones_per_storage: 1")
    vms = "".join(f"m-{n}: {{node: pve1, memory: 1GiB}}\n" for n in (1, 2, 3))
    lab = Lab(tmp_path, {"fleet.yaml": fleet, "vms/all.yaml": vms})
    lab.settle()
    for n in (1, 2, 3):
        vmid = machine(lab, f"m-{n}")
        lab.ask("POST", f"/nodes/pve1/qemu/{vmid}/status/stop")
        lab.clock.sleep(30)
        lab.ask("DELETE", f"/nodes/pve1/qemu/{vmid}")
    lab.clock.sleep(30)
    lab.run(approve=lab.dry().digest)
    assert lab.settle(apart=400).ready == 3


def test_the_node_is_the_one_that_the_machine_is_seen_on(tmp_path: Path) -> None:
    """A person moved it: `status` tells where it is now."""
    lab = Lab(tmp_path, {"fleet.yaml": FLEET, "vms/all.yaml": "a: {node: pve1}\n"})
    lab.settle()
    lab.world.vms[machine(lab, "a")].node = "pve3"
    lab.clock.sleep(30)
    lab.run()
    with lab.store() as store:
        assert store.bindings.all()["a"].node == "pve3"
