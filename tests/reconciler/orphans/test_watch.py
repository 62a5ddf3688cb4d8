"""Whose spec has gone, from when, and what keeps prune from taking it for a removal (design 4)."""

from dataclasses import replace
from pathlib import Path

import pytest

from state.memory import Phase
from state.store import Store
from tests.orphanage import HOUR, TINY, Orphanage


def missed(folder: Path, **rules: object) -> Orphanage:
    """VM `b` has lost its spec, and one run has seen that."""
    lab = Orphanage(folder, {"a": TINY, "b": TINY}, **rules)
    lab.settle()
    lab.specs({"a": TINY})
    lab.run()
    return lab


def test_two_runs_at_one_revision_and_the_grace_make_it_due(tmp_path: Path) -> None:
    lab = missed(tmp_path)
    first = lab.intents["b"]
    assert (first.looks, lab.orphans["b"].due) == (1, False)
    lab.clock.sleep(HOUR)
    lab.run()
    assert (lab.intents["b"].looks, lab.intents["b"].at) == (2, first.at)
    assert "prune destroys the VM from" in lab.orphans["b"].why
    lab.days()
    assert lab.orphans["b"].due


def test_the_grace_alone_is_not_enough(tmp_path: Path) -> None:
    """The second run that reads the same specs is the first that may destroy."""
    lab = missed(tmp_path)
    lab.specs({"a": {**TINY, "description": "another revision"}})
    lab.days()
    assert not lab.orphans["b"].due
    assert lab.orphans["b"].why.endswith("on, if 1 more run read the same specs")
    before = lab.intents["b"].at
    lab.run()
    assert (lab.intents["b"].looks, lab.intents["b"].at) == (1, before)
    assert lab.orphans["b"].due


def test_a_spec_that_comes_back_is_as_if_it_had_never_gone(tmp_path: Path) -> None:
    lab = missed(tmp_path)
    lab.specs({"a": TINY, "b": TINY})
    summary = lab.run()
    assert (lab.intents, summary.writes, summary.ready) == ({}, 0, 2)
    lab.days()
    lab.specs({"a": TINY})
    lab.run()
    assert lab.intents["b"].looks == 1


def test_nothing_is_pruned_unless_the_fleet_says_so(tmp_path: Path) -> None:
    lab = missed(tmp_path, prune="false")
    lab.days(400)
    lab.run()
    one = lab.orphans["b"]
    assert (one.due, one.due_at, one.why) == (False, None, "left as it is: `prune` is off")
    lab.name(prune="true")
    lab.run()
    lab.run()
    assert not lab.orphans["b"].due, "turning it on gives what is there the whole grace"
    lab.days()
    assert lab.orphans["b"].due


def test_a_short_grace_is_waited_for(tmp_path: Path) -> None:
    lab = missed(tmp_path, prune="{grace: 2h}")
    lab.run()
    assert not lab.orphans["b"].due
    lab.clock.sleep(2 * HOUR)
    assert lab.orphans["b"].due


ODD = {
    "a broken spec": lambda lab: lab.specs({"a": {"memory": "8"}}),
    "a broken file": lambda lab: lab.write({"vms/more.yaml": "x: ["}),
    "a broken package": lambda lab: lab.write({"packages/p.yaml": "p: ["}),
    "an empty folder": lambda lab: (lab.fleet / "vms" / "module").mkdir(),
    "another name": lambda lab: lab.name(name="other"),
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_reading_never_counts_and_resets_nothing(what: str, tmp_path: Path) -> None:
    """DEP-27, C-07."""
    lab = missed(tmp_path)
    before = lab.intents
    ODD[what](lab)
    lab.days()
    for _ in range(3):
        lab.run()
    assert lab.intents == before
    assert not any(one.due for one in lab.orphans.values())
    with lab.store() as store:
        phase = store.bindings.all()["b"].phase
    assert phase is Phase.READY


def test_an_odd_reading_says_what_is_odd(tmp_path: Path) -> None:
    lab = missed(tmp_path)
    ODD["an empty folder"](lab)
    assert "is something not mounted" in lab.orphans["b"].why
    (lab.fleet / "vms" / "module").rmdir()
    lab.name(name="other")
    assert "serves or served fleet law" in lab.orphans["b"].why


def test_a_fleet_that_names_every_vm_may_have_a_new_name(tmp_path: Path) -> None:
    lab = missed(tmp_path)
    lab.specs({"a": TINY, "b": TINY})
    lab.name(name="other")
    lab.run()
    lab.specs({"a": TINY})
    lab.run()
    assert lab.intents["b"].looks == 1


def test_two_fleets_on_one_store_prune_nothing_of_each_other(tmp_path: Path) -> None:
    """A VM whose spec moves to another fleet of the same store is not removed."""
    lab = missed(tmp_path)
    mine = lab.fleet
    lab.fleet = tmp_path / "theirs"
    lab.name(name="theirs")
    lab.specs({"b": TINY})
    lab.run()
    lab.fleet = mine
    lab.name(name="law")
    lab.days()
    for _ in range(3):
        lab.run()
    assert not any(one.due for one in lab.orphans.values())


def test_an_unreadable_or_empty_source_counts_for_nothing(tmp_path: Path) -> None:
    lab = missed(tmp_path)
    before = lab.intents
    lab.specs({})
    with pytest.raises(Exception, match="expected at least one VM"):
        lab.run()
    assert lab.intents == before


def test_a_rename_is_no_removal(tmp_path: Path) -> None:
    lab = missed(tmp_path)
    lab.specs({"a": TINY, "c": {**TINY, "was": "b"}})
    lab.days()
    assert lab.orphans == {}
    lab.settle()
    assert (lab.ours, lab.intents) == ({"a", "c"}, {})


def test_a_key_that_some_was_names_is_kept_while_it_does(tmp_path: Path) -> None:
    """Both are machines, so nothing is carried over: a person has to look."""
    lab = missed(tmp_path)
    lab.specs({"a": {**TINY, "was": "b"}})
    lab.days()
    lab.run()
    lab.run()
    one = lab.orphans["b"]
    assert (one.due, one.ticks) == (False, 1)
    assert "a says `was: b`, but has a VM" in one.why


def test_a_move_to_another_file_is_no_removal(tmp_path: Path) -> None:
    lab = missed(tmp_path)
    lab.specs({"b": TINY}, "more/of/them")
    lab.run()
    assert (lab.orphans, lab.intents) == ({}, {})


def test_a_move_between_files_and_the_database_is_no_removal(tmp_path: Path) -> None:
    lab = missed(tmp_path, sources="files, database")
    lab.edit(b=TINY)
    lab.run()
    assert (lab.orphans, lab.intents) == ({}, {})
    lab.specs({"a": TINY, "b": TINY})
    lab.edit(b=None, z=TINY)
    lab.run()
    assert (lab.orphans, lab.intents) == ({}, {})


@pytest.mark.parametrize(("left_out", "sources"), [("b", "files"), ("a", "database")])
def test_what_a_source_left_out_still_names_is_not_removed(
    left_out: str, sources: str, tmp_path: Path
) -> None:
    lab = Orphanage(tmp_path, {"a": TINY}, sources="files, database")
    lab.edit(b=TINY)
    lab.settle()
    lab.name(sources=sources)
    lab.run()
    lab.days()
    lab.run()
    assert lab.intents == {}
    assert "which `sources:` leaves out" in lab.orphans[left_out].why


def test_a_lowered_count_orphans_the_highest(tmp_path: Path) -> None:
    lab = Orphanage(tmp_path, {"a": {**TINY, "count": 3}})
    lab.settle()
    lab.specs({"a": {**TINY, "count": 2}})
    lab.run()
    assert list(lab.orphans) == ["a/3"]


def test_an_item_taken_out_of_for_each_is_orphaned(tmp_path: Path) -> None:
    lab = Orphanage(tmp_path, {"a": {**TINY, "for_each": ["x", "y"]}})
    lab.settle()
    lab.specs({"a": {**TINY, "for_each": ["y"]}})
    lab.run()
    assert list(lab.orphans) == ["a/x"]


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        (Phase.ERROR_TERMINATE, "error_terminate: left alone until a person has looked"),
        (Phase.ABANDONED, "abandoned: left alone until a person has looked"),
    ],
)
def test_a_vm_that_waits_for_a_person_is_never_due(
    phase: Phase, words: str, tmp_path: Path
) -> None:
    lab = missed(tmp_path)
    change(lab, phase=phase)
    lab.days()
    lab.run()
    assert lab.orphans["b"].why == f"left as it is: {words}"


def test_a_key_without_a_machine_or_a_cluster_is_never_due(tmp_path: Path) -> None:
    lab = missed(tmp_path)
    change(lab, uuid=None)
    assert "no machine was seen" in lab.orphans["b"].why
    change(lab, uuid="x", cluster="gone")
    assert lab.orphans["b"].why == "left as it is: cluster gone is not in fleet.yaml"


def test_what_was_removed_is_no_orphan(tmp_path: Path) -> None:
    lab = missed(tmp_path)
    change(lab, phase=Phase.REMOVED)
    assert lab.orphans == {}


def change(lab: Orphanage, **fields: object) -> None:
    with Store.open(lab.where, at=lab.at) as store:
        binding = store.bindings.all()["b"]
        store.bindings.change(replace(binding, **fields))  # type: ignore[arg-type]
