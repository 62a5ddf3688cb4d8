"""What one look counts: clones at work."""

from reconciler.allocation.ledger import clones_at_work
from tests.engine import task, view


def test_only_running_clones_count_by_their_template() -> None:
    tasks = (task("qmclone", 9000), task("qmclone", 9000), task("qmclone", 9001, endtime=9))
    found = clones_at_work(view(tasks=(*tasks, task("qmstart", 9000))))
    assert found == {"9000": 2}
