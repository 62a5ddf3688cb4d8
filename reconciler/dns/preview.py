"""What a run would do in each zone: asked and read, nothing written anywhere."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

from desired.spec import VMSpec
from handlers.dns import SeenZone, WantedZone
from handlers.records import Named
from reconciler.clock import Clock, Workers
from reconciler.config import Opened
from reconciler.dns.fleet import SIDE_BY_SIDE, verify_every, wanted_zones
from reconciler.dns.naming import ENDED, ENDING, Naming, naming
from reconciler.registry import zone_handlers
from reconciler.report import PlannedZone
from reconciler.secrets import SecretError
from state.change import Change, Note
from state.drivers import DNSError, RRset
from state.memory import Memory


def preview_zones(
    opened: Opened,
    specs: Mapping[str, VMSpec],
    memories: Mapping[str, Memory],
    clock: Clock,
    *,
    partial: bool = False,
) -> tuple[PlannedZone, ...]:
    """Return what differs in each zone if the VMs had what `memories` foresee for them."""
    if not opened.fleet.zones:
        return ()
    before = naming(opened.fleet, specs, opened.store.memories(), partial=partial)
    names = foreseen(before, specs, memories)
    wanted = list(wanted_zones(opened.fleet, opened.store, names).values())
    verify = verify_every(opened.fleet, len(names.vms))
    workers = min(SIDE_BY_SIDE, opened.fleet.limits.workers)
    read = _reader(opened, clock, verify)
    return tuple(Workers(workers).map(lambda one: _planned(opened, one, read, clock), wanted))


def foreseen(before: Naming, specs: Mapping[str, VMSpec], memories: Mapping[str, Memory]) -> Naming:
    """Return the VMs as they are planned, those that are still to be made among them."""
    vms = {vm.spec.key: vm for vm in before.vms}
    for key, memory in memories.items():
        spec, binding = specs.get(key), memory.binding
        over = binding is not None and binding.phase in (*ENDED, *ENDING)
        if spec is not None and spec.state == "present" and not over:
            vms[key] = Named(spec, memory.leases)
    return replace(before, vms=tuple(vms.values()), kept=before.kept - vms.keys())


def held_records(opened: Opened, clock: Clock, verify: timedelta, zone: WantedZone) -> list[RRset]:
    """Return what a zone holds, by the cache if its serial has not moved. Raises as `dns` does."""
    store, id = opened.store.zones, zone.zone.id
    driver = opened.dns(zone.zone)
    try:
        cached, serial = store.cached(id), driver.serial()
        young = cached.read_at is not None and clock.now() - cached.read_at < verify
        if young and not cached.dirty and serial == cached.serial:
            return list(store.records(id))
        return list(driver.read())
    finally:
        driver.close()


Read = Callable[[WantedZone], tuple[list[RRset], str]]


def _reader(opened: Opened, clock: Clock, verify: timedelta) -> Read:
    def read(zone: WantedZone) -> tuple[list[RRset], str]:
        try:
            return held_records(opened, clock, verify, zone), ""
        except (DNSError, SecretError) as error:
            return list(opened.store.zones.records(zone.zone.id)), str(error)

    return read


def _planned(opened: Opened, wanted: WantedZone, read: Read, clock: Clock) -> PlannedZone:
    zones, id = opened.store.zones, wanted.zone.id
    records, problem = read(wanted)
    seen = SeenZone.of(records, zones.owned(id), opened.store.id, clock.now())
    unknown = bool(problem) and zones.cached(id).read_at is None
    handlers = () if unknown else zone_handlers()
    found = [one for handler in handlers for one in handler.diff(wanted, seen)]
    return PlannedZone(
        id,
        wanted.zone.provider,
        tuple(one for one in found if isinstance(one, Change)),
        tuple(one for one in found if isinstance(one, Note)),
        problem,
        wanted=len(wanted.records),
        held=sum(seen.is_ours(one) for one in seen.records),
    )
