"""The locks of a store: one for `process_vms`, one for each other loop (LOCK-01)."""

from reconciler.latch import Lock, LockHeld, RunnerLock, SessionLock
from state.place import Place

__all__ = ["Lock", "LockHeld", "RunnerLock", "SessionLock", "loop_lock", "runner_lock"]


def runner_lock(place: Place) -> Lock:
    """The lock of a store's runner: beside the file, or in the server's database."""
    if place.file is None:
        return SessionLock(place)
    return RunnerLock(place.file.with_name(f"{place.file.name}.lock"))


def loop_lock(place: Place, name: str) -> Lock:
    """The lock of one loop, beside the runner's: each loop has its own (LOCK-01)."""
    if place.file is None:
        return SessionLock(place, f"loop/{name}")
    return RunnerLock(place.file.with_name(f"{place.file.name}.{name}.lock"))
