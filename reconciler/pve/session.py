"""What stands between proxmoxer and the wire: encoding, routing, log-in, retries, redaction."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import msgspec
from urllib3 import Timeout

from reconciler.pve import errors, form
from reconciler.pve.addresses import Addresses
from reconciler.pve.login import Login
from reconciler.pve.transport import Lost, NotSent, Origin, Response, Transport
from state.api import ApiError, Json, Misconfigured, Unavailable
from state.change import Param

BASE = "/api2/json"
AGENT = "pve-reconcile"
_FORM = "application/x-www-form-urlencoded"


class Serializer:
    """Reads bodies for proxmoxer; what it returns for an error is the decoded body itself."""

    def loads(self, response: Response) -> Json:
        """Return `data`; raises ValueError when the body is not Proxmox's envelope."""
        body = _decode(response)
        if not isinstance(body, dict) or "data" not in body:
            raise ValueError(f"not an answer of the Proxmox API: {response.text[:80]!r}")
        return body["data"]

    def loads_errors(self, response: Response) -> Json:
        return _decode(response)


def _decode(response: Response) -> Json:
    try:
        return msgspec.json.decode(response.content)  # type: ignore[no-any-return]
    except msgspec.DecodeError:
        return None


def read_refusal(write: bool, status: int, reason: str, body: Json) -> ApiError:
    """Return the error that an answer >= 300 with this (decoded) body means."""
    fields = body if isinstance(body, dict) else {}
    keys = fields.get("errors")
    said = {str(k): str(v) for k, v in keys.items()} if isinstance(keys, dict) else {}
    return errors.read_answer(write, status, reason, str(fields.get("message") or ""), said)


class Session:
    """The `session` that proxmoxer asks, over one cluster's shared transport."""

    def __init__(
        self, transport: Transport, addresses: Addresses, login: Login, seconds: float
    ) -> None:
        self._transport = transport
        self._addresses = addresses
        self._login = login
        self._seconds = seconds

    def request(
        self,
        method: str,
        url: str,
        data: Mapping[str, Param] | None = None,
        params: Mapping[str, Param] | None = None,
    ) -> Response:
        """Send a request, with new credentials once more after a 401.

        Only the path of `url` counts. GET and DELETE send their parameters in the query, as
        Proxmox demands. Raises Unavailable or MaybeRunning when there is no answer.
        """
        path = urlsplit(url).path
        fields = params if method in ("GET", "DELETE") else data
        headers = self._login.headers(method)
        response = self._exchange(method, path, fields, headers)
        if response.status_code == 401 and self._login.renew(headers):
            headers = self._login.headers(method)
            response = self._exchange(method, path, fields, headers)
        if response.status_code < 300:
            return response
        response = redacted(response, (*form.revealed(fields), *self._login.secrets))
        if response.status_code < 400:  # which proxmoxer would take for an empty answer
            raise read_refusal(method != "GET", response.status_code, response.reason, None)
        return response

    def _exchange(
        self,
        method: str,
        path: str,
        fields: Mapping[str, Param] | None,
        headers: Mapping[str, str],
    ) -> Response:
        encoded = form.encode(fields)
        return exchange(
            self._transport, self._addresses, self._seconds, method, path, encoded, headers
        )


def exchange(
    transport: Transport,
    addresses: Addresses,
    seconds: float,
    method: str,
    path: str,
    encoded: str,
    headers: Mapping[str, str],
) -> Response:
    """Send to the first server that can be reached; nothing that may have arrived is resent, except
    a GET: once after a broken connection, and once to another server when one keeps silent.

    Raises Unavailable when none was reached, or a GET got no answer; else MaybeRunning.
    """
    in_query = method in ("GET", "DELETE")
    target = f"{path}?{encoded}" if in_query and encoded else path
    body = None if in_query else encoded.encode()
    sent = {**headers, "User-Agent": AGENT, "Accept-Encoding": "gzip", "Accept": "application/json"}
    if not in_query:
        sent["Content-Type"] = _FORM
    tries = _Tries(addresses, method, path)
    for origin in addresses.of(path):
        wait = Timeout(connect=_patience(addresses, origin, seconds), read=seconds)
        lane = addresses.lane(path, origin)
        for last in (method != "GET", True):
            try:
                answer = transport.send(origin, method, target, sent, body, timeout=wait, lane=lane)
            except NotSent as reason:
                tries.not_sent(origin, reason)
                break
            except Lost as reason:
                if last or reason.late:
                    tries.lost(origin, reason, seconds)
                    break
            else:
                addresses.reached(origin)
                return answer
    raise tries.failure()


@dataclass(slots=True)
class _Tries:
    """One request's way from server to server: who failed it, and how."""

    addresses: Addresses
    method: str
    path: str
    problems: list[str] = field(default_factory=list)
    silent: int = 0
    distrusted: int = 0

    def not_sent(self, origin: Origin, reason: NotSent) -> None:
        self.addresses.missed(origin)
        self.problems.append(f"{origin}: {reason}")
        self.distrusted += reason.distrust

    def lost(self, origin: Origin, reason: Lost, seconds: float) -> None:
        """Go on with the next server if that does no harm; else raise.

        A server that keeps silent about what it need not forward is tried last from now on.
        """
        self.silent += 1
        self.problems.append(
            f"{origin}: {reason} ({self.method} {self.path}, {seconds:g} s allowed)"
        )
        alone = self.addresses.answers_alone(self.path, origin)
        if alone and reason.late:
            self.addresses.missed(origin)
        if self.method != "GET" or not alone or self.silent > 1:
            raise self.failure() from reason

    def failure(self) -> ApiError:
        text = "; ".join(self.problems)
        if self.silent:
            return errors.lost(self.method != "GET", text)
        if self.distrusted == len(self.problems):
            return Misconfigured(f"not reached: {text}")
        return Unavailable(f"not reached: {text}")


def _patience(addresses: Addresses, origin: Origin, seconds: float) -> float:
    """Return how long to wait for a connection: shortly for a node's own address."""
    return min(seconds, 5.0 if addresses.is_endpoint(origin) else 2.0)


def redacted(response: Response, secrets: tuple[str, ...]) -> Response:
    """Return a refusal with our secrets taken out of its words."""
    reason = form.redact(response.reason, secrets)
    content = form.redact(response.text, secrets).encode()
    return replace(response, reason=reason, content=content)


@contextmanager
def reading(method: str) -> Iterator[None]:
    """Turn an answer that is not Proxmox's into an error: a write may have been carried out."""
    try:
        yield
    except ValueError as error:
        raise errors.lost(method != "GET", errors.shorten(str(error))) from error
