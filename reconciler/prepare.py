"""What a tick or a dry run stands on: a site for each cluster, the turns, the addresses in use."""

import fnmatch
import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import cast

from desired.source import Fleet
from desired.spec import VMSpec
from reconciler.allocation.addresses import Addresses
from reconciler.clock import Clock, Workers
from reconciler.config import Opened
from reconciler.effective import REMOVED, RENEWED, TERMINATE, effective, has_turn
from reconciler.execute import Executor
from reconciler.neighbours import Neighbours
from reconciler.pve.contact import ClosedApi, CountingApi, FencedApi
from reconciler.pve.preflight import firewall_enabled, preflight
from reconciler.pve.usage import usage
from reconciler.registry import ending_handlers, restoring_handlers, vm_handlers
from reconciler.report import Remark, Reporter, Traced
from reconciler.secrets import SecretError
from reconciler.sim.embedded import EmbeddedFailed
from reconciler.site import Site
from reconciler.turn import Turn
from reconciler.usage.parting import Parting
from state.api import ApiError, Json
from state.memory import Memory
from state.observe import Observer, rotation_share
from state.store import Store

NOTHING: Mapping[str, Memory] = MappingProxyType({})
KEPT, KEPT_WITH_FINDINGS = timedelta(hours=24), timedelta(minutes=10)
"""How long what preflight learned is believed; less while something is missing."""
RECENT = timedelta(hours=1)
"""A store that a run used within this time is not one that was lost, or restored of old."""


@dataclass(slots=True)
class Stage:
    """Builds the sites of one run. With `dry` nothing is written."""

    opened: Opened
    reporter: Reporter
    clock: Clock
    dry: bool = False
    apis: list[CountingApi] = field(default_factory=list)
    said: set[str] = field(default_factory=set)
    neighbours: Neighbours = field(init=False)

    def sites(self, specs: Iterable[VMSpec], last_run: datetime | None) -> dict[str, Site]:
        """Return a site for each cluster that the specs name."""
        return self.sites_of({spec.cluster for spec in specs}, last_run)

    def sites_of(self, clusters: Iterable[str], last_run: datetime | None) -> dict[str, Site]:
        """Return a site for each of these clusters."""
        names = sorted(clusters)
        fleet, store = self.opened.fleet, self.opened.store
        self.neighbours = Neighbours.of(fleet, store, keeps=not self.dry)
        if last_run is None or self.clock.now() - last_run > RECENT:
            self.neighbours.awaited.update(names)
        workers = Workers(min(self.opened.fleet.limits.workers, max(1, len(names))))
        found = workers.map(lambda name: self._site(name, last_run), names)
        return dict(zip(names, found, strict=True))

    def _site(self, name: str, last_run: datetime | None) -> Site:
        api, fleet, store = self._api(name), self.opened.fleet, self.opened.store
        self.apis.append(api)
        every = (*vm_handlers(), *ending_handlers(), *restoring_handlers())
        handlers = {handler.name: handler for handler in every}
        site = Site(
            name=name,
            cluster=fleet.clusters[name],
            api=api,
            observer=Observer(name, api, store, self.clock.now, self.dry, own=api.identity),
            executor=Executor(
                api,
                store,
                handlers,
                self.clock.now,
                name,
                parting=Parting(api, store, name, fleet.schedule.zone, self.clock.now),
            ),
            neighbours=self.neighbours,
        )
        site.learn = partial(self._learn, site, api)
        bound = len(store.bindings.vmids(name))
        since = (self.clock.now() - last_run).total_seconds() if last_run else 0.0
        site.rotation = rotation_share(bound, since, fleet.verify_every)
        return site

    def _api(self, name: str) -> CountingApi:
        try:
            api = self.opened.connect(name)
        except (ApiError, SecretError, EmbeddedFailed) as error:
            return ClosedApi(str(error))
        api.trace = partial(self._traced, name)
        return FencedApi(api, self.opened.store.insist)

    def _learn(self, site: Site, api: CountingApi) -> None:
        """Preflight on first contact, when the fleet uses something new, and once a day.

        What keeps everything from being written is looked at again by every look.
        """
        if site.facts and not site.problem and site.facts.get("firewall_enabled", 0) is not None:
            return
        fleet, now, setting = self.opened.fleet, self.clock.now(), f"preflight:{site.name}"
        endpoints: list[Json] = list(site.cluster.endpoints)
        used = hashlib.sha256(repr((usage(fleet, site.name), endpoints)).encode()).hexdigest()
        settings = self.opened.store.settings
        kept = cast("Mapping[str, Json] | None", settings.get(setting))
        if kept and kept.get("used") == used:
            at = datetime.fromisoformat(str(kept["at"]))
            if now - at < (KEPT if kept.get("clean") else KEPT_WITH_FINDINGS):
                site.facts = self._fresh(api, cast("Mapping[str, Json]", kept["facts"]))
                return
        result = preflight(api, fleet, site.name, now)
        for finding in result.missing:
            advice = f": {finding.advice}" if finding.advice else ""
            if not finding.readonly:
                self._warn(f"cluster {site.name}: {finding.what}: {finding.message}{advice}")
        site.facts, site.passing = result.facts, result.passing
        site.problem = result.problem and f"cluster {site.name}: {result.problem}"
        if not site.cluster.simulated:
            self.neighbours.met(site.name, site.facts)
        if not self.dry and result.problem is None:
            settings.put(
                setting,
                {
                    "used": used,
                    "endpoints": endpoints,
                    "at": now.isoformat(),
                    "clean": not result.missing,
                    "facts": dict(result.facts),
                },
            )

    def _fresh(self, api: CountingApi, facts: Mapping[str, Json]) -> Mapping[str, Json]:
        """Return kept facts with the one that must not be stale: whether the firewall is on.

        Nothing hints at its being switched, and anti-spoofing rests on it (C10).
        """
        if not any(spec.firewall for spec in self.opened.fleet.vms.values()):
            return facts
        try:
            return {**facts, "firewall_enabled": firewall_enabled(api)}
        except ApiError:
            return {**facts, "firewall_enabled": None}

    def _warn(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.reporter.report(Remark(self.clock.now(), text, "warning"))

    def _traced(self, cluster: str, method: str, path: str, seconds: float, status: int) -> None:
        now = self.clock.now()
        self.reporter.report(Traced(now, method, path, status, seconds, cluster))


def told_of(fleet: Fleet, store: Store) -> dict[str, Memory]:
    """Return what is remembered of each VM whose spec alone does not say what it is to be."""
    ending = {key for key, spec in fleet.vms.items() if spec.state == "absent"}
    keys = ending | store.intents.keys(TERMINATE, REMOVED, *RENEWED)
    return store.memories(keys) if keys else {}


def turns_of(
    fleet: Fleet, only: tuple[str, ...], memories: Mapping[str, Memory] = NOTHING
) -> dict[str, Turn]:
    """Return a turn for each sound spec whose key fits one of the globs (all without).

    `memories` are those of `told_of`: without them nothing that is to be absent has a turn.
    """
    found = {}
    for key, written in sorted(fleet.vms.items()):
        memory = memories.get(key, Memory())
        spec = effective(written, memory)
        if fits(key, only) and has_turn(spec, memory):
            found[key] = Turn(spec)
    return found


def fits(key: str, only: tuple[str, ...]) -> bool:
    return not only or any(fnmatch.fnmatchcase(key, glob) for glob in only)


def unmatched(fleet: Fleet, only: tuple[str, ...]) -> list[str]:
    """Return the globs that no key fits, be its spec sound or broken."""
    keys = (*fleet.vms, *fleet.broken)
    return [glob for glob in only if not any(fnmatch.fnmatchcase(key, glob) for key in keys)]


def addresses_in_use(fleet: Fleet, store: Store, at: datetime) -> Addresses:
    """Return the leased addresses, and those that specs give by hand, rest or are reserved."""
    static = {
        str(family.static.ip)
        for spec in fleet.vms.values()
        for nic in spec.nics.values()
        for family in (nic.ipv4, nic.ipv6)
        if family is not None and family.static is not None
    }
    return Addresses(
        set(store.leases.taken()),
        frozenset(static),
        {one.address: one.key for one in store.reservations.all().values()},
        {
            address: one.key
            for address, one in store.quarantine.all().items()
            if one.until is None or one.until > at
        },
    )


def renamed(fleet: Fleet, store: Store) -> list[str]:
    """Carry machines to their new keys (`was:`); return `old -> new` of each."""
    return [
        f"{old} -> {new}"
        for old, new in renames(fleet, store.bindings.names())
        if store.bindings.rename_key(old, new)
    ]


def renames(fleet: Fleet, bound: Collection[str]) -> list[tuple[str, str]]:
    """Return which machine's key is to become which: those of `was:` that are bound as yet."""
    return [
        (spec.was, key)
        for key, spec in sorted(fleet.vms.items())
        if spec.was in bound and key not in bound and spec.was is not None
    ]
