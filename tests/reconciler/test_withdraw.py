"""A removed spec gives back what it was promised, once it is certain that no machine was made."""

from contextlib import suppress
from pathlib import Path

from reconciler.sim.faults import Fault
from state.memory import Hold
from state.store import Store
from tests.lab import Killed, Lab
from tests.laws.fleets import Spec, fleet_files

POOLED: Spec = {"nics": {"net0": {"ipv4": {"pool": "public-v4"}}}}
DAY = 86_400.0


def promised(folder: Path) -> Lab:
    """`two` is held before its clone: it has a vmid and an address, and nothing was sent."""
    lab = Lab(folder, fleet_files({"one": POOLED, "two": POOLED}))
    with Store.open(str(lab.database), at=lab.clock.now()) as store:
        store.holds.put(Hold("two", "not yet", lab.clock.now()))
    lab.run()
    lab.write(fleet_files({"one": POOLED}))
    return lab


def bound(lab: Lab) -> set[str]:
    with lab.store() as store:
        return set(store.bindings.all())


def test_what_was_promised_and_never_made_is_free_again(tmp_path: Path) -> None:
    """TERM-09 the other way round: there is no VM, so its address may go."""
    lab = promised(tmp_path)
    assert bound(lab) == {"one", "two"}
    lab.run()
    assert bound(lab) == {"one"}
    with lab.store() as store:
        assert store.leases.taken() == {lease.address for lease in store.leases.of("one")}
        assert store.bindings.forgotten() == set()


def test_a_clone_that_may_still_come_keeps_its_promise_for_a_day(tmp_path: Path) -> None:
    whole = Lab(tmp_path / "whole", fleet_files({"one": POOLED}))
    whole.run()
    clone = next(index for index, call in enumerate(whole.wire.of(1)) if call.is_write)
    lab = Lab(tmp_path / "killed", fleet_files({"one": POOLED}))
    with suppress(Killed):
        lab.run(before=clone)
    lab.write(fleet_files({"other": POOLED}))
    lab.run()
    assert "one" in bound(lab)
    lab.clock.sleep(DAY)
    lab.run()
    assert bound(lab) == {"other"}


def test_a_machine_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    lab = Lab(tmp_path, fleet_files({"one": POOLED, "two": POOLED}))
    lab.settle()
    lab.write(fleet_files({"one": POOLED}))
    lab.clock.sleep(2 * DAY)
    lab.run()
    assert bound(lab) == {"one", "two"}


def test_nothing_is_given_up_while_the_cluster_cannot_be_asked(tmp_path: Path) -> None:
    lab = promised(tmp_path)
    fault = Fault("error-before", path="/cluster/nextid", status=500, text="busy")
    lab.simulator.faults.add(fault)
    lab.run()
    assert bound(lab) == {"one", "two"}
