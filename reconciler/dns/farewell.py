"""What DNS knows of a VM whose machine is gone: taken away at once, or later (TERM-05)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from desired.zones import ZoneSpec
from handlers.dns import Dns, subject_of
from reconciler.config import Opened
from reconciler.dns.tally import Sent, lines_of
from reconciler.secrets import SecretError
from state.change import Change
from state.drivers import Applied, DNSError, DNSUnreachable, RRChange, RRset
from state.zones import OwnedRecord


@dataclass(frozen=True, slots=True)
class Farewell:
    """Removes one VM's records from every zone; what fails is left to the zones' own turn.

    Each is removed only as we wrote it. A record that other VMs share stays; it loses this VM's
    share when the zone is next compared.
    """

    opened: Opened

    def records(self, key: str) -> Iterator[str]:
        """Remove them, and yield the lines of DNS-09; no trouble of a provider leaves this."""
        mine: dict[str, list[OwnedRecord]] = {}
        for row in self.opened.store.zones.of(key):
            if row.keys == (key,) and row.zone in self.opened.fleet.zones:
                mine.setdefault(row.zone, []).append(row)
        for id, rows in sorted(mine.items()):
            zone = self.opened.fleet.zones[id]
            for line in lines_of(zone, self._removed(zone, rows)):
                yield line.text

    def _removed(self, zone: ZoneSpec, rows: Sequence[OwnedRecord]) -> list[Sent]:
        changes = [RRChange(_written(row), None) for row in rows]
        try:
            answers = self._apply(zone, changes)
        except (DNSError, SecretError) as error:
            failure = DNSUnreachable(str(error))
            answers = [Applied(one, failure) for one in changes]
        gone = [r.id for r, one in zip(rows, answers, strict=True) if one.error is None]
        self.opened.store.zones.forget(zone.id, gone)
        return [
            Sent(_change(zone, row), row.keys, one.error)
            for row, one in zip(rows, answers, strict=True)
        ]

    def _apply(self, zone: ZoneSpec, changes: Sequence[RRChange]) -> list[Applied]:
        driver = self.opened.dns(zone)
        try:
            size, answers = driver.limits.batch, list[Applied]()
            self.opened.store.zones.mark_dirty(zone.id)
            for first in range(0, len(changes), size):
                answers += driver.apply(changes[first : first + size])
            return answers
        finally:
            driver.close()


def _written(row: OwnedRecord) -> RRset:
    return RRset(row.name, row.type, row.ttl, row.held or row.pending)


def _change(zone: ZoneSpec, row: OwnedRecord) -> Change:
    old = tuple(sorted(row.held or row.pending))
    return Change(subject_of(zone), Dns.name, f"{row.type} {row.name}", old, None)
