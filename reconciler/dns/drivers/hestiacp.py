"""HestiaCP by its commands over HTTPS: `POST {url}api/` with a command and its arguments (DNS-01).

Reads ask for JSON. Writes ask for the exit code: the command's words are empty when it went well,
and so is an answer that was lost on the way.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec

from desired.zones import HestiaCp
from reconciler.dns.drivers.apart import conflicts
from reconciler.dns.drivers.door import Door, Reply
from reconciler.dns.drivers.values import (
    Row,
    absolute,
    dotted_value,
    plain_value,
    relative,
    rrsets,
)
from state.drivers import (
    Applied,
    BadKey,
    DNSError,
    DNSRefused,
    DNSUnreachable,
    Limits,
    RRChange,
    RRset,
    ZoneNotFound,
)
from state.secret import Secret

CODES = {
    1: "E_ARGS: not enough arguments",
    2: "E_INVALID: a value is not valid",
    3: "E_NOTEXIST: the object does not exist",
    4: "E_EXISTS: the object exists already",
    5: "E_SUSPENDED: the object is suspended",
    6: "E_UNSUSPENDED: the object is not suspended",
    7: "E_INUSE: the object is in use",
    8: "E_LIMIT: the user's package allows no more",
    9: "E_PASSWORD: wrong password or key",
    10: "E_FORBIDEN: not allowed to this user or from this address",
    11: "E_DISABLED: the subsystem or the API is disabled",
    12: "E_PARSING: the configuration is broken",
    13: "E_DISK: no disk space",
    14: "E_LA: the server is too busy",
    15: "E_CONNECT: a host is unreachable",
    19: "E_UPDATE: the update failed",
    20: "E_RESTART: the service did not restart",
    21: "E_API_DISABLED: the API is disabled for this user",
}
"""Exit codes of its commands, as its documentation lists them."""
KEY = frozenset({9, 10, 21})
BUSY = frozenset({12, 13, 14, 15})
NOT_THERE, RESTART = 3, 20
T = TypeVar("T")
Held = Mapping[tuple[str, str], Sequence["_Record"]]
"""The records of a zone by name and type."""


class _Record(msgspec.Struct, rename="upper"):
    record: str
    type: str
    value: str
    id: str
    priority: str = ""
    suspended: str = "no"
    ttl: str = ""


class _Domain(msgspec.Struct, rename="upper"):
    ttl: str = ""
    serial: str = ""
    records: str = ""


class HestiaCpDriver:
    """One zone of a HestiaCP user."""

    limits = Limits(batch=50)

    def __init__(self, zone: str, where: HestiaCp, password: Secret) -> None:
        self._zone = zone
        self._where = where
        self._password = password
        self._door = Door(
            where.url.rstrip("/").removesuffix("/api"),
            headers={},
            secrets=(password, *map(Secret, self._access_key() or ())),
            ca=where.ca,
            timeout=where.timeout,
        )

    def check(self) -> str:
        zones = self._list("v-list-dns-domains", dict[str, _Domain])
        found = zones.get(self._zone)
        if found is None:
            raise ZoneNotFound(
                f"{self._said()}: {self._where.owner} has no zone {self._zone},"
                f" but {', '.join(sorted(zones)) or 'none'}"
            )
        return (
            f"{self._said()} answered: zone {self._zone} of {self._where.owner},"
            f" {found.records} records, serial {found.serial or 'none'}"
        )

    def serial(self) -> str | None:
        return self._domain().serial or None

    def read(self) -> tuple[RRset, ...]:
        records = self._records()
        default = _number(self._domain().ttl) if any(not one.ttl for one in records) else 0
        return rrsets(self._row(one, default) for one in records)

    def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
        """One command per record; the name server reloads with the last one."""
        held: dict[tuple[str, str], list[_Record]] = {}
        for one in self._records():
            held.setdefault((absolute(one.record, self._zone), one.type), []).append(one)
        errors = conflicts(self._zone, batch, self._seen(held))
        fit = [at for at, error in enumerate(errors) if error is None]
        lost: DNSUnreachable | None = None
        for at in sorted(fit, key=lambda at: batch[at].new is not None):
            about = batch[at].rrset
            try:
                if lost is None:
                    self._change(batch[at], held.get((about.name, about.type), []))
            except DNSUnreachable as error:
                lost = error
            except DNSError as error:
                errors[at] = error
                continue
            errors[at] = lost
        if any(errors[at] is None for at in fit):
            self._reload()
        return tuple(Applied(change, errors[at]) for at, change in enumerate(batch))

    def close(self) -> None:
        self._door.close()

    def _change(self, change: RRChange, there: Sequence[_Record]) -> None:
        about = change.rrset
        wanted = set(change.new.values) if change.new else set()
        kept = {}
        for one in there:
            value = plain_value(one.type, one.value)
            if value in wanted and value not in kept:
                kept[value] = one
        spare = [one for one in there if one not in kept.values()]
        for value in sorted(wanted - kept.keys()):
            self._put(about, value, spare.pop() if spare else None)
        for value, one in sorted(kept.items()):
            if one.ttl != str(about.ttl) or one.suspended == "yes":
                self._put(about, value, one)
        for one in spare:
            self._do("v-delete-dns-record", one.id, "no")

    def _put(self, about: RRset, value: str, there: _Record | None) -> None:
        """Write one record, in the place of another one of its name and type."""
        record = relative(about.name, self._zone)
        content = dotted_value(about.type, value)
        if there is None:
            fields = (record, about.type, content, "", "", "no", str(about.ttl))
            self._do("v-add-dns-record", *fields)
        else:
            fields = (there.id, record, about.type, content, there.priority, "no", str(about.ttl))
            self._do("v-change-dns-record", *fields)

    def _reload(self) -> None:
        reply = self._send("v-restart-dns", ("yes",), code=True)
        code = self._code(reply)
        if code not in (0, RESTART):
            raise self._refusal(code, "v-restart-dns")

    def _domain(self) -> _Domain:
        found = self._list("v-list-dns-domain", dict[str, _Domain], self._zone)
        if self._zone not in found:
            raise ZoneNotFound(f"{self._said()}: {self._where.owner} has no zone {self._zone}")
        return found[self._zone]

    def _records(self) -> list[_Record]:
        return list(self._list("v-list-dns-records", dict[str, _Record], self._zone).values())

    def _seen(self, held: Held) -> tuple[RRset, ...]:
        return rrsets(self._row(one, 0) for records in held.values() for one in records)

    def _row(self, one: _Record, default: int) -> Row:
        value = plain_value(one.type, one.value) if one.suspended != "yes" else ""
        ttl = _number(one.ttl) or default
        if one.type in ("MX", "SRV") and one.priority and value:
            value = f"{one.priority} {value}"
        return absolute(one.record, self._zone), one.type, ttl, value, ""

    def _list(self, command: str, shape: type[T], *given: str) -> T:
        """Return a listing's JSON; on other words the exit code of the same command says why."""
        words = (self._where.owner, *given, "json")
        reply = self._send(command, words, code=False)
        if reply.status < 400 and not reply.text.lstrip().startswith("Error"):
            return self._door.decode(reply, shape)
        code = self._code(self._send(command, words, code=True))
        raise self._refusal(code, command, self._door.words(reply.text))

    def _do(self, command: str, *given: str) -> None:
        words = (self._where.owner, self._zone, *given)
        code = self._code(self._send(command, words, code=True))
        if code:
            raise self._refusal(code, command)

    def _send(self, command: str, given: Sequence[str], *, code: bool) -> Reply:
        keys = self._access_key()
        if keys:
            who = {"hash": ":".join(keys)}
        else:
            who = {"user": self._where.user, "password": self._password.reveal()}
        words = {f"arg{at}": word for at, word in enumerate(given, 1)}
        returned = {"returncode": "yes" if code else "no"}
        return self._door.send_form("/api/", {**who, **returned, "cmd": command, **words})

    def _access_key(self) -> tuple[str, str] | None:
        """The two halves of `ACCESS_KEY:SECRET_KEY`, as long as HestiaCP makes them."""
        access, colon, secret = self._password.reveal().partition(":")
        fits = colon and (len(access), len(secret)) == (20, 40)
        return (access, secret) if fits else None

    def _code(self, reply: Reply) -> int:
        """The exit code in an answer; DNSUnreachable when there is none (DNS-16)."""
        text = reply.text.strip()
        if text.isdecimal():
            return int(text)
        raise DNSUnreachable(
            f"{self._said()} answered {reply.status} without an exit code: {self._door.words(text)}"
        )

    def _refusal(self, code: int, command: str, words: str = "") -> DNSError:
        meaning = CODES.get(code, "a code that its documentation does not list")
        said = f"{self._said()}: {command}: exit code {code}, {meaning}"
        said = f"{said} ({words})" if words else said
        if code in KEY:
            return BadKey(said)
        if code == NOT_THERE:
            return ZoneNotFound(said)
        return DNSUnreachable(said) if code in BUSY else DNSRefused(said)

    def _said(self) -> str:
        return f"HestiaCP at {self._where.url}"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
