"""What a driver of another world promises: name servers, and their one tree of errors.

DNSError                  anything a provider or the way to it refused; carries its own words
├── DNSUnreachable        not reached, or the answer was lost: what was sent may have been done
├── DNSRefused            it answered no: a value, a right or a limit; nothing of it was applied
│   ├── BadKey            the key, token or password is wrong, or stands for nothing there
│   └── ZoneNotFound      the provider does not have the zone
└── Conflict              the rrset is no longer as it was read: read again, decide again

Names are absolute, lower case and without the last dot (`web-1.example.net`,
`0/26.2.0.192.in-addr.arpa`). Values are as zone files write them, names among them likewise
lower case and without the last dot, addresses in their shortest form (RFC 5952).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


class DNSError(Exception):
    """What a name server or the way to it refused, in its own words."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class DNSUnreachable(DNSError):
    """The provider was not reached, or its answer was lost: what was sent may have been done."""


class DNSRefused(DNSError):
    """The provider answered no; nothing of the change was applied."""


class BadKey(DNSRefused):
    """The key, token or password is wrong, has run out, or has no right to do this."""


class ZoneNotFound(DNSRefused):
    """The provider does not have the zone, or does not show it to this key."""


class Conflict(DNSError):
    """The rrset is no longer as it was read; nothing of the change was applied."""


@dataclass(frozen=True, slots=True, order=True)
class RRset:
    """All records of one name and type. `ttl` in seconds; types as zone files write them (`A`).

    `mark` is the comment by which we know our own, empty where the provider has no comments.
    """

    name: str
    type: str
    ttl: int
    values: frozenset[str]
    mark: str = ""


@dataclass(frozen=True, slots=True)
class RRChange:
    """One rrset to be made otherwise: `old` None creates, `new` None removes.

    A driver applies it only if the zone still holds exactly `old` (values, not TTL or mark; None:
    no rrset of that name and type at all), as far as its provider can tell. What is in both the
    old and the new is of one name and type.
    """

    old: RRset | None
    new: RRset | None

    @property
    def rrset(self) -> RRset:
        """The new rrset, or the old one where it is removed: what names the change."""
        found = self.new or self.old
        if found is None:
            raise ValueError("a change of nothing into nothing")
        return found


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of one change; `error` None means that the provider has confirmed it."""

    change: RRChange
    error: DNSError | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How many changes one `apply` may be given, and how many may be at work at once."""

    batch: int = 100
    concurrency: int = 1


class ZoneDriver(Protocol):
    """One zone on one provider. Raises DNSError; no secret is in any error, repr or log.

    Nothing is sent before the first call, and no write is sent twice. A driver is used by one
    thread, at most `limits.concurrency` calls of `apply` apart.
    """

    @property
    def limits(self) -> Limits: ...

    def check(self) -> str:
        """Ask for the zone and say in one line what answered (DNS-14); raises the exact error."""
        ...

    def serial(self) -> str | None:
        """Return what changes with every change of the zone, at the cost of one query.

        None where the provider has no such thing.
        """
        ...

    def read(self) -> tuple[RRset, ...]:
        """Return every rrset of the zone, of whatever type, sorted; raises DNSError."""
        ...

    def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
        """Apply at most `limits.batch` changes; answer for each, in their order.

        One that fails leaves the others as they are. Raises DNSError only where the whole batch
        met it: after DNSUnreachable any of it may have been done.
        """
        ...

    def close(self) -> None:
        """Give back connections; may be called twice."""
        ...
