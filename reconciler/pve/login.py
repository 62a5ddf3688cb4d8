"""Who we are to Proxmox: an API token, or a ticket that is renewed before it ends."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from state.api import Forbidden, Json
from state.change import Param
from state.secret import Secret

RENEW_AFTER = 5400.0
"""Seconds; a ticket lives for two hours."""
GIVE_UP = 60.0
"""Seconds for which a refused password is not tried again: realms lock accounts."""

Ask = Callable[[Mapping[str, Param]], Json]
"""Sends `POST /access/ticket` and returns its `data`; raises ApiError."""


class Login(Protocol):
    """Gives the headers of one request, and may have better ones after a 401."""

    @property
    def identity(self) -> str: ...

    @property
    def secrets(self) -> tuple[str, ...]: ...

    def headers(self, method: str) -> dict[str, str]: ...

    def renew(self, used: Mapping[str, str]) -> bool:
        """Whether the request may be tried again with new headers after these had a 401."""


class TokenLogin:
    """An API token: one header, no ticket, no CSRF."""

    def __init__(self, identity: str, secret: Secret) -> None:
        self.identity = identity
        self._secret = secret

    @property
    def secrets(self) -> tuple[str, ...]:
        return (self._secret.reveal(),)

    def headers(self, method: str) -> dict[str, str]:
        return {"Authorization": f"PVEAPIToken={self.identity}={self._secret.reveal()}"}

    def renew(self, used: Mapping[str, str]) -> bool:
        return False


class TicketLogin:
    """A user's ticket, good on every node, got anew with the password; one thread logs in."""

    def __init__(
        self, identity: str, password: Secret, ask: Ask, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.identity = identity
        self._password = password
        self._ask = ask
        self._clock = clock
        self._ticket = ""
        self._csrf = ""
        self._at = 0.0
        self._refused: tuple[float, Forbidden] | None = None
        self._lock = threading.Lock()

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(one for one in (self._password.reveal(), self._ticket, self._csrf) if one)

    def headers(self, method: str) -> dict[str, str]:
        with self._lock:
            if not self._ticket or self._clock() - self._at > RENEW_AFTER:
                self._log_in()
            headers = {"Cookie": f"PVEAuthCookie={self._ticket}"}
            return headers if method == "GET" else {**headers, "CSRFPreventionToken": self._csrf}

    def renew(self, used: Mapping[str, str]) -> bool:
        with self._lock:
            if used.get("Cookie") == f"PVEAuthCookie={self._ticket}":
                self._log_in()
            return True

    def _log_in(self) -> None:
        if self._refused and self._clock() < self._refused[0]:
            raise self._refused[1]
        try:
            answer = self._ask({"username": self.identity, "password": self._password})
        except Forbidden as refused:
            self._refused = (self._clock() + GIVE_UP, refused)
            raise
        fields = answer if isinstance(answer, dict) else {}
        if fields.get("NeedTFA") or not fields.get("ticket"):
            raise Forbidden(
                f"{self.identity} needs a second factor, which a program does not have: "
                "use an API token, or a user without one",
                401,
            )
        self._ticket, self._csrf = str(fields["ticket"]), str(fields.get("CSRFPreventionToken", ""))
        self._at, self._refused = self._clock(), None
