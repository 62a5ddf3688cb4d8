"""Taking over: what is not as its spec says, or is not free any more, is left with the reason."""

from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.adopt.found import Selection
from state.memory import Phase
from state.store import Store
from tests.adoption import FILES, applied, configs, make, wrote
from tests.engine import AT, binding, lease
from tests.lab import Lab

NET = {"net0": "virtio,bridge=vmbr0,tag=100", "ipconfig0": "ip=203.0.113.7/24,gw=203.0.113.1"}
SPEC = "vms/adopted/single.yaml"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    made = Lab(tmp_path, FILES)
    make(made, 300, "one", **NET)
    return made


def reason(lab: Lab) -> str:
    (found,) = applied(lab, Selection(vmids=(300,))).vms
    return found.refused


def edit(lab: Lab, old: str, new: str) -> None:
    path = lab.fleet / SPEC
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_vm_is_bound_with_its_leases_its_spec_and_an_event(lab: Lab) -> None:
    wrote(lab)
    assert reason(lab) == ""
    with lab.store() as store:
        bound = store.bindings.of("one")
        assert bound is not None and bound.phase is Phase.READY and bound.template is None
        assert bound.uuid and bound.uuid in str(lab.world.vms[300].config["smbios1"])
        (held,) = store.leases.of("one")
        assert (held.address, held.gateway, held.pool) == (
            "203.0.113.7",
            "203.0.113.1",
            "public-v4",
        )
        assert store.applied.of("one") is not None
        assert [one.event for one in store.outbox.past("vm_adopted")] == ["vm_adopted"]
    (again,) = applied(lab, Selection(vmids=(300,))).vms
    assert (again.key, again.refused) == ("one", "is in the fleet already")


def test_without_a_spec_nothing_is_taken(lab: Lab) -> None:
    lab.write({"vms/x.yaml": "other: {state: absent}\n"})
    assert reason(lab) == "has no spec yet: --write one first"
    assert lab.wire.writes() == []


def test_a_vm_that_changed_since_is_left_with_the_difference(lab: Lab) -> None:
    wrote(lab)
    lab.ask("PUT", "/nodes/pve1/qemu/300/config", cores=4)
    assert "its spec is not as it is: cpu cores: 4 -> 2" in reason(lab)


def test_an_address_that_was_leased_meanwhile_is_told(lab: Lab) -> None:
    wrote(lab)
    with Store.open(lab.where, at=AT) as store:
        held = [lease("web", "203.0.113.7", pool="public-v4")]
        store.bindings.bind(binding("web", 999), held)
    assert "203.0.113.7 is leased to web" in reason(lab)


def test_a_key_that_is_bound_to_another_machine_is_told(lab: Lab) -> None:
    wrote(lab)
    with Store.open(lab.where, at=AT) as store:
        store.bindings.bind(binding("one", 999))
    assert "one" in reason(lab)
    assert lab.wire.writes() == []


def test_an_edit_is_told_until_it_is_lifted_by_handler(lab: Lab) -> None:
    """C-22: observe-only first."""
    wrote(lab)
    applied(lab)
    before = configs(lab)
    edit(lab, "cores: 2", "cores: 3\n    limit: 1.5")
    edit(lab, "memory: 2GiB", "memory: 3GiB")
    assert lab.run().writes == 0
    with lab.store() as store:
        conditions = {one.type: one.message for one in store.conditions.all()["one"]}
    assert "is not written: adopted" in conditions["ObserveOnly"]
    assert configs(lab) == before
    edit(lab, "drift: alert", "drift: {default: alert, cpu: enforce, memory: ignore}")
    lab.clock.sleep(60)
    lab.run()
    after = lab.world.vms[300].config
    assert (str(after["cpulimit"]), str(after["memory"])) == ("1.5", "2048")


def test_a_redo_and_a_guard_wait_until_it_is_lifted(lab: Lab) -> None:
    text = FILES["fleet.yaml"].replace(
        "storage: local-lvm,", "storage: local-lvm, guard: snapshot,"
    )
    lab.write({"fleet.yaml": text})
    wrote(lab)
    applied(lab)
    assert [str(one) for one in lab.wire.writes()] == ["PUT /nodes/pve1/qemu/300/config"]


def test_a_vm_that_is_gone_is_not_made_anew(lab: Lab) -> None:
    wrote(lab)
    applied(lab)
    lab.ask("DELETE", "/nodes/pve1/qemu/300")
    lab.clock.sleep(timedelta(minutes=10).total_seconds())
    lab.run()
    assert "which was adopted, is gone" in lab.told.words("one")
    assert 300 not in lab.world.vms


def test_prune_never_ends_one_that_was_not_lifted(lab: Lab) -> None:
    """A file that is lost is no wish to lose VMs that others made."""
    lab.write({"fleet.yaml": FILES["fleet.yaml"] + "prune: {grace: 1h}\nguard: {minimum: 0}\n"})
    lab.write({"vms/x.yaml": "other: {state: absent}\n"})
    wrote(lab)
    applied(lab)
    lab.run()
    (lab.fleet / SPEC).unlink()
    for _ in range(4):
        lab.clock.sleep(86400)
        lab.run()
    assert 300 in lab.world.vms
    with lab.store() as store:
        (condition,) = store.conditions.all()["one"]
    assert "never lifted" in condition.message


def test_before_it_is_taken_over_no_run_touches_or_makes_it(lab: Lab) -> None:
    wrote(lab)
    summary = lab.run()
    assert (summary.ready, summary.writes) == (1, 0)
    with lab.store() as store:
        assert store.bindings.all() == {}
        assert "NotAdopted" in {one.type for one in store.conditions.all()["one"]}
