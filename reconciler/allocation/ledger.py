"""What one look has promised so far: clones at work."""

from collections import Counter

from state.observed import ClusterView


def clones_at_work(view: ClusterView) -> Counter[str]:
    """Return running clone tasks by template vmid (a clone task's id is its source)."""
    return Counter(task.id for task in view.tasks if task.running and task.kind == "qmclone")
