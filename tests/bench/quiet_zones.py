"""A quiet turn of the zones: how many questions it asks of two real servers, and what it costs."""

import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from desired.zones import ZoneSpec
from reconciler.config import Opened
from state.drivers import Applied, Limits, RRChange, RRset, ZoneDriver
from state.store import Store
from tests.nameservers import Bind, PowerDNS
from tests.reconciler.dns.test_many import AT, Fold

PER_VM = 4
"""Records of one VM: a name and a reverse name of each family."""


@dataclass(frozen=True)
class Counted:
    """A driver that counts what it is asked."""

    inner: ZoneDriver
    asked: Counter[str]

    @property
    def limits(self) -> Limits:
        return self.inner.limits

    def check(self) -> str:
        return self.inner.check()

    def serial(self) -> str | None:
        self.asked["serial"] += 1
        return self.inner.serial()

    def read(self) -> tuple[RRset, ...]:
        self.asked["read"] += 1
        return self.inner.read()

    def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
        self.asked["apply"] += 1
        return self.inner.apply(batch)

    def close(self) -> None:
        self.inner.close()


class CountedOpened(Opened):
    """An opened fleet whose zones' drivers count."""

    asked: Counter[str]

    def dns(self, zone: ZoneSpec) -> ZoneDriver:
        return Counted(super().dns(zone), self.asked)


class CountedFold(Fold):
    """VMs by the store alone, named on BIND and PowerDNS in three zones each."""

    asked: Counter[str]

    def opened(self) -> Opened:
        made = super().opened()
        counted = CountedOpened(made.fleet, made.store, made.database, made.preview)
        counted.asked = self.asked
        return counted


def lines(sizes: Sequence[int]) -> Iterator[str]:
    """A row a size: the turn that writes all, and a quiet one after it."""
    yield "Zones' turn on BIND and PowerDNS, three zones each: questions, batches, processor time"
    yield f"  {'records':>9}  {'first':>24}  {'quiet':>24}{'CPU first':>12}{'CPU quiet':>12}"
    with ExitStack() as stack:
        bind, powerdns = Bind(), PowerDNS()
        stack.callback(bind.close)
        stack.callback(powerdns.close)
        for size in sizes:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
            store = stack.enter_context(Store.temporary(at=AT))
            fold = CountedFold(folder, store, bind, powerdns, wide=True)
            for number in range(max(1, size // PER_VM)):
                fold.make(number)
            first, spent = _turn(fold)
            quiet, rest = _turn(fold)
            yield f"  {size:>9,}  {first:>24}  {quiet:>24}{spent:>10.2f} s{rest:>10.2f} s"


def _turn(fold: CountedFold) -> tuple[str, float]:
    fold.asked = Counter()
    began = time.process_time()
    settled = fold.settle()
    assert not any(turn.trouble for turn in settled.turns)
    spent = time.process_time() - began
    return ", ".join(f"{count} {name}" for name, count in sorted(fold.asked.items())), spent
