"""The records of one zone on one provider: what is ours there, and what it should be."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from desired.zones import ZoneSpec
from handlers.handler import Aspect, Subject
from handlers.records import WantedRecord
from state.change import Change, Note
from state.drivers import Applied, RRChange, RRset, ZoneDriver
from state.zones import OwnedRecord, RecordId

CONFLICT = "RecordConflict"
ADDRESSES = ("A", "AAAA")
MARK = "reconcile"


@dataclass(frozen=True, slots=True)
class WantedZone:
    """A zone's spec, the records that VMs want in it, and the VMs whose records stay as they are.

    Kept are those of which nothing can be said today: a broken spec, one that could not be read.
    """

    zone: ZoneSpec
    records: Mapping[RecordId, WantedRecord]
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SeenZone:
    """What the provider holds, what of it is ours by the store, and whose mark is ours.

    `types` are those of each name.
    """

    records: Mapping[RecordId, RRset]
    owned: Mapping[RecordId, OwnedRecord]
    store: str
    at: datetime
    types: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(
        cls,
        records: Iterable[RRset],
        owned: Mapping[RecordId, OwnedRecord],
        store: str,
        at: datetime,
    ) -> "SeenZone":
        """The view of a zone that was read."""
        found = {(one.name, one.type): one for one in records}
        types: dict[str, tuple[str, ...]] = {}
        for name, type in found:
            types[name] = (*types.get(name, ()), type)
        return cls(found, owned, store, at, types)

    def is_ours(self, id: RecordId) -> bool:
        """Whether an rrset was written by us: by the store's row, or by its mark (DNS-07)."""
        row, found = self.owned.get(id), self.records.get(id)
        if found is not None and found.mark.startswith(f"{MARK} {self.store} "):
            return True
        return row is not None and (bool(row.held) or found is None or row.wrote(found.values))


@dataclass(frozen=True, slots=True)
class ZoneContext:
    """What `apply` may use: the driver, and the zone as it was compared."""

    driver: ZoneDriver
    spec: WantedZone
    seen: SeenZone


ZoneHandler = Aspect[WantedZone, SeenZone, ZoneContext, Sequence[Applied]]
"""One aspect of a zone."""


class Dns:
    """Keeps the records of the fleet's VMs in a zone, and no others.

        example.net: {rfc2136: {server: 192.0.2.53, key: {...}}}

    Owned is what the store has a row of, or what bears our mark where the provider has comments.
    A stranger's record of a wanted name is left as it is, with the condition `RecordConflict`;
    what is equal to the wanted one already needs nothing. Ours that was changed elsewhere is
    corrected while it is wanted, and left when it is not: then it is somebody else's now.

    Risk: none to VMs; it holds nothing back (DEP-14).
    """

    name = "dns"
    subject = Subject.ZONE
    after: tuple[str, ...] = ()
    blocking = False
    keys: tuple[str, ...] = ()

    def diff(self, spec: WantedZone, seen: SeenZone) -> Iterable[Change | Note]:
        for id in sorted({*spec.records, *seen.owned}):
            wanted = spec.records.get(id)
            if wanted is None:
                yield from self._removed(spec, seen, seen.owned[id])
            elif id not in seen.owned or not spec.kept.intersection(seen.owned[id].keys):
                yield from self._kept(spec, seen, wanted)

    def apply(self, changes: Sequence[Change], ctx: ZoneContext) -> Sequence[Applied]:
        """Send one batch; an answer for each change, in their order. Raises DNSError."""
        return ctx.driver.apply([rrchange(one, ctx.spec, ctx.seen) for one in changes])

    def _kept(
        self, spec: WantedZone, seen: SeenZone, wanted: WantedRecord
    ) -> Iterator[Change | Note]:
        found = seen.records.get(wanted.id)
        stranger = _stranger(seen, wanted)
        if found and found.values == wanted.values and found.ttl == spec.zone.ttl:
            return
        if stranger is None:
            yield _change(spec, wanted.id, found, wanted.values)
        elif stranger.values != wanted.values or stranger.type != wanted.type:
            yield from _conflicts(spec, wanted.keys, wanted.id, stranger)

    def _removed(
        self, spec: WantedZone, seen: SeenZone, row: OwnedRecord
    ) -> Iterator[Change | Note]:
        found = seen.records.get(row.id)
        if found is None or spec.kept.intersection(row.keys):
            return
        if row.wrote(found.values):
            yield _change(spec, row.id, found, None)
        elif row.held:
            yield from _conflicts(spec, row.keys, row.id, found)


def rrchange(change: Change, spec: WantedZone, seen: SeenZone) -> RRChange:
    """A change in the words of a driver: the rrset as it was read, and as it shall be."""
    type, _, name = change.field.partition(" ")
    wanted = spec.records.get((name, type))
    new = None
    if change.new is not None and wanted is not None:
        mark = f"{MARK} {seen.store} {' '.join(wanted.keys)}"
        new = RRset(name, type, spec.zone.ttl, wanted.values, mark)
    return RRChange(seen.records.get((name, type)), new)


def abandoned(spec: WantedZone, seen: SeenZone) -> list[RecordId]:
    """Rows that say nothing any more: neither wanted nor there as we wrote it."""
    found = []
    for id, row in seen.owned.items():
        there = seen.records.get(id)
        if id not in spec.records and not spec.kept.intersection(row.keys):
            if there is None or not row.wrote(there.values):
                found.append(id)
        elif id in spec.records and not row.held and not seen.is_ours(id):
            found.append(id)
    return found


def confirmed(spec: WantedZone, seen: SeenZone) -> list[OwnedRecord]:
    """Rows as they should be by what is there: an answer was lost, a mark is ours, keys moved."""
    return _rows(spec, seen, [id for id in spec.records if seen.is_ours(id)])


def equal(spec: WantedZone, seen: SeenZone) -> list[OwnedRecord]:
    """Rows of strangers' records that are just as wanted: what a lost store has forgotten."""
    return _rows(spec, seen, [id for id in spec.records if not seen.is_ours(id)])


def _rows(spec: WantedZone, seen: SeenZone, ids: Iterable[RecordId]) -> list[OwnedRecord]:
    found = []
    for id in ids:
        wanted, there = spec.records[id], seen.records.get(id)
        if there is None or there.values != wanted.values:
            continue
        nothing = frozenset[str]()
        row = OwnedRecord(spec.zone.id, *id, wanted.keys, there.values, nothing, there.ttl, seen.at)
        before = seen.owned.get(id)
        if before is None or replace(before, at=seen.at) != row:
            found.append(row)
    return found


def subject_of(zone: ZoneSpec) -> str:
    """How a zone is named in changes, attempts and logs."""
    return f"zone {zone.id}"


def _change(
    spec: WantedZone, id: RecordId, found: RRset | None, new: frozenset[str] | None
) -> Change:
    name, type = id
    subject = subject_of(spec.zone)
    old = tuple(sorted(found.values)) if found else None
    now = None if new is None else tuple(sorted(new))
    return Change(subject, Dns.name, f"{type} {name}", old, now, group=subject)


def _conflicts(
    spec: WantedZone, keys: Sequence[str], id: RecordId, stranger: RRset
) -> Iterator[Note]:
    """One note for each VM that the record is for."""
    name, type = id
    values = ", ".join(sorted(stranger.values)[:4])
    reason = (
        f"{spec.zone.id}: {stranger.type} {stranger.name} ({values}) is not ours; it is left alone"
    )
    for key in keys:
        yield Note(key, Dns.name, f"{type} {name}", reason, CONFLICT)


def _stranger(seen: SeenZone, wanted: WantedRecord) -> RRset | None:
    """Return the record of somebody else's that the wanted one would touch or contradict.

    A CNAME stands alone at its name; and a name whose other addresses are somebody else's is
    theirs, so that none of ours is added to it.
    """
    same = seen.records.get(wanted.id)
    if same is not None and not seen.is_ours(wanted.id):
        return same
    there = () if same else seen.types.get(wanted.name, ())
    others = (type for type in there if _excludes(wanted.type, type))
    foreign = (id for type in others if not seen.is_ours(id := (wanted.name, type)))
    return next((seen.records[id] for id in foreign), None)


def _excludes(wanted: str, other: str) -> bool:
    if "CNAME" in (wanted, other):
        return True
    return wanted in ADDRESSES and other in ADDRESSES
