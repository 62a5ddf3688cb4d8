"""What one look has promised: RAM by node, clones at work."""

from desired.units import GIB
from reconciler.allocation.ledger import Ledger, clones_at_work
from tests.engine import binding, node, task, view, vm


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


def test_a_clone_counts_where_it_goes_until_it_runs() -> None:
    """The nodes' figures do not show it yet, and the next VM must not be put on top of it."""
    rows = [vm(101, "pve1", lock="clone"), vm(102, maxmem=GIB), vm(103, status="running")]
    world = view(rows)
    ledger = Ledger.of(world)
    ledger.expect(world, binding("a", 101, node="pve2"), 2 * GIB)
    ledger.expect(world, binding("b", 102), 0)
    ledger.expect(world, binding("c", 103), 2 * GIB)
    ledger.expect(world, binding("d", 104, node="pve3"), 2 * GIB)
    assert ledger.ram == {"pve1": 7 * GIB, "pve2": 6 * GIB, "pve3": 8 * GIB}
