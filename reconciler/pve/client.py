"""One cluster's API over HTTPS, as state.api.Api sees it; proxmoxer's resource syntax below."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Self

from proxmoxer.core import ProxmoxResource, ResourceException

from desired.catalog import Cluster, Limits
from reconciler.pve import form
from reconciler.pve.addresses import Addresses
from reconciler.pve.login import Login, TicketLogin, TokenLogin
from reconciler.pve.session import (
    BASE,
    Serializer,
    Session,
    exchange,
    read_refusal,
    reading,
    redacted,
)
from reconciler.pve.transport import Origin, Transport, Trust
from state.api import ApiError, Json, MaybeRunning, Misconfigured, Unavailable
from state.change import Call, Method, Param
from state.secret import Secret

Trace = Callable[[str, str, float, int], None]
"""Told of every call: method, path, seconds, HTTP status (0 without an answer)."""

Resolve = Callable[[str], Secret]
"""Reads a secret by its reference (`env:PVE_TOKEN`)."""


class ProxmoxApi:
    """The API of one cluster. Safe for many threads; `close` ends its connections.

    `reads` and `writes` count the calls made; `skew` is how many seconds the cluster's clock is
    ahead; `identity` is who we are to it.
    """

    def __init__(
        self,
        name: str,
        cluster: Cluster,
        transport: Transport,
        addresses: Addresses,
        login: Login,
        log: logging.Logger,
    ) -> None:
        self.name = name
        self.identity = login.identity
        self.trace: Trace | None = None
        self.reads = 0
        self.writes = 0
        self._transport = transport
        self.addresses = addresses
        self._log = log
        self._lock = threading.Lock()
        times = cluster.timeouts
        self._light = self._root(Session(transport, addresses, login, times.light))
        self._heavy = self._root(Session(transport, addresses, login, times.heavy))

    @classmethod
    def open(
        cls,
        name: str,
        cluster: Cluster,
        limits: Limits,
        resolve: Resolve,
        folder: Path,
        log: logging.Logger,
        direct: bool | None = None,
        known: Json = None,
    ) -> Self:
        """Return a client that has not spoken yet. `folder` resolves the CA file; `direct` says
        whether nodes are asked at their own addresses (None: unless the endpoints are loopback);
        `known` is what `remember` gave an earlier run.

        Raises Misconfigured for a CA file that cannot be read, and whatever `resolve` raises.
        """
        tls = cluster.tls
        if not tls.verify:
            log.warning(
                "cluster %s: TLS is not verified (tls.verify: false); anybody on the way can "
                "read and change everything; pin the fingerprints instead",
                name,
            )
        trust = Trust(str(folder / tls.ca) if tls.ca else None, tls.fingerprints, tls.verify)
        try:
            transport = Transport(trust, limits.connections, limits.per_node)
        except OSError as error:
            why = error.strerror or error
            raise Misconfigured(f"cannot read tls.ca {trust.ca}: {why}") from error
        addresses = Addresses(cluster.endpoints, direct, known=known)
        seconds = cluster.timeouts.light
        login = _login(cluster, resolve, transport, addresses, seconds)
        return cls(name, cluster, transport, addresses, login, log)

    @property
    def skew(self) -> float | None:
        return self._transport.skew

    def get(self, path: str, params: Mapping[str, Param] | None = None) -> Json:
        data = self._call(Method.GET, path, params or {}, self._light)
        if path == "/cluster/status":
            data = self._quorate(data)
            self.addresses.learn(data)
        return data

    def remember(self) -> Json:
        """Return what the next run's client should know of the cluster's servers."""
        return self.addresses.remember()

    def _quorate(self, status: Json) -> Json:
        """Return the status as a server within the quorum has it, if there is one.

        A node that was cut off answers all the same, of what it last knew. It is passed over.
        """
        seen, passed = status, set[Origin]()
        while lacks_quorum(seen):
            cut_off = self.addresses.latest
            if cut_off is None or cut_off in passed:
                return status
            passed.add(cut_off)
            self.addresses.missed(cut_off)
            try:
                seen = self._call(Method.GET, "/cluster/status", {}, self._light)
            except ApiError:
                return status
            self._log.info(
                "cluster %s: %s has no quorum; %s is asked",
                self.name,
                cut_off,
                self.addresses.latest,
            )
        return seen

    def send(self, call: Call, *, heavy: bool = False) -> Json:
        root = self._heavy if heavy else self._light
        return self._call(call.method, call.path, call.params, root)

    def close(self) -> None:
        self._transport.close()

    def _root(self, session: Session) -> ProxmoxResource:
        return ProxmoxResource(
            base_url=f"https://cluster{BASE}", session=session, serializer=Serializer()
        )

    def _call(
        self, method: Method, path: str, params: Mapping[str, Param], root: ProxmoxResource
    ) -> Json:
        resource = root(form.quote_path(path.strip("/")).split("/"))
        began, status = time.perf_counter(), 0
        self._count(method)
        try:
            with reading(method):
                answer: Json = getattr(resource, method.lower())(**params)
            status = 200
            return answer
        except ResourceException as refusal:
            status = refusal.status_code
            write = method is not Method.GET
            raise read_refusal(write, status, refusal.content, refusal.errors) from None
        finally:
            if self.trace:
                self.trace(method.value, path, time.perf_counter() - began, status)

    def _count(self, method: Method) -> None:
        with self._lock:
            if method is Method.GET:
                self.reads += 1
            else:
                self.writes += 1


def lacks_quorum(status: Json) -> bool:
    """Whether an answer of `/cluster/status` says so; a node without a cluster needs none."""
    rows = status if isinstance(status, list) else []
    whole = [row for row in rows if isinstance(row, dict) and row.get("type") == "cluster"]
    return any(str(row.get("quorate") or "0") == "0" for row in whole)


def _login(
    cluster: Cluster, resolve: Resolve, transport: Transport, addresses: Addresses, seconds: float
) -> Login:
    if cluster.token:
        return TokenLogin(cluster.token.id, resolve(cluster.token.secret))
    if cluster.login:
        password = resolve(cluster.login.password)
        ask = partial(ask_ticket, transport, addresses, seconds)
        return TicketLogin(cluster.login.user, password, ask)
    raise ValueError("expected a cluster with a token or a login")


def ask_ticket(
    transport: Transport, addresses: Addresses, seconds: float, fields: Mapping[str, Param]
) -> Json:
    """Return `data` of `POST /access/ticket`; a lost answer is Unavailable, for logging in twice
    does no harm. Raises ApiError."""
    path = f"{BASE}/access/ticket"
    try:
        encoded = form.encode(fields)
        response = exchange(transport, addresses, seconds, "POST", path, encoded, {})
        if response.status_code == 200:
            with reading("POST"):
                return Serializer().loads(response)
    except MaybeRunning as lost:
        raise Unavailable(lost.text, lost.status) from lost
    response = redacted(response, form.revealed(fields))
    body = Serializer().loads_errors(response)
    raise read_refusal(False, response.status_code, response.reason, body)
