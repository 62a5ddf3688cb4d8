"""Prune destroys nothing that was not surely removed, and never more than the thresholds allow.

Specs come, go, move and are renamed, sources break and are empty, runs come at any time: one
machine of rules over two engines. `Books` is the store, the sources, the watch and the guard, with
VMs that exist on paper, fast enough for hundreds of sequences; `Whole` runs the whole engine on the
simulated cluster. What may be destroyed is worked out here again, from what was done.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from desired.errors import UnusableSource
from state.specs import Edit
from tests.laws.fleets import POOLS, Spec
from tests.laws.pruning import DAY, RULES, Books, Engine, Whole
from tests.orphanage import FLEET, TINY

GRACE = timedelta(hours=20)
FILES: dict[str, dict[str, Spec]] = {
    "one": {key: TINY for key in ("a", "b", "c", "d", "e")},
    "two": {"f": TINY, "g": {**TINY, "count": 3}},
}
STORED: dict[str, Spec] = {"h": TINY, "i": TINY}


@dataclass
class Absent:
    """A machine without a spec: since when, and the readings that missed it, whole ones alone."""

    since: datetime
    readings: list[str] = field(default_factory=list)


class Pruning(RuleBasedStateMachine):
    """Edits and runs at random; `engine` and `destroyed` are set by what stands below."""

    engine_of: ClassVar[type[Books] | type[Whole]] = Books
    destroyed: ClassVar[list[str]] = []
    counted: ClassVar[list[int]] = []

    def __init__(self) -> None:
        super().__init__()
        self.scratch = TemporaryDirectory()
        self.engine: Engine = self.engine_of(Path(self.scratch.name) / "fleet")
        self.files = {name: dict(specs) for name, specs in FILES.items()}
        self.stored: dict[str, Spec] = {}
        self.removed: dict[str, Spec] = {}
        self.fresh = 0
        self.written: dict[str, bytes] = {}
        self.fault, self.name, self.prune = "", "law", "{grace: 20h}"
        self.on_since = self.engine.now
        self.absent: dict[str, Absent] = {}
        self.ends: list[datetime] = []
        self.names = {"law"}
        self.write()
        for key, spec in STORED.items():
            self.store(key, spec)
        self.engine.tick(self.texts())
        self.before = self.engine.machines()

    def teardown(self) -> None:
        self.engine.close()
        self.scratch.cleanup()
        Pruning.counted.append(len(self.ends))

    # What a person does.

    @rule(pick=st.integers(0, 99))
    def remove(self, pick: int) -> None:
        key = self.some(pick)
        if key:
            self.removed[key] = self.take(key)
            self.write()

    @rule()
    def remove_file(self) -> None:
        for key in [*self.files["two"]]:
            self.removed[key] = self.take(key)
        self.write()

    @rule(pick=st.integers(0, 99))
    def write_again(self, pick: int) -> None:
        if self.removed:
            key = sorted(self.removed)[pick % len(self.removed)]
            self.files["one"][key] = self.removed.pop(key)
            self.write()

    @rule(pick=st.integers(0, 99), where=st.sampled_from(["one", "two", "db"]))
    def move(self, pick: int, where: str) -> None:
        key = self.some(pick)
        if key:
            self.put(key, self.take(key), where)
            self.write()

    @rule(pick=st.integers(0, 99), where=st.sampled_from(["one", "db"]))
    def rename(self, pick: int, where: str) -> None:
        key = self.some(pick)
        if key and "count" not in self.spec(key):
            self.fresh += 1
            spec = {**self.take(key), "was": key}
            self.put(f"new-{self.fresh}", spec, where)
            self.write()

    @rule(count=st.integers(0, 4))
    def count(self, count: int) -> None:
        for specs in self.files.values():
            if "g" in specs:
                specs["g"] = {**TINY, "count": count}
        self.write()

    @rule(
        fault=st.sampled_from(["", "", "", "", "broken spec", "broken file", "no text", "hollow"])
    )
    def break_or_mend(self, fault: str) -> None:
        self.fault = fault
        self.write()

    @rule(prune=st.sampled_from(["{grace: 20h}", "{grace: 20h}", "false"]))
    def turn(self, prune: str) -> None:
        self.prune = prune
        self.write()

    @rule(name=st.sampled_from(["law", "law", "law", "other"]))
    def call(self, name: str) -> None:
        self.name = name
        self.write()

    # What time brings.

    @rule(times=st.integers(2, 4))
    def half_days(self, times: int) -> None:
        self.run(12.0, times)

    @rule(hours=st.sampled_from([0.1, 5.0, 7.0, 25.0]), times=st.integers(1, 3))
    def some_time(self, hours: float, times: int) -> None:
        self.run(hours, times)

    def run(self, hours: float, times: int) -> None:
        for _ in range(times):
            self.engine.later(hours * 3600.0)
            at, texts = self.engine.now, self.texts()
            try:
                self.engine.tick(texts)
            except UnusableSource:
                self.judge(at, "", whole=False)
                continue
            self.judge(self.engine.now if self.engine_of is Whole else at, texts, self.is_whole())

    def judge(self, at: datetime, texts: str, whole: bool) -> None:
        """Hold what the run destroyed against what was removed, by our own books."""
        after = self.engine.machines()
        named = dict(self.named())
        read = texts != ""
        if read:
            self.names = {self.name} if self.is_all_there() and whole else {*self.names, self.name}
            self.on_since = self.on_since if self.prune != "false" else at
        for uuid, key in self.before.items():
            now = after.get(uuid, key)
            if read and self.fault != "broken file" and (now in named or key in named.values()):
                self.absent.pop(uuid, None)
            elif whole and self.names == {self.name}:
                self.absent.setdefault(uuid, Absent(at)).readings.append(texts)
            if uuid not in after:
                self.check_end(uuid, key, at, whole)
        if self.prune == "false" and read:
            self.on_since = at
        self.before = after

    def check_end(self, uuid: str, key: str, at: datetime, whole: bool) -> None:
        assert whole, f"{key} was destroyed by a reading that was not whole ({self.fault})"
        assert self.prune != "false", f"{key} was destroyed although nothing is pruned"
        gone = self.absent.pop(uuid, None)
        assert gone is not None, f"{key} was destroyed although it was named"
        assert gone.readings[-2:] == [gone.readings[-1]] * 2, f"{key}: one run read these specs"
        slack = timedelta(seconds=60)
        assert at - gone.since + slack >= GRACE, f"{key}: missed since {gone.since}, it is {at}"
        assert at - self.on_since + slack >= GRACE, f"{key}: prune is on since {self.on_since}"
        self.ends.append(at)
        Pruning.destroyed.append(key)
        wanted = len(dict(self.named()))
        within = [one for one in self.ends if at - one < DAY - slack]
        assert wanted >= 7, f"{key}: pruned without approval in a fleet of {wanted}"
        assert len(within) <= 0.3 * wanted, f"{len(within)} in a day, of {wanted} VMs"

    # Our own books.

    def named(self) -> Iterator[tuple[str, str]]:
        """Every key that a spec names, with the one that it bore (`was`)."""
        for specs in (*self.files.values(), self.stored):
            for key, spec in specs.items():
                if "count" in spec:
                    for number in range(1, int(str(spec["count"])) + 1):
                        yield f"{key}/{number}", ""
                else:
                    yield key, str(spec.get("was", ""))

    def is_whole(self) -> bool:
        return not self.fault

    def is_all_there(self) -> bool:
        named = dict(self.named())
        return all(key in named or key in named.values() for key in self.before.values())

    def some(self, pick: int) -> str:
        keys = sorted(key for specs in (*self.files.values(), self.stored) for key in specs)
        return keys[pick % len(keys)] if keys else ""

    def spec(self, key: str) -> Spec:
        return next(specs[key] for specs in (*self.files.values(), self.stored) if key in specs)

    def take(self, key: str) -> Spec:
        for specs in self.files.values():
            if key in specs:
                return specs.pop(key)
        spec = self.stored[key]
        self.store(key, None)
        return spec

    def put(self, key: str, spec: Spec, where: str) -> None:
        if where == "db":
            self.store(key, spec)
        else:
            self.files[where][key] = spec

    def store(self, key: str, spec: Spec | None) -> None:
        self.engine.edit(Edit(key, spec))
        if spec is None:
            del self.stored[key]
        else:
            self.stored[key] = spec

    def write(self) -> None:
        """Lay the files out as they are to be now."""
        for name, text in self.laid_out().items():
            if self.written.get(name) == text:
                continue
            self.written[name] = text
            path = self.engine.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
        hollow = self.engine.folder / "vms" / "module"
        if self.fault == "hollow":
            hollow.mkdir(exist_ok=True)
        elif hollow.is_dir():
            hollow.rmdir()

    def laid_out(self) -> Mapping[str, bytes]:
        broken = {"broken spec": b"bad: {memory: 8}\n", "broken file": b"x: [", "no text": b"\xff"}
        rules = {**RULES, "name": self.name, "prune": self.prune, "rollout": "off"}
        files = {name: json.dumps(specs).encode() for name, specs in self.files.items()}
        return {
            "fleet.yaml": FLEET.format(**rules).encode(),
            "pools/public.yaml": POOLS.encode(),
            "vms/fault.yaml": broken.get(self.fault, b""),
            **{f"vms/{name}.yaml": text for name, text in files.items()},
        }

    def texts(self) -> str:
        """What a run reads, to the byte."""
        return repr((sorted(self.laid_out().items()), sorted(self.stored.items(), key=str)))


class PruningWhole(Pruning):
    engine_of = Whole


def sequences(number: int, steps: int, *, shrink: bool = False) -> settings:
    phases = [Phase.explicit, Phase.generate] + ([Phase.shrink] if shrink else [])
    return settings(
        max_examples=number,
        stateful_step_count=steps,
        deadline=None,
        derandomize=not shrink,
        print_blob=True,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )


def test_prune_destroys_only_what_was_surely_removed_and_few_at_a_time() -> None:
    """C-07, design 4; hundreds of sequences, in some of which something is pruned indeed."""
    Pruning.destroyed.clear()
    run_state_machine_as_test(Pruning, settings=sequences(200, 14))
    assert len(Pruning.destroyed) > 20


def test_whole_runs_prune_only_what_was_surely_removed_and_few_at_a_time() -> None:
    Pruning.destroyed.clear()
    run_state_machine_as_test(PruningWhole, settings=sequences(2, 8))


@pytest.mark.nightly
def test_prune_over_ten_thousand_sequences() -> None:
    run_state_machine_as_test(Pruning, settings=sequences(10_000, 20, shrink=True))


@pytest.mark.nightly
def test_whole_runs_over_many_sequences() -> None:
    run_state_machine_as_test(PruningWhole, settings=sequences(200, 20, shrink=True))
