"""What is new is welcomed before anything is made of it (DEP-25)."""

from datetime import datetime

from desired.source import Fleet
from reconciler.notices.events import ACCEPTED
from state.api import Json
from state.memory import Binding
from state.outbox import Event
from state.store import Store


def begin(fleet: Fleet, store: Store, at: datetime) -> None:
    """Where notices are sent for the first time they begin: of what was before nobody is told."""
    if fleet.notices.channels and not store.notices.since():
        store.notices.begin(at)


def accepted(fleet: Fleet, binding: Binding) -> Event | None:
    """The event of a VM that has a place now, to be written with its binding; nothing is made yet.

    None where no notices are sent: there nobody is to hear of it later.
    """
    if not fleet.notices.channels:
        return None
    assert binding.created_at is not None
    occurrence = f"{ACCEPTED}/{binding.key}/{binding.created_at.isoformat()}"
    detail: dict[str, Json] = {"vmid": binding.vmid, "cluster": binding.cluster}
    return Event(ACCEPTED, binding.key, binding.created_at, detail, occurrence)
