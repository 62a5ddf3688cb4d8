"""Whether a VM is well: it runs, its guest agent answers, its ports do, and its web page."""

import logging
import re
import socket
import ssl
import time
from urllib.parse import urlsplit

from desired.safeguard import ADDRESS, Health
from desired.spec import VMSpec
from handlers.addresses import known_addresses
from handlers.handler import vm_path
from handlers.power import is_wanted_off
from handlers.slots import in_order
from state.api import Api, ApiError, Contention, Forbidden, Locked, Unavailable
from state.change import Call, Method
from state.observed import SeenVM

logger = logging.getLogger(__name__)
PATIENCE = 3.0
"""Seconds that one check may take in all."""

LINE = 1024
"""Bytes in which the first line of an answer must have come."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})\b")


def unwell(spec: VMSpec, seen: SeenVM, api: Api) -> str:
    """Say what of a VM does not answer; empty when it is well, or is not wanted running.

    Raises ApiError when Proxmox could not be asked, which says nothing of the VM.
    """
    health = spec.guard.health if spec.guard else Health()
    if is_wanted_off(spec) or (spec.power == "unmanaged" and seen.status == "stopped"):
        return ""
    if seen.status != "running":
        return f"the VM is {seen.status}"
    if asks_agent(spec):
        try:
            api.send(Call(Method.POST, f"{vm_path(seen)}/agent/ping"))
        except Forbidden:
            logger.warning("%s: the guest agent was not asked: a right is missing", seen.key)
        except (Unavailable, Contention, Locked):
            raise
        except ApiError as error:
            return f"the guest agent does not answer: {error.text.strip()}"
    return _over_the_network(health, first_address(spec, seen))


def asks_agent(spec: VMSpec) -> bool:
    """Whether the guest agent must answer: where the check or the spec names it."""
    named = spec.guard.health.agent if spec.guard else None
    return bool(spec.agent if named is None else named)


def may_ask_agent(spec: VMSpec, seen: SeenVM, api: Api) -> bool:
    """Whether the token may: one that may not would take every VM for one that is not well."""
    if not asks_agent(spec):
        return True
    try:
        api.send(Call(Method.POST, f"{vm_path(seen)}/agent/ping"))
    except Forbidden:
        return False
    except ApiError:
        return True
    return True


def first_address(spec: VMSpec, seen: SeenVM) -> str:
    """The VM's first leased or static address, by its nics; empty when none is known to us."""
    found = (one for slot in in_order(spec.nics) for one in known_addresses(spec, seen, slot))
    return next(found, "")


def _over_the_network(health: Health, address: str) -> str:
    if (health.tcp or health.http) and not address:
        return "no address of it is known: lease one, or name a static one"
    for port in health.tcp:
        try:
            socket.create_connection((address, port), PATIENCE).close()
        except OSError as error:
            return f"port {port} of {address} takes no connection: {_words(error)}"
    if health.http is None:
        return ""
    url = ADDRESS.sub(f"[{address}]" if ":" in address else address, health.http)
    try:
        status = http_status(url, time.monotonic() + PATIENCE)
    except OSError as error:
        return f"{url} does not answer: {_words(error)}"
    return "" if 200 <= status < 300 else f"{url} answered {status}, expected 2xx"


def http_status(url: str, until: float) -> int:
    """Return the status that a GET of the URL is answered with; follows nothing, reads no body.

    Certificates are not verified: none is made out to a leased address, and nothing is told. Raises
    OSError, also when the answer has not begun by `until` (of the monotonic clock).
    """
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    target = parts.path + (f"?{parts.query}" if parts.query else "") or "/"
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    port = parts.port or (443 if secure else 80)
    with socket.create_connection((host, port), _left(until)) as plain:
        plain.settimeout(_left(until))
        link = _unverified().wrap_socket(plain, server_hostname=host) if secure else plain
        link.sendall(request.encode("ascii"))
        heard = b""
        while b"\n" not in heard and len(heard) < LINE:
            link.settimeout(_left(until))
            more = link.recv(LINE)
            if not more:
                break
            heard += more
        match = _STATUS.match(heard)
        if match is None:
            raise OSError("what it answers is not HTTP")
        return int(match[1])


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
