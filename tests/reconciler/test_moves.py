"""At most so many migrations leave a node or come to it at once."""

from reconciler.moves import Moves
from tests.engine import change, seen, task, view


def test_a_node_takes_part_in_one_migration_at_a_time() -> None:
    moves = Moves()
    assert moves.withhold(seen("a"), change("migration", "node", new="pve2")) is None
    waits = moves.withhold(seen("b"), change("placement", "node", new="pve3"))
    assert waits is not None
    assert (waits.condition, waits.blocking) == (None, True)
    assert waits.reason == "waits: another VM is being migrated from or to pve1"


def test_more_may_be_allowed() -> None:
    moves = Moves(2)
    found = [moves.withhold(seen(key), change("migration", "node", new="pve2")) for key in "abc"]
    assert [one is None for one in found] == [True, True, False]


def test_other_changes_wait_for_no_migration() -> None:
    moves = Moves(1)
    moves.at_work.update(["pve1"])
    assert moves.withhold(seen(), change("memory", new="pve2")) is None


def test_tasks_that_run_count_on_both_nodes() -> None:
    tasks = (
        task("qmigrate", 101),
        task("qmigrate", 102, endtime=9),
        task("qmclone", 9000),
        task("qmigrate", 103),
    )
    moves = Moves.of(view(tasks=tasks), {101: "pve3", 102: "pve2"}, 1)
    assert moves.at_work == {"pve1": 2, "pve3": 1}
