"""How many migrations are at work on each node, and which more must wait."""

from collections import Counter
from dataclasses import dataclass, field

from state.change import Change, Note
from state.observed import ClusterView, SeenVM

MOVING = ("placement", "migration", "move")
"""The handlers that migrate VMs."""


@dataclass(slots=True)
class Moves:
    """The migrations of one cluster by node, whether they leave it or come to it."""

    limit: int = 1
    at_work: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, view: ClusterView, targets: dict[int, str], limit: int) -> "Moves":
        """Count the tasks that run; `targets` says of our VMs by vmid where each is to go."""
        found = cls(limit)
        for task in view.tasks:
            if task.running and task.kind == "qmigrate":
                found.at_work.update({task.node, targets.get(int(task.id or 0), "")} - {""})
        return found

    def withhold(self, seen: SeenVM, change: Change) -> Note | None:
        """Return why a migration must wait; one that need not is counted."""
        if change.handler not in MOVING:
            return None
        nodes = {seen.node, str(change.new)}
        busy = sorted(node for node in nodes if self.at_work[node] >= self.limit)
        if busy:
            reason = f"waits: another VM is being migrated from or to {busy[0]}"
            return Note(seen.key, change.handler, change.field, reason, None, blocking=True)
        self.at_work.update(nodes)
        return None
