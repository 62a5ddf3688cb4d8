"""The place that was chosen for a VM: why, and what is still open about it."""

from dataclasses import replace

from state.memory import Memory
from state.placing import Choice, Placing, Verdict
from state.store import Store
from tests.engine import AT, binding

CHOICE = Choice(
    "pve2",
    "the most free RAM",
    (Verdict("pve1", "clone", 0, 1, 8, ("too little RAM",)), Verdict("pve2", "migrate", 1, 2, 9)),
)
OPEN = Placing("pve1", "pve2", "local-lvm:tank", choice=CHOICE)


def placed(placing: Placing = OPEN) -> Store:
    store = Store.temporary(at=AT)
    store.bindings.bind(binding())
    store.placements.put("web-1", placing, AT)
    return store


def test_what_is_open_is_recalled_and_the_choice_is_not_carried_along() -> None:
    with placed() as store:
        kept = replace(OPEN, choice=None)
        assert store.memories()["web-1"].placing == kept
        assert store.memories(["web-1", "web-2"]) == {
            "web-1": Memory(binding(), placing=kept),
            "web-2": Memory(),
        }
        assert store.placements.choice("web-1") == (CHOICE, AT)
        assert store.placements.choice("web-2") is None


def test_nothing_is_open_about_a_vm_that_is_where_it_should_be() -> None:
    with placed() as store:
        store.placements.leave("web-1")
        assert store.memories()["web-1"].placing is None
        assert store.placements.choice("web-1") == (CHOICE, AT)


def test_a_problem_stays_open_until_it_is_solved() -> None:
    with placed() as store:
        store.placements.leave("web-1", "pve1", "pve2 is not online")
        assert store.memories()["web-1"].placing == Placing("pve1", problem="pve2 is not online")


def test_a_place_that_was_not_chosen_among_nodes_has_no_choice() -> None:
    with placed(Placing("pve1")) as store:
        assert store.placements.choice("web-1") is None
        assert store.memories()["web-1"].placing is None


def test_the_place_follows_the_machine_to_its_new_key_and_goes_with_it() -> None:
    with placed() as store:
        store.bindings.rename_key("web-1", "web-9")
        assert store.placements.choice("web-9") == (CHOICE, AT)
        store.bindings.forget("web-9", AT)
        assert store.placements.choice("web-9") is None
