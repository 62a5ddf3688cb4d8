"""Name servers that take dynamic updates (RFC 2136): BIND, PowerDNS, Knot and others.

One message per batch, its prerequisites are the compare-and-set; reading is a transfer (AXFR,
RFC 5936). With a key all of it is signed (TSIG, RFC 8945).
"""

from collections.abc import Iterator, Sequence

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
import dns.xfr
import dns.zone

from desired.zones import Rfc2136
from reconciler.dns.drivers.answers import parsed, refusal, unsigned
from reconciler.dns.drivers.apart import (
    TooMuch,
    Withheld,
    apply_apart,
    clash,
    coming,
    shared,
)
from reconciler.dns.drivers.values import (
    Row,
    dotted,
    dotted_value,
    plain_name,
    plain_value,
    rrsets,
)
from reconciler.dns.drivers.wire import dialled
from state.drivers import (
    Applied,
    BadKey,
    Conflict,
    DNSError,
    DNSUnreachable,
    Limits,
    RRChange,
    RRset,
    ZoneNotFound,
)
from state.secret import Secret

LARGEST = 60_000
"""Bytes of one update, of the 65,535 that a message may have."""
SLOW = 100
"""Changes of what is there in one update: PowerDNS looks through its whole zone for each."""
CONFLICTS = frozenset(
    {dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN}
)
ABSENT = frozenset({dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.REFUSED})
"""How servers answer for a zone that they do not hold: with nothing, its parent's word, or no."""


class Rfc2136Driver:
    """One zone of a name server."""

    limits = Limits(batch=500)

    def __init__(self, zone: str, where: Rfc2136, secret: Secret | None) -> None:
        """Raises BadKey for a secret that is no base64."""
        self._zone = dns.name.from_text(dotted(zone))
        self._where = where
        self._key = _key(where, secret)
        self._told = f"{where.server} port {where.port}: zone {zone}"

    def check(self) -> str:
        """Ask for the zone, and send an update of nothing, which needs the right to update."""
        serial = self.serial()
        self._update(dns.update.UpdateMessage(self._zone))
        key = self._where.key
        signed = f"signed with {key.name} ({key.algorithm})" if key else "unsigned"
        return f"{self._told} answered: serial {serial}, updates taken, {signed}"

    def serial(self) -> str | None:
        query = dns.message.make_query(self._zone, dns.rdatatype.SOA)
        answer = self._ask(query)
        if answer.rcode() not in ABSENT:
            raise refusal(self._told, answer.rcode())
        found = answer.get_rrset(answer.answer, self._zone, dns.rdataclass.IN, dns.rdatatype.SOA)
        if not found or not answer.flags & dns.flags.AA:
            raise ZoneNotFound(f"{self._told}: the server does not hold this zone")
        return str(found[0].serial)

    def read(self) -> tuple[RRset, ...]:
        zone = dns.zone.Zone(self._zone, relativize=False)
        query, _ = dns.xfr.make_query(zone)
        self._sign(query)
        try:
            self._transfer(query, zone)
        except BadKey:
            # Servers say the same of a zone that they do not hold.
            self.serial()
            raise
        return rrsets(_rows(zone))

    def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
        """Apply updates; a name that goes over to another type is freed by one of its own first.

        The server would drop a CNAME beside what was not removed after all.
        """
        filled, clashing = {name for name, _ in coming(batch)}, shared(coming(batch))
        errors: dict[int, DNSError | None] = {}
        rounds: tuple[list[int], list[int]] = ([], [])
        for at, change in enumerate(batch):
            if change.new is not None and change.rrset.name in clashing:
                errors[at] = clash(change.rrset.name)
            else:
                freeing = change.new is None and change.rrset.name in filled
                rounds[0 if freeing else 1].append(at)
        for part in rounds:
            found = apply_apart([batch[at] for at in part], self._apply_all)
            errors.update((at, one.error) for at, one in zip(part, found, strict=True))
        return tuple(Applied(change, errors[at]) for at, change in enumerate(batch))

    def close(self) -> None:
        """There is nothing to give back: each exchange has a connection of its own."""

    def _transfer(self, query: dns.message.Message, zone: dns.zone.Zone) -> None:
        """Fill the zone by AXFR."""
        with (
            dialled(self._where.server, self._where.port, self._where.timeout) as line,
            dns.xfr.Inbound(zone, dns.rdatatype.AXFR) as inbound,
        ):
            line.send(query.to_wire())
            context, done = None, False
            while not done:
                message = parsed(query, line.receive(), self._told, context, transfer=True)
                context = message.tsig_ctx
                try:
                    done = inbound.process_message(message)
                except dns.xfr.TransferError as error:
                    raise refusal(self._told, error.rcode) from None
                except dns.exception.DNSException as error:
                    raise DNSUnreachable(f"{self._told}: the transfer broke off: {error}") from None
            if self._key is not None and not message.had_tsig:
                raise unsigned(dns.rcode.NOERROR, self._told)

    def _apply_all(self, batch: Sequence[RRChange]) -> None:
        if len(batch) > 1 and sum(change.old is not None for change in batch) > SLOW:
            raise TooMuch
        message = dns.update.UpdateMessage(self._zone)
        _require(message, batch)
        for change in batch:
            about = change.rrset
            name = dns.name.from_text(dotted(about.name))
            new = change.new.values if change.new else frozenset()
            for value in sorted((change.old.values if change.old else frozenset()) - new):
                message.delete(name, about.type, dotted_value(about.type, value))
            # What stays is written too: that is how its TTL changes.
            for value in sorted(new):
                message.add(name, about.ttl, about.type, dotted_value(about.type, value))
        self._update(message)

    def _update(self, message: dns.update.UpdateMessage) -> None:
        try:
            code = self._ask(message).rcode()
            if code in CONFLICTS:
                word = dns.rcode.to_text(code)
                raise Conflict(f"{self._told}: {word}: the records are not as they were read")
            if code == dns.rcode.REFUSED:
                raise Withheld(refusal(self._told, code).text)
            if code != dns.rcode.NOERROR:
                raise refusal(self._told, code)
        except BadKey:
            # Servers say the same of a zone that they do not hold.
            self.serial()
            raise

    def _ask(self, query: dns.message.Message) -> dns.message.Message:
        self._sign(query)
        try:
            wire = query.to_wire(max_size=LARGEST)
        except dns.exception.TooBig:
            raise TooMuch from None
        with dialled(self._where.server, self._where.port, self._where.timeout) as line:
            line.send(wire)
            answer = parsed(query, line.receive(), self._told)
        if not query.is_response(answer):
            raise DNSUnreachable(f"{self._told}: answered something else than was asked")
        return answer

    def _sign(self, query: dns.message.Message) -> None:
        if self._key is not None:
            query.use_tsig(self._key)


def _key(where: Rfc2136, secret: Secret | None) -> dns.tsig.Key | None:
    if where.key is None or secret is None:
        return None
    algorithm = "hmac-md5.sig-alg.reg.int" if where.key.algorithm == "hmac-md5" else None
    try:
        return dns.tsig.Key(
            dns.name.from_text(dotted(where.key.name)),
            secret.reveal(),
            dotted(algorithm or where.key.algorithm),
        )
    except ValueError:
        raise BadKey(f"the secret of the key {where.key.name} is no base64 text") from None


def _require(message: dns.update.UpdateMessage, batch: Sequence[RRChange]) -> None:
    """Put in what must hold for any of it to happen (RFC 2136 section 2.4).

    Servers pass over an A beside a CNAME, or the reverse, without a word (section 3.4.2.2): a new
    rrset therefore asks that nothing of that kind be there.
    """
    asked: set[tuple[str, str]] = set()
    for change in batch:
        about = change.rrset
        name = dns.name.from_text(dotted(about.name))
        if change.old is not None:
            values = [dotted_value(about.type, one) for one in sorted(change.old.values)]
            message.present(name, about.type, *values)
            continue
        for kind in ("",) if about.type == "CNAME" else (about.type, "CNAME"):
            if (about.name, kind) not in asked:
                asked.add((about.name, kind))
                message.absent(name, *([kind] if kind else []))


def _rows(zone: dns.zone.Zone) -> Iterator[Row]:
    """The zone's records; a signed one has several sets of one name and type `RRSIG`."""
    for name, rdataset in zone.iterate_rdatasets():
        kind, plain = dns.rdatatype.to_text(rdataset.rdtype), plain_name(name.to_text())
        for one in rdataset:
            yield plain, kind, rdataset.ttl, plain_value(kind, one.to_text()), ""
