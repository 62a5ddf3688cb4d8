"""What a person asks of DNS by hand: are the providers there, what stands in a zone, settle now."""

import difflib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from desired.zones import ZoneSpec, rdns_hint
from handlers.dns import SeenZone
from reconciler.clock import Clock, Workers
from reconciler.config import Opened
from reconciler.dns.fleet import SIDE_BY_SIDE, FleetZones, Settled, verify_every, wanted_zones
from reconciler.dns.naming import Naming, naming
from reconciler.dns.preview import held_records
from reconciler.dns.roster import Exported, RecordLine, exported, record_lines
from reconciler.report import Reporter
from reconciler.secrets import SecretError
from state.drivers import DNSError


class NoSuchZone(ValueError):
    """Nobody knows the zone that was named; says which may be meant."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One zone that was asked for: what its provider answered, or its exact error (DNS-14)."""

    zone: ZoneSpec
    answer: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ShownZone:
    """One zone record by record; `error` when it could not be read, then as it was read last."""

    zone: ZoneSpec
    lines: tuple[RecordLine, ...]
    error: str = ""


def unusable(opened: Opened, named: Sequence[str]) -> list[str]:
    """Return what is wrong in the files of zones; of these names or ids, or all without any."""
    at_fault = (
        one for one in opened.fleet.errors if PurePath(one.place.file).parent.name == "zones"
    )
    return [str(one) for one in at_fault if not named or not _called(one.field).isdisjoint(named)]


def _called(field: str) -> set[str]:
    """The names and ids by which a person may mean the zone in whose entry a field stands."""
    parts = "|".join(ZoneSpec.model_fields)
    found = re.fullmatch(rf"(.+?)(?:\.({parts})(?:\..*)?)?", field)
    key, part = found.groups() if found else ("", "")
    return {key, key.partition("@")[0], f"{key}@{part}"}


def chosen(opened: Opened, named: Sequence[str]) -> list[ZoneSpec]:
    """Return the zones of these names or ids, all without any. Raises NoSuchZone."""
    zones = opened.fleet.zones
    for name in named:
        if name not in zones and not any(zone.name == name for zone in zones.values()):
            if wrong := unusable(opened, [name]):
                raise NoSuchZone(f"the entry of zone {name} cannot be used: {wrong[0]}")
            raise NoSuchZone(f"no zone {name} in fleet {opened.fleet.name}{_near(name, zones)}")
    return [zone for id, zone in zones.items() if not named or id in named or zone.name in named]


def _near(name: str, zones: Collection[str]) -> str:
    hits = difflib.get_close_matches(name, sorted(zones), n=3)
    return f"; did you mean {' or '.join(hits)}?" if hits else ""


def check(opened: Opened, zones: Sequence[ZoneSpec]) -> list[Checked]:
    """Ask each provider for its zone; nothing is written."""

    def ask(zone: ZoneSpec) -> Checked:
        try:
            driver = opened.dns(zone)
        except (DNSError, SecretError) as error:
            return Checked(zone, error=str(error))
        try:
            return Checked(zone, driver.check())
        except DNSError as error:
            return Checked(zone, error=error.text)
        finally:
            driver.close()

    return Workers(SIDE_BY_SIDE).map(ask, zones)


def hints(opened: Opened) -> Iterator[tuple[str, str, str]]:
    """Yield (pool, network, its reverse zone) of every pool (DNS-12)."""
    for name, pool in sorted(opened.fleet.pools.items()):
        yield name, str(pool.network), rdns_hint(pool.network)


def names_of(opened: Opened) -> Naming:
    """Return the VMs as the store knows them; no cluster is asked."""
    specs = {key: spec for key, spec in opened.fleet.vms.items() if spec.state == "present"}
    return naming(opened.fleet, specs, opened.store.memories(), partial=False)


def show(opened: Opened, zones: Sequence[ZoneSpec], clock: Clock) -> list[ShownZone]:
    """Compare zones with what is wanted; read where they have moved, nothing is written."""
    names, store = names_of(opened), opened.store
    wanted = wanted_zones(opened.fleet, store, names)
    verify = verify_every(opened.fleet, len(names.vms))

    def look(zone: ZoneSpec) -> ShownZone:
        error = ""
        try:
            records = held_records(opened, clock, verify, wanted[zone.id])
        except (DNSError, SecretError) as trouble:
            records, error = list(store.zones.records(zone.id)), str(trouble)
        owned = store.zones.owned(zone.id)
        seen = SeenZone.of(records, owned, store.id, clock.now())
        return ShownZone(zone, tuple(record_lines(wanted[zone.id], seen)), error)

    return Workers(SIDE_BY_SIDE).map(look, zones)


def resync(
    opened: Opened,
    zones: Sequence[ZoneSpec],
    reporter: Reporter,
    clock: Clock,
    *,
    adopts: bool = False,
) -> Settled:
    """Read the zones whatever their serials say, and settle them; pauses after failures end.

    With `adopts` records that are there just as wanted become ours.
    """
    specs = {key: spec for key, spec in opened.fleet.vms.items() if spec.state == "present"}
    only = frozenset(zone.id for zone in zones)
    fleet = FleetZones(opened, reporter, clock, lambda: False, True, adopts, only)
    return fleet.settle(specs)


def export(opened: Opened) -> list[Exported]:
    """Return every named address of the fleet (DNS-15)."""
    return exported(names_of(opened).vms)
