"""A lock with a heartbeat and a fence: alive in the store, dead with its process (LOCK-02..05).

Two things make it. A file's or a session's lock ends with whoever has it. The row in the store
says who that is, by a fencing number that grows with each holder, and how long a holder that gives
no sign of life is believed. So a killed holder is followed at once, and one that stands still
(stopped, swapped out, on a machine that hangs) after its time-out; when that one goes on, it sees
that its number is not the last any more, and writes nothing.
"""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from reconciler.latch import Holding, Latch
from state.database import Lost, StoreError
from state.holder import Holder, this_process
from state.lockrows import LockLost, LockRow, LockRows

logger = logging.getLogger(__name__)

TIMEOUT, BEAT = 600.0, 10.0
TRUST = 1.0
"""Seconds for which a look at the lock is believed at most; then a write asks again first."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Seconds between two heartbeats, and after how many without one a holder is given up."""

    timeout: float = TIMEOUT
    beat: float = BEAT
    here: Holder = field(default_factory=this_process)

    @property
    def step(self) -> float:
        """Seconds between heartbeats, of which at least four fit into the time-out."""
        return min(self.beat, self.timeout / 4)

    @property
    def trust(self) -> float:
        """Seconds for which what was seen of the lock is believed without asking again."""
        return min(TRUST, self.timeout / 4)


Opens = Callable[[], LockRows | None]
"""Opens the lock's row; None while there is no store. Raises StoreError."""


class Tenure(Holding):
    """`latch` ends with its holder; `opens` is the way to the lock's row, called `name`."""

    def __init__(self, latch: Latch, opens: Opens, name: str, terms: Terms | None = None) -> None:
        self.name = name
        self._latch = latch
        self._opens = opens
        self._terms = terms or Terms()
        self._rows: LockRows | None = None
        self._token = 0
        self._mine = self._guarded = False
        self._lost, self._away = "", False
        self._proof = _moment()
        self._turn = threading.RLock()
        self._heart = Heart(self._terms.step, self._beat)

    def acquire(self) -> bool:
        """Take it if nobody has it, or who has it is gone; never wait. Raises StoreError."""
        with self._turn:
            if self._mine:
                return True
            self._guarded = self._latch.acquire()
            try:
                self._mine = self._enter()
            finally:
                if not self._mine:
                    self._leave()
            if self._mine:
                self._heart.begin(self.name)
            return self._mine

    def held(self) -> bool:
        """Whether it is surely ours still: of old knowledge the store is asked again first."""
        with self._turn:
            if not self._mine or self._lost:
                return False
            age = _age(self._proof)
            known = self._token and age <= self._terms.trust
            return bool(known) or self._prove(age)

    def insist(self) -> None:
        """The fence: raise LockLost unless the lock is ours; to be asked before each write.

        Raise Lost where the server itself is gone.
        """
        if not self.held():
            if self._away:
                raise Lost(self._lost)
            why = self._lost or "it is not held"
            raise LockLost(
                f"the lock of {self.name} is lost: {why}; nothing more is written, and the next"
                " run goes on from here"
            )

    def release(self) -> None:
        self._heart.end()
        with self._turn:
            if self._mine and self._rows is not None and self._token:
                with suppress(StoreError):
                    self._rows.free(self._terms.here, self._token)
            self._leave()

    def holder(self) -> str:
        """Who has it (`pid 7 on host since ...`), this object included; empty if nobody."""
        with self._turn:
            row = self._look()
        if row is None or row.is_free or row.holder.is_gone(self._terms.here):
            return self._latch.holder()
        since = datetime.fromtimestamp(row.taken_at, UTC)
        return f"{row.holder} since {since:%Y-%m-%d %H:%M:%S %Z}"

    def _enter(self) -> bool:
        """Take the lock's row. Where there is no store yet, it is taken by a later heartbeat."""
        self._lost, self._away, self._token, self._proof = "", False, 0, _moment()
        self._rows = self._rows or self._opens()
        if self._rows is None:
            return self._guarded
        seen, here = self._rows.read(), self._terms.here
        if not (self._guarded if seen is None else seen.may_be_taken(here, self._guarded)):
            return False
        token = self._rows.take(here, self._terms.timeout, seen, self._guarded)
        self._token = token or 0
        if token and seen and not seen.is_free:
            logger.warning("the lock of %s was %s's, which %s", self.name, seen.holder, _end(seen))
        return token is not None

    def _leave(self) -> None:
        self._mine, self._token = False, 0
        if self._rows is not None:
            self._rows.link.close()
            self._rows = None
        self._latch.release()

    def _beat(self) -> bool:
        """One heartbeat; False once the lock is lost, or given back."""
        with self._turn:
            return self._mine and not self._lost and self._prove(_age(self._proof))

    def _prove(self, age: float) -> bool:
        """Ask whether the lock is ours still, and say that we are alive."""
        if self._guarded and not self._latch.held():
            self._lost, self._away = self._cut()
            return False
        at = _moment()
        try:
            if not (self._sign() if self._token else self._enter()):
                self._lost = self._lost or self._taken()
        except StoreError as error:
            if age > self._terms.timeout - self._terms.step:
                self._lost = f"for {age:.0f} s it could not be looked at: {error}"
            return not self._lost
        if not self._lost:
            self._proof = at
        return not self._lost

    def _sign(self) -> bool:
        assert self._rows is not None
        self._guarded = self._guarded or self._latch.acquire()
        return self._rows.beat(self._terms.here, self._token, self._terms.timeout, self._guarded)

    def _cut(self) -> tuple[str, bool]:
        """What became of the connection that the lock was on, and whether the server went away."""
        try:
            self._look()
        except StoreError as error:
            return str(error), True
        return "the connection that it was on was cut", False

    def _taken(self) -> str:
        row = self._look()
        if row is None or row.is_free:
            return "it was cleared, or taken over while this process stood still"
        since = datetime.fromtimestamp(row.taken_at, UTC)
        return f"{row.holder} took it over at {since:%H:%M:%S %Z}, as this process stood still"

    def _look(self) -> LockRow | None:
        """The lock's row as it stands now; None where there is none, or no store."""
        rows = self._opens()
        if rows is None:
            return None
        try:
            return rows.read()
        finally:
            rows.link.close()


class Heart:
    """Calls `beat` every so many seconds, in a thread of its own, until that says no."""

    def __init__(self, step: float, beat: Callable[[], bool]) -> None:
        self._step = step
        self._beat = beat
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, name: str) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(self._stop,), name=f"lock {name}", daemon=True
        )
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(self._step):
            if not self._beat():
                return


def _end(row: LockRow) -> str:
    return "gave no sign of life" if row.over else "has ended without giving it back"


def _moment() -> tuple[float, float]:
    """Seconds since the machine's start, its sleep included, and since 1970."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock), time.time()


def _age(then: tuple[float, float]) -> float:
    """Seconds that have passed by either clock: a machine that slept knows it by one of them."""
    return max(now - before for now, before in zip(_moment(), then, strict=True))
