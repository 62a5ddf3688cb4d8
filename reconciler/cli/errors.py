"""Errors that a person can mend, as words and an exit status; anything else is a defect of ours."""

from desired.errors import UnusableSource
from reconciler.approval import ApprovalRefused
from reconciler.cli.settings import EXIT_FAILED, EXIT_LOCKED
from reconciler.git import GitError
from reconciler.lock import LockHeld
from reconciler.options import BrokenSpecs
from reconciler.secrets import SecretError
from reconciler.sim.embedded import EmbeddedFailed
from reconciler.specs import RefusedSpecs
from state.api import ApiError
from state.database import StoreError
from state.lockrows import LockLost


def status_and_words(error: Exception) -> tuple[int, str] | None:
    """Return exit status and text of a known error, None of one that should show its traceback."""
    if isinstance(error, LockHeld):
        return EXIT_LOCKED, f"another run is at work: {error}"
    if isinstance(error, LockLost):
        return EXIT_LOCKED, str(error)
    if isinstance(error, UnusableSource):
        return EXIT_FAILED, f"{error}\nthe specs cannot be used; nothing was done"
    if isinstance(error, BrokenSpecs):
        return EXIT_FAILED, f"{error}\nwith --strict nothing is done while a spec is broken"
    if isinstance(error, ApprovalRefused | SecretError):
        return EXIT_FAILED, str(error)
    if isinstance(error, RefusedSpecs):
        return EXIT_FAILED, f"{error}\nnothing was stored"
    if isinstance(error, GitError):
        return EXIT_FAILED, f"git: {error}\nnothing was run"
    if isinstance(error, EmbeddedFailed):
        return EXIT_FAILED, f"the simulated cluster did not start: {error}"
    if isinstance(error, StoreError):
        return EXIT_FAILED, f"database: {error}"
    if isinstance(error, ApiError):
        return EXIT_FAILED, f"Proxmox: {error}"
    return None
