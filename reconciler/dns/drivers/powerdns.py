"""PowerDNS by its HTTP API v1: rrsets replaced and deleted, our mark as a comment (DNS-01).

Paths below /api/v1/servers/{server_id}; the key goes in `X-API-Key`.
"""

import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

import msgspec

from desired.zones import PowerDns
from reconciler.dns.drivers.apart import TooMuch, apply_checked
from reconciler.dns.drivers.door import Door, Reply
from reconciler.dns.drivers.values import dotted, dotted_value, plain_name, plain_value
from state.drivers import (
    Applied,
    BadKey,
    DNSRefused,
    DNSUnreachable,
    Limits,
    RRChange,
    RRset,
    ZoneNotFound,
)
from state.secret import Secret

ACCOUNT = "reconcile"
"""Whose comment is our mark; those of others stay."""
LARGEST = 500
"""Rrsets of one request: the zone is read once for several of them."""


class _Record(msgspec.Struct, omit_defaults=True):
    content: str
    disabled: bool = False


class _Comment(msgspec.Struct, omit_defaults=True):
    content: str
    account: str = ""
    modified_at: int = 0


class _RRset(msgspec.Struct):
    name: str
    type: str
    ttl: int = 0
    records: list[_Record] = []
    comments: list[_Comment] = []


class _Zone(msgspec.Struct):
    name: str
    kind: str = ""
    serial: int = 0
    soa_edit_api: str = ""
    rrsets: list[_RRset] = []


class PowerDnsDriver:
    """One zone of a PowerDNS server."""

    limits = Limits(batch=2000)

    def __init__(self, zone: str, where: PowerDns, api_key: Secret) -> None:
        self._zone = zone
        self._door = Door(
            where.url,
            headers={"X-API-Key": api_key.reveal()},
            secrets=(api_key,),
            ca=where.ca,
            timeout=where.timeout,
        )
        server = quote(where.server_id, safe="")
        self._path = f"/api/v1/servers/{server}/zones/{_zone_id(zone)}"

    def check(self) -> str:
        found = self._ask(rrsets="false")
        return (
            f"PowerDNS at {self._door.url} answered: zone {plain_name(found.name)}"
            f" ({found.kind}), serial {found.serial}"
        )

    def serial(self) -> str | None:
        """Return the SOA serial; None for a zone whose serial the API leaves alone."""
        found = self._ask(rrsets="false")
        return str(found.serial) if found.soa_edit_api else None

    def read(self) -> tuple[RRset, ...]:
        return tuple(sorted(_seen(one) for one in self._ask().rrsets))

    def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
        # Asked for one rrset alone, servers leave out disabled records: those would be overwritten.
        held = self._ask().rrsets
        comments = {(plain_name(one.name), one.type): _foreign(one) for one in held}

        def send(part: Sequence[RRChange]) -> None:
            if len(part) > LARGEST:
                raise TooMuch
            body = [_patch(change, comments) for change in part]
            reply = self._door.send_json("PATCH", self._path, {"rrsets": body})
            if reply.status != 204:
                raise self._refusal(reply)

        return apply_checked(self._zone, batch, [_seen(one) for one in held], send)

    def close(self) -> None:
        self._door.close()

    def _ask(self, **query: str) -> _Zone:
        path = f"{self._path}?{urlencode(query)}" if query else self._path
        reply = self._door.send_json("GET", path)
        if reply.status != 200:
            raise self._refusal(reply)
        return self._door.decode(reply, _Zone)

    def _refusal(self, reply: Reply) -> DNSRefused | DNSUnreachable:
        said = f"PowerDNS at {self._door.url}: {reply.status}: {self._door.words(_error(reply))}"
        if reply.status in (401, 403):
            return BadKey(f"{said} (the API key is not the server's)")
        if reply.status == 404:
            return ZoneNotFound(f"{said} (zone {self._zone}, or the server's id)")
        if 400 <= reply.status < 500:
            return DNSRefused(said)
        return DNSUnreachable(said)


def _zone_id(zone: str) -> str:
    """The zone's name as paths have it: letters, digits, dots, dashes, and =XX for the rest."""
    return re.sub(r"[^A-Za-z0-9.-]", lambda sign: f"={ord(sign.group()):02X}", dotted(zone))


def _seen(found: _RRset) -> RRset:
    """What is in force; a rrset of disabled records only has no values."""
    values = frozenset(
        plain_value(found.type, one.content) for one in found.records if not one.disabled
    )
    mark = next((one.content for one in found.comments if one.account == ACCOUNT), "")
    return RRset(plain_name(found.name), found.type, found.ttl, values, mark)


def _foreign(found: _RRset) -> list[_Comment]:
    return [one for one in found.comments if one.account != ACCOUNT]


def _patch(change: RRChange, comments: dict[tuple[str, str], list[_Comment]]) -> dict[str, object]:
    about = change.rrset
    head: dict[str, object] = {"name": dotted(about.name), "type": about.type}
    if change.new is None:
        return {**head, "changetype": "DELETE"}
    ours = [_Comment(about.mark, ACCOUNT)] if about.mark else []
    return {
        **head,
        "changetype": "REPLACE",
        "ttl": about.ttl,
        "records": [_Record(dotted_value(about.type, one)) for one in sorted(about.values)],
        "comments": [*comments.get((about.name, about.type), ()), *ours],
    }


class _Error(msgspec.Struct):
    error: str = ""
    errors: list[str] = []


def _error(reply: Reply) -> str:
    """The words of an error, which are JSON or plain text."""
    try:
        told = msgspec.json.decode(reply.text, type=_Error)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return reply.text
    return " ".join([told.error, *told.errors])
