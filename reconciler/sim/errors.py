"""What a call or a task of the cluster can end with instead of a result.

Refusal     an HTTP error answer in Proxmox's words
TaskFailed  a task's end; its text is the exitstatus
Blocked     the call waits for a lock that somebody else holds
Dropped     a fault hook cut the connection (never raised by the cluster model itself)
"""

from __future__ import annotations

from collections.abc import Mapping

NOT_ALLOWED = "Permission check failed"


class Refusal(Exception):
    """An error answer: HTTP status, text (its first line is the reason phrase), `errors` by key."""

    def __init__(self, status: int, reason: str, errors: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.errors = dict(errors) if errors else None


class TaskFailed(Exception):
    """Ends the running task; the text becomes its exitstatus and its `TASK ERROR:` line."""


class Blocked(Exception):
    """The call waits for a lock; `until` is the world time (epoch seconds) at which to look again.

    A waiter gives up after 10 s of the cluster's time with `text` (500, or the task's exitstatus).
    """

    def __init__(self, until: float, text: str) -> None:
        super().__init__(text)
        self.until = until
        self.text = text


class Dropped(Exception):
    """The connection ends without an answer; the call had its effect only if `done`."""

    def __init__(self, done: bool) -> None:
        super().__init__("connection dropped " + ("after" if done else "before") + " the effect")
        self.done = done


def bad_parameters(errors: Mapping[str, str]) -> Refusal:
    """400 with one text per parameter, as PVE::JSONSchema::validate raises it."""
    return Refusal(400, "Parameter verification failed.\n", errors)


def failed(text: str) -> Refusal:
    """500: nearly every semantic refusal. The text ends with a newline, as Perl's die does."""
    return Refusal(500, text if text.endswith("\n") else text + "\n")


def forbidden(what: str = "") -> Refusal:
    """403 `Permission check failed (what)`."""
    return Refusal(403, f"{NOT_ALLOWED} ({what})\n" if what else f"{NOT_ALLOWED}\n")


def unauthorized(text: str) -> Refusal:
    """401; the HTTP layer delays it by 3 s and sends no body."""
    return Refusal(401, text)


def unknown_method(method: str, path: str) -> Refusal:
    """501 for a path or method that no route has."""
    return Refusal(501, f"Method '{method} {path}' not implemented")


def lock_timeout(vmid: int | str, until: float) -> Blocked:
    """The VM's flock is taken until `until` (world time)."""
    return Blocked(until, f"can't lock file '/var/lock/qemu-server/lock-{vmid}.conf' - got timeout")
