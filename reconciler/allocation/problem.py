"""What allocation says when nothing can be done for a VM until a person mends something."""

from desired.spec import VMSpec
from state.change import Note


def problem(spec: VMSpec, field: str, condition: str, reason: str) -> Note:
    """A blocking note of allocation."""
    return Note(spec.key, "allocate", field, reason, condition, blocking=True)
