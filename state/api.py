"""The Proxmox API as the rest of the house sees it, and its one tree of errors.

ApiError                  anything the API or the way to it refused; carries Proxmox's own text
├── NotFound              the object is not there, or moved to another node
├── Locked                `VM is locked (backup)`, or `can't lock file … got timeout`
├── Stale                 the digest is old: somebody wrote in between; look again
├── Refused               a parameter was refused (400); `keys` maps key -> text; nothing applied
├── PartlyApplied         a hot-plug failed (400); `keys` maps key -> text; it stays pending
├── Forbidden             a right is missing (403), or the login was refused (401)
├── Contention            a storage or cluster lock was busy; try again with jitter
├── Unavailable           not reached, or surely not begun (595, refused connection)
│   └── Misconfigured     not reached as it is configured (bad TLS, no secret): in vain
└── MaybeRunning          sent, but the answer was lost (596, cut connection, time-out)
"""

from collections.abc import Mapping
from typing import Protocol

from state.change import Call, Param

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class ApiError(Exception):
    """What Proxmox or the way to it refused; `status` is the HTTP status, 0 without one."""

    def __init__(self, text: str, status: int = 0, keys: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.keys: Mapping[str, str] = dict(keys or {})


class NotFound(ApiError):
    """The object is not there, or has moved to another node."""


class Locked(ApiError):
    """The VM is locked by a task, or its file lock was not had in time."""


class Stale(ApiError):
    """The digest sent is no longer the config's."""


class Refused(ApiError):
    """A parameter was refused; nothing was applied."""


class PartlyApplied(ApiError):
    """A hot-plug failed: the named keys stay pending, the others are applied."""


class Forbidden(ApiError):
    """A right is missing, or the login was refused."""


class Contention(ApiError):
    """A storage or cluster lock was busy; the same call may go through later."""


class Unavailable(ApiError):
    """The node was not reached, or the call surely did not begin."""


class Misconfigured(Unavailable):
    """Nothing can be reached as it is configured: a certificate, a CA file, a secret."""


class MaybeRunning(ApiError):
    """The answer was lost: the call may have been carried out, or still be running."""


class Api(Protocol):
    """One cluster's API.

    Both raise ApiError. `get` returns `data`; `send` returns `data` of a POST, PUT or DELETE: a
    UPID (text) where a task was started, else mostly None. `heavy` allows the longer time-out.
    """

    def get(self, path: str, params: Mapping[str, Param] | None = None) -> Json: ...

    def send(self, call: Call, *, heavy: bool = False) -> Json: ...
