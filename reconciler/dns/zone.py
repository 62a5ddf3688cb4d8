"""One zone's turn in a run: one question for its serial, and what differs made right.

The zone is read when its serial has moved, after our own writes, and when its reading is old. Rows
of the store are committed before a record is sent, and confirmed by the answer or a later reading.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from handlers.dns import (
    SeenZone,
    WantedZone,
    ZoneContext,
    abandoned,
    confirmed,
    equal,
    subject_of,
)
from handlers.records import WantedRecord
from reconciler.backoff import not_before
from reconciler.clock import Clock
from reconciler.dns.tally import Sent
from reconciler.registry import zone_handlers
from reconciler.secrets import SecretError
from state.change import Change, Note
from state.drivers import (
    Applied,
    BadKey,
    Conflict,
    DNSError,
    DNSUnreachable,
    ZoneDriver,
    ZoneNotFound,
)
from state.memory import Attempt
from state.store import Store
from state.zones import CachedZone, OwnedRecord, RecordId

logger = logging.getLogger(__name__)
WHOLE = "zone"
"""The handler under whose name failures of the whole zone are counted."""

TTL = "ttl"
"""The handler under whose name it is counted that a provider keeps another TTL."""

ROUNDS = 4
"""How often a zone is read and compared in one run: a write is seen by the reading after it."""

HOPELESS = 50
"""After so many refusals without one success the rest is not tried in this run."""

(DNS,) = zone_handlers()


@dataclass(slots=True)
class ZoneTurn:
    """A zone in one run; `open` are the changes that are still to be made, by record.

    One that is `forced` is read whatever its serial says; one that `adopts` takes equal records.
    `trouble` says why nothing can be done in it at all; `tried` whether that was seen just now.
    """

    wanted: WantedZone
    store: Store
    clock: Clock
    open_driver: Callable[[], ZoneDriver]
    over: Callable[[], bool]
    verify: timedelta
    forced: bool = False
    adopts: bool = False
    sent: list[Sent] = field(default_factory=list)
    notes: tuple[Note, ...] = ()
    trouble: str = ""
    open: dict[RecordId, Change] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    counted: set[str] = field(default_factory=set)
    reads: int = 0
    tried: bool = False
    quiet: bool = False

    @property
    def id(self) -> str:
        return self.wanted.zone.id

    @property
    def subject(self) -> str:
        return subject_of(self.wanted.zone)

    def run(self) -> None:
        """Settle the zone as far as time and provider allow; no DNSError leaves this."""
        self.attempts = self.store.attempts.of(self.subject)
        waits = self.attempts.get(WHOLE)
        if waits and waits.not_before > self.clock.now() and not self.forced:
            self._stuck(waits.error)
            return
        try:
            driver = self.open_driver()
        except (DNSError, SecretError) as error:
            self._fail(str(error))
            return
        try:
            self._settle(driver)
        except DNSError as error:
            self._fail(error.text)
        else:
            self._passed(WHOLE)
        finally:
            driver.close()

    def _settle(self, driver: ZoneDriver) -> None:
        signature = signature_of(self.wanted)
        cached, serial = self.store.zones.cached(self.id), driver.serial()
        fresh = self._is_fresh(cached, serial)
        if fresh and cached.settled == signature and not self.attempts:
            self.quiet = True
            return
        if not fresh:
            self._read(driver, serial)
        due = self._due(seen := self._seen())
        for _ in range(ROUNDS):
            if not due or self.over():
                break
            moved = self._send(driver, seen, due)
            self._read(driver, driver.serial())
            due = self._in_vain(seen := self._seen())
            if not moved:
                break
        if not (self.open or self.notes or self.attempts):
            self.store.zones.settle(self.id, signature)

    def _is_fresh(self, cached: CachedZone, serial: str | None) -> bool:
        """Whether what was last read still stands, as far as one question can tell."""
        if self.forced or cached.dirty or cached.read_at is None or serial != cached.serial:
            return False
        return self.clock.now() - cached.read_at < self.verify

    def _read(self, driver: ZoneDriver, serial: str | None) -> None:
        """Read the zone, which is at least as new as `serial`, asked for before."""
        at = self.clock.now()
        records = driver.read()
        self.reads += 1
        self.store.zones.keep(CachedZone(self.id, serial, at, False, "", tuple(records)))

    def _seen(self) -> SeenZone:
        """Return the zone as it was last read, with rows that say what is there."""
        zones, at = self.store.zones, self.clock.now()
        seen = SeenZone.of(zones.records(self.id), zones.owned(self.id), self.store.id, at)
        rows, gone = confirmed(self.wanted, seen), abandoned(self.wanted, seen)
        if self.adopts:
            rows += equal(self.wanted, seen)
        self.notes = tuple(one for one in DNS.diff(self.wanted, seen) if isinstance(one, Note))
        if rows:
            zones.put(rows)
        if gone:
            zones.forget(self.id, gone)
        if not (rows or gone):
            return seen
        return replace(seen, owned=zones.owned(self.id))

    def _due(self, seen: SeenZone) -> list[Change]:
        """Return what may be tried now, removals first; set down all that is open."""
        changes = [one for one in DNS.diff(self.wanted, seen) if isinstance(one, Change)]
        self.open = {_id(one): one for one in changes}
        named = {_attempt(one) for one in changes}
        for stale in [name for name in self.attempts if name not in (WHOLE, *named)]:
            self._passed(stale)
        now = self.clock.now()
        late = {n for n, one in self.attempts.items() if one.not_before > now and not self.forced}
        due = [one for one in changes if _attempt(one) not in late]
        return sorted(due, key=lambda one: one.new is not None)

    def _in_vain(self, seen: SeenZone) -> list[Change]:
        """Return what is due after our own writes; what a provider made something else of is not.

        It would be written for ever: a provider may have one TTL for all.
        """
        written = {one.change.field for one in self.sent if one.error is None}
        due = self._due(seen)
        for change in due:
            name, found = _attempt(change), seen.records.get(_id(change))
            if change.field in written and name not in self.counted:
                shown = f"TTL {found.ttl}" if found and name == TTL else change.old or "nothing"
                self._count(name, f"it was written, and the provider shows {shown} in its place")
        return [one for one in due if _attempt(one) not in self.counted]

    def _send(self, driver: ZoneDriver, seen: SeenZone, due: Sequence[Change]) -> bool:
        """Send the changes in batches; tell whether the zone is worth another look."""
        self.store.zones.mark_dirty(self.id)
        tools, size = ZoneContext(driver, self.wanted, seen), driver.limits.batch
        removed = [one for one in due if one.new is None]
        kept = [one for one in due if one.new is not None]
        moved, refused = 0, 0
        for some in (removed, kept):
            for first in range(0, len(some), size):
                if self.over() or (refused >= HOPELESS and not moved):
                    return moved > 0
                batch = some[first : first + size]
                self._intend(batch, seen)
                answers = DNS.apply(batch, tools)
                self._account(batch, answers, seen)
                refused += (wrong := sum(_refuses(one) for one in answers))
                moved += len(answers) - wrong
        return moved > 0

    def _intend(self, batch: Sequence[Change], seen: SeenZone) -> None:
        """Commit what is about to be written, so that no crash makes it a stranger's."""
        rows = []
        for change in batch:
            wanted = self._wanted(change)
            if wanted is not None:
                row = seen.owned.get(wanted.id)
                held = row.held if row else frozenset[str]()
                there = seen.records.get(wanted.id)
                if there is not None and not held:
                    held = there.values
                rows.append(self._row(wanted, held, wanted.values))
        self.store.zones.put(rows)

    def _account(self, batch: Sequence[Change], answers: Sequence[Applied], seen: SeenZone) -> None:
        """Keep what was confirmed, count what was refused."""
        rows, gone, nothing = [], [], frozenset[str]()
        for change, answer in zip(batch, answers, strict=True):
            wanted, id = self._wanted(change), _id(change)
            if isinstance(answer.error, Conflict):
                logger.info("%s: %s moved meanwhile: %s", self.id, change.field, answer.error.text)
                continue
            row = seen.owned.get(id)
            keys = wanted.keys if wanted else row.keys if row else ()
            self.sent.append(Sent(change, keys, answer.error))
            if answer.error is not None:
                self._refused(change, answer.error)
                continue
            if _attempt(change) != TTL:
                self._passed(change.field)
            if wanted is None:
                gone.append(id)
            else:
                rows.append(self._row(wanted, wanted.values, nothing))
        self.store.zones.put(rows)
        self.store.zones.forget(self.id, gone)

    def _row(
        self, wanted: WantedRecord, held: frozenset[str], pending: frozenset[str]
    ) -> OwnedRecord:
        ttl, at = self.wanted.zone.ttl, self.clock.now()
        return OwnedRecord(self.id, *wanted.id, wanted.keys, held, pending, ttl, at)

    def _wanted(self, change: Change) -> WantedRecord | None:
        return None if change.new is None else self.wanted.records.get(_id(change))

    def _refused(self, change: Change, error: DNSError) -> None:
        if isinstance(error, BadKey | ZoneNotFound | DNSUnreachable):
            raise error
        self._count(_attempt(change), error.text)

    def _count(self, handler: str, words: str) -> None:
        self.counted.add(handler)
        now = self.clock.now()
        before = self.attempts.get(handler)
        later = not_before(self.subject, handler, before.count + 1 if before else 1, now)
        attempts = self.store.attempts
        self.attempts[handler] = attempts.fail(self.subject, handler, words, now, later)

    def _passed(self, handler: str) -> None:
        if self.attempts.pop(handler, None) is not None:
            self.store.attempts.clear(self.subject, handler)

    def _fail(self, words: str) -> None:
        """The whole zone is out of reach: nothing of it is tried before a time."""
        self._count(WHOLE, words)
        self.tried = True
        self._stuck(words)

    def _stuck(self, words: str) -> None:
        """Say what would be done, by what was last read, if the zone could be reached."""
        self.trouble = words
        zones, at = self.store.zones, self.clock.now()
        seen = SeenZone.of(zones.records(self.id), zones.owned(self.id), self.store.id, at)
        found = list(DNS.diff(self.wanted, seen))
        self.notes = tuple(one for one in found if isinstance(one, Note))
        self.open = {_id(one): one for one in found if isinstance(one, Change)}

    def conditions(self) -> Mapping[str, str]:
        """Return the words of `DNSReady=False` by VM: those for whom something is still to do."""
        found: dict[str, str] = {}
        for id, change in self.open.items():
            attempt = self.attempts.get(_attempt(change))
            words = self.trouble or (attempt.error if attempt else "")
            wanted = self.wanted.records.get(id)
            for key in wanted.keys if wanted and words else ():
                found.setdefault(key, f"{self.id}: {change.field}: {words}")
        return found


def _refuses(answer: Applied) -> bool:
    return answer.error is not None and not isinstance(answer.error, Conflict)


def signature_of(wanted: WantedZone) -> str:
    """Name what is wanted in a zone, so that the next run knows whether that moved."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((wanted.zone.ttl, sorted(wanted.kept))).encode())
    for id in sorted(wanted.records):
        one = wanted.records[id]
        digest.update(repr((id, sorted(one.values), one.keys)).encode())
    return digest.hexdigest()


def _attempt(change: Change) -> str:
    """Under what name tries of a change are counted: those of a TTL are one for the zone."""
    return TTL if change.old == change.new else change.field


def _id(change: Change) -> RecordId:
    type, _, name = change.field.partition(" ")
    return name, type
