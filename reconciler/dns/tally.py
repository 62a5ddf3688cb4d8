"""What came of a zone's changes in the words of DNS-09, and counted for the summary (DNS-08)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from desired.zones import ZoneSpec
from handlers.classless import classless
from handlers.dns import Dns
from state.change import Change
from state.drivers import DNSError


@dataclass(frozen=True, slots=True)
class Sent:
    """One change that was tried: `error` None means that the provider confirmed it."""

    change: Change
    keys: tuple[str, ...]
    error: DNSError | None = None

    @property
    def type(self) -> str:
        return self.change.field.partition(" ")[0]

    @property
    def name(self) -> str:
        return self.change.field.partition(" ")[2]

    @property
    def removes(self) -> bool:
        return self.change.new is None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log: `reverse` or forward, removed or written, and for which VMs."""

    text: str
    reverse: bool
    keys: tuple[str, ...]
    failed: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """Records written or removed, and those that were refused, by direction."""

    forward_ok: int = 0
    forward_err: int = 0
    rev_ok: int = 0
    rev_err: int = 0

    def __str__(self) -> str:
        return (
            f"forward_ok={self.forward_ok} forward_err={self.forward_err} "
            f"rev_ok={self.rev_ok} rev_err={self.rev_err}"
        )

    @property
    def failed(self) -> int:
        return self.forward_err + self.rev_err


def count(lines: Iterable[Line]) -> Counts:
    """Count lines: one for each name, or address, and zone."""
    number = {(reverse, failed): 0 for reverse in (False, True) for failed in (False, True)}
    for line in lines:
        number[line.reverse, line.failed] += 1
    return Counts(
        number[False, False], number[False, True], number[True, False], number[True, True]
    )


def by_vm(lines: Iterable[Line]) -> Mapping[str, list[Line]]:
    """Return each VM's lines."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        for key in line.keys:
            found.setdefault(key, []).append(line)
    return found


def lines_of(zone: ZoneSpec, sent: Sequence[Sent]) -> list[Line]:
    """Return the lines of a zone's changes; addresses of one name stand in one line (DNS-09)."""
    found, together = [], dict[tuple[str, bool, str], list[Sent]]()
    for one in sent:
        if one.type in ("A", "AAAA"):
            why = one.error.text if one.error else ""
            together.setdefault((one.name, one.removes, why), []).append(one)
        else:
            found.append(_line(zone, one, _shown(one), reverse=one.type == "PTR"))
    for (name, removes, _), some in together.items():
        number = sum(len(_values(one)) for one in some)
        ips = f" ({number} IP{'' if number == 1 else 's'})" if not removes else ""
        found.append(_line(zone, some[0], f"{name}{ips}", reverse=False))
    return found


def _line(zone: ZoneSpec, one: Sent, what: str, *, reverse: bool) -> Line:
    word = ("rev" if reverse else "fwd") + ("-del" if one.removes else "")
    result = "ERR" if one.error else "OK"
    why = f": {one.error.text}" if one.error else ""
    text = f"· {word} {result} [{zone.provider}] {zone.name} ← {what}{why}"
    return Line(text, reverse, one.keys, one.error is not None)


def _shown(one: Sent) -> str:
    """A PTR as its address, a CNAME as its name; behind it where it points while it is wanted."""
    what = address_of(one.name) if one.type == "PTR" else one.name
    return what if one.removes else f"{what} → {', '.join(_values(one))}"


def _values(one: Sent) -> tuple[str, ...]:
    new = one.change.new
    return new if isinstance(new, tuple) else ()


def address_of(name: str) -> str:
    """Return the address of a reverse name, also of one in a zone of RFC 2317."""
    octet, _, zone = name.partition(".")
    within = classless(zone)
    labels = (f"{octet}.{within.parent}" if within else name).split(".")[:-2]
    if within or name.endswith(".in-addr.arpa"):
        return str(IPv4Address(".".join(reversed(labels))))
    digits = "".join(reversed(labels))
    return str(ip_address(":".join(digits[at : at + 4] for at in range(0, 32, 4))))


def zone_trouble(zone: ZoneSpec, words: str) -> str:
    """Say that nothing could be done in a zone."""
    return f"{Dns.name}: zone {zone.name} [{zone.provider}]: {words}"
