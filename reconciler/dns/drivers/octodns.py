"""Any provider class of octoDNS, by its import path: needs the extra `octodns`.

octoDNS has neither a compare-and-set nor all-or-nothing: the zone is read before each write, and
again after one that failed, so that what did come about is not written twice.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Protocol, TypeVar

from desired.zones import OctoDns
from reconciler.dns.drivers.apart import apply_checked
from reconciler.dns.drivers.values import dotted, dotted_value, plain_name, plain_value
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

ID = "reconcile"
"""What octoDNS calls the provider in its own log lines."""
LONGEST = 300
T = TypeVar("T")


class _Rows(Protocol):
    name: str
    ttl: int
    rdatas: Sequence[str]


class _Record(Protocol):
    _type: str

    def to_rrset(self) -> _Rows: ...


class _Zone(Protocol):
    @property
    def records(self) -> Iterable[_Record]: ...

    def copy(self) -> "_Zone": ...

    def apply(self, changes: Sequence[object]) -> None: ...


class _Provider(Protocol):
    SUPPORTS: Iterable[str]

    def populate(self, zone: _Zone, target: bool, lenient: bool) -> bool | None: ...

    def apply(self, plan: object) -> int: ...


class OctoDnsDriver:
    """One zone of a provider that octoDNS knows."""

    limits = Limits(batch=2000)

    def __init__(self, zone: str, where: OctoDns, secrets: Mapping[str, Secret]) -> None:
        self._name = zone
        self._where = where
        self._secrets = dict(secrets)
        self._provider: _Provider | None = None

    def check(self) -> str:
        return f"{self._where.provider} answered: zone {self._name}, {len(self.read())} rrsets"

    def serial(self) -> str | None:
        """Return None: octoDNS knows of no serial."""
        return None

    def read(self) -> tuple[RRset, ...]:
        return _rrsets(self._zone())

    def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
        zones = [self._zone()]

        def send(part: Sequence[RRChange]) -> None:
            zone = zones.pop() if zones else self._zone()
            self._write(zone, part)

        return apply_checked(self._name, batch, _rrsets(zones[0]), send)

    def close(self) -> None:
        self._provider = None

    def _write(self, zone: _Zone, part: Sequence[RRChange]) -> None:
        from octodns.provider.plan import Plan

        there = {(plain_name(one.to_rrset().name), one._type): one for one in zone.records}
        held = {(one.name, one.type): one for one in _rrsets(zone)}
        changes = [
            self._octo(zone, change, there.get((change.rrset.name, change.rrset.type)))
            for change in part
            if held.get((change.rrset.name, change.rrset.type)) != _bare(change.new)
        ]
        if not changes:
            return
        wanted = zone.copy()
        self._guarded(lambda: wanted.apply(changes))
        plan = Plan(zone, wanted, changes, True)
        self._guarded(lambda: self._opened().apply(plan))

    def _octo(self, zone: _Zone, change: RRChange, there: _Record | None) -> object:
        """The change as octoDNS has it; DNSRefused for what the provider cannot hold."""
        from octodns.record import Create, Delete, Record, Update
        from octodns.record.rr import Rrset

        if change.new is None:
            return Delete(there)
        new = change.new
        if new.type not in self._opened().SUPPORTS:
            raise DNSRefused(f"{self._where.provider} has no records of type {new.type}")
        values = [dotted_value(new.type, one) for one in sorted(new.values)]
        rows = Rrset(dotted(new.name), new.type, new.ttl, values)
        record = self._guarded(lambda: Record.from_rrset(zone, rows, source=self._opened()))
        return Create(record) if there is None else Update(there, record)

    def _zone(self) -> _Zone:
        provider = self._opened()
        zone: _Zone = import_module("octodns.zone").Zone(dotted(self._name), [])
        if self._guarded(lambda: provider.populate(zone, target=True, lenient=True)) is False:
            raise ZoneNotFound(f"{self._where.provider}: it has no zone {self._name}")
        return zone

    def _opened(self) -> _Provider:
        if self._provider is None:
            self._provider = self._guarded(self._made)
        return self._provider

    def _made(self) -> _Provider:
        try:
            import_module("octodns.zone")
        except ImportError:
            raise DNSRefused(
                "octoDNS is not installed: pip install 'pve-reconcile[octodns]' and the package"
                " of the provider"
            ) from None
        # Else its first record says on standard error that it chose these itself.
        import_module("octodns.record").Record.enable_validators({"legacy"})
        module, _, name = self._where.provider.rpartition(".")
        try:
            cls = getattr(import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise DNSRefused(
                f"{self._where.provider}: no such class: {self._words(error)};"
                " install the provider's own package beside octoDNS"
            ) from None
        secrets = {key: secret.reveal() for key, secret in self._secrets.items()}
        provider: _Provider = cls(ID, **self._where.options, **secrets)
        return provider

    def _guarded(self, asked: Callable[[], T]) -> T:
        """Call the plug-in; whatever it raises becomes a DNSError."""
        try:
            return asked()
        except DNSError:
            raise
        # A plug-in may raise anything at all: each provider has errors of its own.
        except Exception as error:
            raise self._refusal(error) from None

    def _refusal(self, error: Exception) -> DNSError:
        said = f"{self._where.provider}: {type(error).__name__}: {self._words(error)}"
        status = getattr(getattr(error, "response", None), "status_code", 0)
        kind = type(error).__name__.lower()
        if status in (401, 403) or "unauthor" in kind or "forbidden" in kind:
            return BadKey(said)
        if status == 404 or kind.endswith("notfound"):
            return ZoneNotFound(said)
        return DNSUnreachable(said) if isinstance(error, OSError) else DNSRefused(said)

    def _words(self, error: Exception) -> str:
        text = " ".join(str(error).split())
        for secret in self._secrets.values():
            text = text.replace(secret.reveal(), "***")
        return text[:LONGEST]


def _bare(rrset: RRset | None) -> RRset | None:
    """A rrset as it is read back: octoDNS has no comments."""
    return None if rrset is None else RRset(rrset.name, rrset.type, rrset.ttl, rrset.values)


def _rrsets(zone: _Zone) -> tuple[RRset, ...]:
    found = []
    for record in zone.records:
        rows = record.to_rrset()
        kind = record._type
        values = frozenset(plain_value(kind, one) for one in rows.rdatas)
        found.append(RRset(plain_name(rows.name), kind, rows.ttl, values))
    return tuple(sorted(found))
