"""Which fields of a spec were edited, which edits touch many, and a spec without one of them."""

import json
from dataclasses import replace

from desired.spec import VMSpec
from reconciler.rollout.edits import Survey, edits_of, held_back, survey
from state.applied import AppliedSpec
from state.memory import Phase
from state.rollouts import Edit
from state.store import Store
from tests.engine import AT, UUID, binding, fleet, spec

BEFORE = spec(memory="1GiB", cpu={"cores": 1}, nics={"net0": {"bridge": "vmbr0"}})
MEMORY: Edit = (("memory",), '"2GiB"')
CORES: Edit = (("cpu", "cores"), "2")


def edited(**fields: object) -> VMSpec:
    plain = {"memory": "1GiB", "cpu": {"cores": 1}, "nics": {"net0": {"bridge": "vmbr0"}}}
    return spec("web-1", **{**plain, **fields})


def test_an_edit_is_the_path_of_a_field_and_its_new_value() -> None:
    assert edits_of(BEFORE.document(), BEFORE) == frozenset()
    after = edited(memory="2GiB", cpu={"cores": 2})
    assert edits_of(BEFORE.document(), after) == {MEMORY, CORES}


def test_a_part_that_comes_or_goes_is_one_edit() -> None:
    more = edited(nics={"net0": {"bridge": "vmbr0"}, "net1": {"bridge": "vmbr1"}})
    ((path, new),) = edits_of(BEFORE.document(), more)
    assert path == ("nics", "net1") and json.loads(new)["bridge"] == "vmbr1"
    assert edits_of(more.document(), BEFORE) == {(("nics", "net1"), "")}


def test_what_says_only_when_or_how_is_no_edit() -> None:
    assert (
        edits_of(BEFORE.document(), edited(restart="allow", drift="alert", clone="full")) == set()
    )


def test_a_document_of_another_version_tells_nothing_and_holds_nothing_back() -> None:
    assert edits_of('{"no": "spec"}', BEFORE) == frozenset()
    assert held_back('{"no": "spec"}', BEFORE, [MEMORY]) == BEFORE


def test_a_field_that_an_older_version_did_not_know_is_not_edited() -> None:
    old = json.loads(BEFORE.document())
    del old["rollout"], old["tpm"]
    assert edits_of(json.dumps(old), BEFORE) == frozenset()


def test_a_spec_without_an_edit_keeps_its_own_other_edits() -> None:
    after = edited(memory="2GiB", cpu={"cores": 2}, description="own")
    kept = held_back(BEFORE.document(), after, [MEMORY, CORES])
    assert kept == edited(description="own")


def test_parts_that_came_or_went_are_taken_back_whole() -> None:
    more = edited(nics={"net0": {"bridge": "vmbr0"}, "net1": {"bridge": "vmbr1"}}, vga="std")
    assert held_back(BEFORE.document(), more, edits_of(BEFORE.document(), more)) == BEFORE
    assert held_back(more.document(), BEFORE, edits_of(more.document(), BEFORE)) == more
    bare = spec()
    assert held_back(bare.document(), BEFORE, [CORES, (("nics", "net0", "bridge"), '"x"')]).cpu


def test_an_edit_that_cannot_be_taken_out_alone_takes_the_whole_spec_back() -> None:
    before = spec(node={"name": "pve1"}, description="old")
    after = spec(node={"among": ["pve1", "pve2"]}, description="new")
    kept = held_back(before.document(), after, [(("node", "name"), "null")])
    assert kept == before


def test_wide_is_what_touches_more_than_so_many_or_is_out_already() -> None:
    found = Survey({"a": frozenset({MEMORY}), "b": frozenset({MEMORY, CORES})})
    assert found.wide(1) == {MEMORY}
    assert found.wide(2) == frozenset()
    assert found.wide(2, {CORES}) == {CORES}
    assert found.wide(None, {CORES}) == frozenset()


def test_edits_that_share_a_vm_go_out_together() -> None:
    tags: Edit = (("tags",), "[]")
    found = Survey(
        {
            "a": frozenset({MEMORY}),
            "b": frozenset({CORES}),
            "c": frozenset({MEMORY, CORES}),
            "d": frozenset({tags}),
            "e": frozenset({(("pool",), '"x"')}),
        }
    )
    assert found.groups({MEMORY, CORES, tags}) == [
        (frozenset({MEMORY, CORES}), ("a", "b", "c")),
        (frozenset({tags}), ("d",)),
    ]


def test_only_settled_vms_that_may_wait_are_compared() -> None:
    after = {key: spec(key, memory="2GiB") for key in ("a", "b", "c", "d", "e")}
    after["c"] = spec("c", memory="2GiB", rollout="off")
    with Store.temporary(at=AT) as store:
        for vmid, key in enumerate("abcd", 101):
            phase = Phase.DEPLOY if key == "b" else Phase.READY
            store.bindings.bind(replace(binding(key, vmid, uuid=UUID), phase=phase))
            if key != "d":
                store.applied.put(AppliedSpec(key, spec(key, memory="1GiB").document(), AT))
        found = survey(fleet(*after.values()), store)
    assert found.edits == {"a": frozenset({MEMORY})}
