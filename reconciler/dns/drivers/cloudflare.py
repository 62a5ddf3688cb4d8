"""Cloudflare by its API v4: records in batches, our mark as their comment (DNS-01).

`GET /zones?name=`, `GET /zones/{id}/dns_records`, `POST /zones/{id}/dns_records/batch`; a batch is
one transaction there. The token goes as a bearer; it needs the rights Zone Read and DNS Write.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from desired.zones import Cloudflare
from reconciler.dns.drivers.apart import TooMuch, apply_checked
from reconciler.dns.drivers.door import Door, Reply
from reconciler.dns.drivers.values import Row, plain_name, plain_value, rrsets
from state.drivers import (
    Applied,
    BadKey,
    Conflict,
    DNSError,
    DNSRefused,
    DNSUnreachable,
    Limits,
    RRChange,
    RRset,
    ZoneNotFound,
)
from state.secret import Secret

PAGE = 1000
"""Records per page of a listing."""
LARGEST = 200
"""Records that one batch may touch on every plan (3,500 on those that are paid)."""
FEW = 5
"""Changes whose rrsets are read one by one; for more the whole zone is."""
TAKEN = frozenset({81053, 81054, 81056, 81057, 81058})
"""Codes for a record that is there already, or clashes with one that is."""
KEY = frozenset({6003, 9103, 9106, 9107, 9109, 10000, 10001})
"""Codes for a token that is malformed, unknown or without the right."""
T = TypeVar("T")


class _Record(msgspec.Struct):
    id: str
    name: str
    type: str
    content: str = ""
    ttl: int = 1
    comment: str | None = None


class _Account(msgspec.Struct):
    id: str = ""
    name: str = ""


class _Zone(msgspec.Struct):
    id: str
    name: str
    status: str = ""
    account: _Account = msgspec.field(default_factory=_Account)


class _Said(msgspec.Struct):
    code: int = 0
    message: str = ""


class _Pages(msgspec.Struct):
    page: int = 1
    total_pages: int = 1
    total_count: int = 0


class _Answer(msgspec.Struct):
    success: bool = False
    errors: list[_Said] = []
    result: msgspec.Raw = msgspec.Raw(b"null")
    result_info: _Pages | None = None


class CloudflareDriver:
    """One zone of a Cloudflare account."""

    limits = Limits(batch=1000)

    def __init__(self, zone: str, where: Cloudflare, token: Secret) -> None:
        self._zone = zone
        self._account = where.account_id
        self._id = where.zone_id
        self._door = Door(
            where.url,
            headers={"Authorization": f"Bearer {token.reveal()}"},
            secrets=(token,),
            ca=where.ca,
            timeout=where.timeout,
        )

    def check(self) -> str:
        if self._id is None:
            self._id = self._find()
        answer = self._ask("GET", f"/zones/{self._id}")
        found = self._result(answer, _Zone)
        if plain_name(found.name) != self._zone:
            raise ZoneNotFound(f"Cloudflare: zone_id {self._id} is {found.name}, not {self._zone}")
        account = f" of {found.account.name}" if found.account.name else ""
        return f"Cloudflare answered: zone {found.name} ({found.status}){account}, id {found.id}"

    def serial(self) -> str | None:
        """Return None: the API tells nothing that moves with the records."""
        return None

    def read(self) -> tuple[RRset, ...]:
        return rrsets(map(_row, self._records()))

    def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
        held = list(self._held(batch))
        by_key: dict[tuple[str, str], list[_Record]] = {}
        for one in held:
            by_key.setdefault((plain_name(one.name), one.type), []).append(one)

        def send(part: Sequence[RRChange]) -> None:
            body = _body(part, by_key)
            if sum(map(len, body.values())) > LARGEST:
                raise TooMuch
            self._ask("POST", f"{self._records_path()}/batch", body)

        return apply_checked(self._zone, batch, rrsets(map(_row, held)), send)

    def close(self) -> None:
        self._door.close()

    def _held(self, batch: Sequence[RRChange]) -> Iterator[_Record]:
        """What the zone holds of the batch's rrsets (of all, for a large batch)."""
        if len(batch) > FEW:
            yield from self._records()
            return
        for name, kind in sorted({(one.rrset.name, one.rrset.type) for one in batch}):
            yield from self._records(**{"name.exact": name, "type": kind})

    def _records(self, **query: str) -> list[_Record]:
        found: dict[str, _Record] = {}
        page, pages, counts = 1, 1, set()
        while page <= pages:
            words = urlencode({**query, "page": page, "per_page": PAGE, "order": "name"})
            answer = self._ask("GET", f"{self._records_path()}?{words}")
            found.update({one.id: one for one in self._result(answer, list[_Record])})
            told = answer.result_info or _Pages()
            page, pages = page + 1, told.total_pages
            counts.add(told.total_count)
        if pages > 1 and counts != {len(found)}:
            raise DNSUnreachable(f"Cloudflare: zone {self._zone} changed while it was read")
        return list(found.values())

    def _records_path(self) -> str:
        if self._id is None:
            self._id = self._find()
        return f"/zones/{self._id}/dns_records"

    def _find(self) -> str:
        query = {"name": self._zone, "per_page": "50"}
        if self._account:
            query["account.id"] = self._account
        found = self._result(self._ask("GET", f"/zones?{urlencode(query)}"), list[_Zone])
        if len(found) > 1:
            raise DNSRefused(
                f"Cloudflare: {len(found)} zones are called {self._zone};"
                " name account_id or zone_id"
            )
        if not found:
            raise ZoneNotFound(f"Cloudflare: no zone {self._zone} is shown to this token")
        return found[0].id

    def _ask(self, method: str, path: str, body: object = None) -> _Answer:
        reply = self._door.send_json(method, path, body)
        if reply.status == 429 or reply.status >= 500:
            after = reply.headers.get("Retry-After")
            later = f" (it asks for {after} s of patience)" if after else ""
            raise DNSUnreachable(f"{self._said(reply)}{later}")
        answer = self._door.decode(reply, _Answer)
        if reply.status >= 400 or not answer.success:
            raise self._refusal(reply, answer)
        return answer

    def _result(self, answer: _Answer, shape: type[T]) -> T:
        reply = Reply(200, bytes(answer.result).decode(), {})
        return self._door.decode(reply, shape)

    def _refusal(self, reply: Reply, answer: _Answer) -> DNSError:
        words = "; ".join(f"{one.code} {one.message}" for one in answer.errors)
        said = f"Cloudflare: {reply.status}: {self._door.words(words)}"
        codes = {one.code for one in answer.errors}
        if codes & TAKEN:
            return Conflict(said)
        if codes & KEY or reply.status in (401, 403):
            return BadKey(f"{said} (token; it needs Zone Read and DNS Write)")
        if reply.status == 404:
            return ZoneNotFound(said)
        return DNSRefused(said)

    def _said(self, reply: Reply) -> str:
        return f"Cloudflare: {reply.status}: {self._door.words(reply.text)}"


def _row(one: _Record) -> Row:
    value = plain_value(one.type, one.content)
    return plain_name(one.name), one.type, one.ttl, value, one.comment or ""


def _body(
    part: Sequence[RRChange], held: dict[tuple[str, str], list[_Record]]
) -> dict[str, list[dict[str, object]]]:
    """The batch of these changes; what stays of a record stays under its id."""
    deletes: list[dict[str, object]] = []
    patches: list[dict[str, object]] = []
    posts: list[dict[str, object]] = []
    for change in part:
        about = change.rrset
        there = held.get((about.name, about.type), [])
        wanted = set(change.new.values) if change.new else set()
        fields = {"ttl": about.ttl, "proxied": False, "comment": about.mark}
        spare = []
        for one in there:
            value = plain_value(one.type, one.content)
            if value not in wanted:
                spare.append(one)
                continue
            wanted.discard(value)
            if (one.ttl, one.comment or "") != (about.ttl, about.mark):
                patches.append({"id": one.id, **fields})
        for value in sorted(wanted):
            made = {"name": about.name, "type": about.type, "content": value, **fields}
            if spare:
                patches.append({"id": spare.pop().id, **made})
            else:
                posts.append(made)
        deletes.extend({"id": one.id} for one in spare)
    return {"deletes": deletes, "patches": patches, "posts": posts}
