"""All zones of a fleet in one run: side by side, and no VM waits for them (DEP-14, DNS-08)."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from desired.source import Fleet
from desired.spec import VMSpec
from handlers.dns import CONFLICT, WantedZone
from handlers.records import by_zone
from reconciler.clock import Clock, Workers
from reconciler.config import Opened
from reconciler.dns.naming import Naming, naming, owners
from reconciler.dns.tally import Counts, Line, Sent, by_vm, count, lines_of, zone_trouble
from reconciler.dns.tickets import ask_by_ticket
from reconciler.dns.zone import ZoneTurn
from reconciler.report import Remark, Reporter
from state.conditions import Condition
from state.drivers import DNSUnreachable
from state.journal import StepRecord, VMRun
from state.store import Lost, Store

logger = logging.getLogger(__name__)
READY = "DNSReady"
LABEL = "Configure DNS records"
SHARE = 0.2
"""The part of a run's time that is the zones' at least."""

SIDE_BY_SIDE = 8
SHOWN = 20
"""So many records of a zone that is out of reach are told one by one."""

DAY, QUARTER = timedelta(hours=24), timedelta(minutes=15)
FEW = 500
"""A smaller fleet's zones are read as often as its VMs are (design 3)."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of all zones in one run."""

    turns: tuple[ZoneTurn, ...] = ()
    lines: tuple[Line, ...] = ()

    @property
    def counts(self) -> Counts:
        return count(self.lines)

    def conditions(self, at: datetime) -> dict[str, list[Condition]]:
        """Return what DNS makes of each VM's conditions: DNSReady=False, RecordConflict."""
        found: dict[str, list[Condition]] = {}
        for turn in self.turns:
            for key, words in turn.conditions().items():
                found.setdefault(key, []).append(Condition(key, READY, False, "dns", words, at))
            for note in turn.notes:
                conflict = Condition(note.subject, CONFLICT, True, "dns", note.reason, at)
                found.setdefault(note.subject, []).append(conflict)
        return {key: _first_of_each(some) for key, some in found.items()}


def _first_of_each(conditions: Sequence[Condition]) -> list[Condition]:
    first: dict[str, Condition] = {}
    for one in conditions:
        first.setdefault(one.type, one)
    return list(first.values())


@dataclass(frozen=True, slots=True)
class FleetZones:
    """Brings every zone in order; `over` tells when nothing more may be begun."""

    opened: Opened
    reporter: Reporter
    clock: Clock
    over: Callable[[], bool]
    forced: bool = False
    adopts: bool = False
    only: frozenset[str] | None = None

    @property
    def fleet(self) -> Fleet:
        return self.opened.fleet

    @property
    def store(self) -> Store:
        return self.opened.store

    def settle(self, specs: Mapping[str, VMSpec], *, partial: bool = False) -> Settled:
        """Make the zones what `specs`, those of the VMs at work, say. Raises only Lost."""
        asks = any(spec.dns and spec.dns.ticket for spec in specs.values())
        if not (self.fleet.zones or asks):
            return Settled()
        names = naming(self.fleet, specs, self.store.memories(), partial=partial)
        if asks:
            ask_by_ticket(self.store, self.fleet.zones, names.vms, self.clock.now())
        wanted = wanted_zones(self.fleet, self.store, names)
        verify = verify_every(self.fleet, len(names.vms))
        turns = [
            self._turn(one, verify)
            for id, one in wanted.items()
            if self.only is None or id in self.only
        ]
        workers = min(SIDE_BY_SIDE, self.fleet.limits.workers)
        Workers(workers).map(self._run_all, by_server(turns))
        found = [(turn, lines_of(turn.wanted.zone, _told(turn))) for turn in turns]
        for turn, lines in found:
            self._tell(turn, lines)
        return Settled(tuple(turns), tuple(line for _, lines in found for line in lines))

    def _turn(self, wanted: WantedZone, verify: timedelta) -> ZoneTurn:
        return ZoneTurn(
            wanted,
            self.store,
            self.clock,
            lambda: self.opened.dns(wanted.zone),
            self.over,
            verify,
            self.forced,
            self.adopts,
        )

    def _run_all(self, turns: Sequence[ZoneTurn]) -> None:
        for turn in turns:
            self._run(turn)

    def _run(self, turn: ZoneTurn) -> None:
        """One zone's exception is that zone's trouble; VMs and other zones go on (DNS-08)."""
        if self.over():
            turn.trouble = "the time was out before its turn; the next run goes on with it"
            return
        try:
            turn.run()
        except Lost:
            raise
        except Exception as error:
            logger.exception("zone %s failed", turn.id)
            turn.trouble, turn.tried = f"{type(error).__name__}: {error}", True

    def _tell(self, turn: ZoneTurn, lines: Sequence[Line]) -> None:
        now = self.clock.now()
        for line in lines:
            self.reporter.report(Remark(now, line.text, "warning" if line.failed else "note"))
        if turn.trouble and not any(line.failed for line in lines):
            text = zone_trouble(turn.wanted.zone, turn.trouble)
            self.reporter.report(Remark(now, text, "warning"))
        elif turn.trouble and len(turn.open) > SHOWN:
            more = f"· and {len(turn.open) - SHOWN} more records of {turn.id}"
            self.reporter.report(Remark(now, more, "warning"))
        for reason in sorted({note.reason for note in turn.notes}):
            self.reporter.report(Remark(now, f"dns: {reason}", "warning"))


def by_server(turns: Iterable[ZoneTurn]) -> list[list[ZoneTurn]]:
    """Return the zones of each server; they have their turns one after the other.

    A server is not asked for two things at once: of BIND that would eat into its quota of updates,
    and a PowerDNS on SQLite answers 500 to the second writer.
    """
    found: dict[tuple[str, str], list[ZoneTurn]] = {}
    for turn in turns:
        found.setdefault(turn.wanted.zone.server, []).append(turn)
    return list(found.values())


def _told(turn: ZoneTurn) -> list[Sent]:
    """Return what was tried; of a zone that was found out of reach also what could not be."""
    if not (turn.trouble and turn.tried):
        return turn.sent
    error, missed = DNSUnreachable(turn.trouble), []
    for id, change in list(turn.open.items())[:SHOWN]:
        wanted = turn.wanted.records.get(id)
        missed.append(Sent(change, wanted.keys if wanted else (), error))
    return [*turn.sent, *missed]


def wanted_zones(fleet: Fleet, store: Store, names: Naming) -> dict[str, WantedZone]:
    """Return what each zone should hold, by its id."""
    records = by_zone(fleet.zones, names.vms)
    found = {}
    for id, zone in fleet.zones.items():
        kept = names.kept
        if names.everyone:
            kept = names.keeping(owners(row.keys for row in store.zones.owned(id).values()))
        found[id] = WantedZone(zone, records[id], kept)
    return found


def verify_every(fleet: Fleet, vms: int) -> timedelta:
    """Return how old the reading of a zone may be whose serial has not moved."""
    if fleet.verify_every is not None:
        return timedelta(seconds=fleet.verify_every)
    return QUARTER if vms < FEW else DAY


def write_down(
    store: Store,
    run: int,
    states: Mapping[str, tuple[str, str, bool]],
    settled: Settled,
    at: datetime,
) -> None:
    """Put the counts into the log of each VM that had a record written or refused (DNS-08).

    `states` are, by key, its action, its state, and whether this run has told of it already.
    """
    for key, lines in sorted(by_vm(settled.lines).items()):
        if key not in states:
            continue
        action, state, open_run = states[key]
        counts = count(lines)
        errors = [line.text for line in lines if line.failed]
        detail = "; ".join([str(counts), *errors[:3]])
        result = "error" if counts.failed else "success"
        store.journal.step(
            run, key, action, StepRecord(LABEL, state, state, result, 0.0, at, detail)
        )
        if not open_run:
            ended = VMRun(key, action, at, at, state, state, "success")
            store.journal.record(run, ended)
