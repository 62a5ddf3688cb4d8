"""What one look has promised: RAM by node, clones at work."""

from desired.units import GIB
from reconciler.ledger import Ledger, clones_at_work
from tests.engine import node, task, view


def test_free_ram_is_what_the_node_shows_less_what_is_planned_there() -> None:
    ledger = Ledger.of(view(nodes=[node("a", free=4)]))
    ledger.place("a", GIB)
    ledger.place("elsewhere", GIB)
    assert ledger.ram == {"a": 3 * GIB, "elsewhere": -GIB}


def test_the_roomiest_of_equal_nodes_is_the_first_by_name() -> None:
    ledger = Ledger.of(view())
    assert ledger.roomiest(["pve3", "pve2"]) == "pve2"
    assert ledger.roomiest(["unknown", "pve3"]) == "pve3"


def test_only_running_clones_count_by_their_template() -> None:
    tasks = (task("qmclone", 9000), task("qmclone", 9000), task("qmclone", 9001, endtime=9))
    found = clones_at_work(view(tasks=(*tasks, task("qmstart", 9000))))
    assert found == {"9000": 2}
