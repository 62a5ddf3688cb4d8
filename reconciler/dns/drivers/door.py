"""One way to a provider's HTTP API: verified TLS, a deadline, no redirect, nothing sent twice.

Whatever it says in errors is one short line without the secrets that it sends.
"""

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec
from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
    SSLError,
)

from state.drivers import DNSUnreachable
from state.secret import Secret

LONGEST = 300
"""Characters of a provider's own words that an error shows."""
SHORTEST = 4
"""Characters of a secret that is looked for in them: a shorter one would be everywhere."""
JSON = {"Content-Type": "application/json", "Accept": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer."""

    status: int
    text: str
    headers: Mapping[str, str]


class Door:
    """Requests below one URL. `headers` go with each; `secrets` never show in an error."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        secrets: Sequence[Secret],
        ca: str | None,
        timeout: float,
    ) -> None:
        self.url = url.rstrip("/")
        self._headers = dict(headers)
        self._secrets = [one for one in secrets if len(one.reveal()) >= SHORTEST]
        self._ca = ca
        self._timeout = timeout
        self._pool: PoolManager | None = None

    def send_json(self, method: str, path: str, body: object = None) -> Reply:
        """Send a request with a JSON body, if any; `path` begins with a slash or a `?`."""
        content = None if body is None else msgspec.json.encode(body)
        return self._send(method, path, content, JSON)

    def send_form(self, path: str, fields: Mapping[str, str]) -> Reply:
        """Send a POST of form fields."""
        return self._send("POST", path, urlencode(fields).encode(), FORM)

    def decode(self, reply: Reply, shape: type[T]) -> T:
        """Return the answer's JSON; DNSUnreachable when it is something else (DNS-16)."""
        try:
            return msgspec.json.decode(reply.text, type=shape)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise DNSUnreachable(
                f"{self.url} answered {reply.status} with something else than the JSON of its API:"
                f" {self.words(reply.text)} ({error})"
            ) from None

    def words(self, text: str) -> str:
        """What a provider said, on one line, shortened and without our secrets (DNS-13)."""
        line = " ".join(text.split())
        for secret in self._secrets:
            for form in (secret.reveal(), quote(secret.reveal(), safe="")):
                line = line.replace(form, "***")
        if not line:
            return "nothing at all"
        return line if len(line) <= LONGEST else f"{line[:LONGEST]}…"

    def close(self) -> None:
        if self._pool is not None:
            self._pool.clear()
            self._pool = None

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        try:
            answer: BaseHTTPResponse = self._opened().request(
                method,
                f"{self.url}{path}",
                body=body,
                headers={**headers, **self._headers},
                retries=False,
                redirect=False,
                timeout=Timeout(self._timeout),
            )
        except (HTTPError, OSError) as error:
            raise DNSUnreachable(f"{self.url}: {self._why(error)}") from None
        text = answer.data.decode(errors="replace")
        if 300 <= answer.status < 400:
            raise DNSUnreachable(
                f"{self.url} answered {answer.status}, a redirect; put the API's own URL there"
            )
        return Reply(answer.status, text, answer.headers)

    def _opened(self) -> PoolManager:
        if self._pool is None:
            try:
                context = ssl.create_default_context(cafile=self._ca)
            except OSError as error:
                raise DNSUnreachable(f"{self._ca}: no CA can be read from it: {error}") from None
            self._pool = PoolManager(num_pools=1, maxsize=1, ssl_context=context)
        return self._pool

    def _why(self, error: Exception) -> str:
        if isinstance(error, NameResolutionError):
            return "the name does not resolve"
        # To urllib3 a refused connection is one that timed out, too.
        if isinstance(error, NewConnectionError):
            return "no connection: " + self.words(str(error.__cause__ or error))
        if isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            return f"no answer within {self._timeout:g} s"
        if isinstance(error, SSLError):
            return "TLS failed: " + self.words(str(error))
        return "the answer was lost: " + self.words(str(error))
