"""Ends in turmoil: whatever happens to a fleet, in any order, nothing is lost on the way.

No VM of others is written or destroyed; no address is freed while its VM lives, or used twice; runs
that nobody approved stay below the threshold, however many they are; specs that are unreadable or
empty destroy nothing; and once the noise is over all is as the specs say, or says why not.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.lab import Lab
from tests.laws.calm import calm
from tests.laws.fleets import Spec
from tests.laws.turmoil import ABSENT, KEYS, PLAIN, SOURCES, Turmoil, base

keys = st.sampled_from(KEYS)
picks = st.integers(0, 9)
specs = st.sampled_from(
    [
        None,
        None,
        PLAIN,
        {**PLAIN, "memory": "2GiB"},
        {**PLAIN, "tags": ["new"]},
        ABSENT,
        ABSENT,
        {**ABSENT, "terminate": {"grace": "30h"}},
    ]
)


class Ends(RuleBasedStateMachine):
    """Rules in any order; the calm that follows judges them all."""

    first: ClassVar[Lab]
    seen: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        self.scratch = TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        self.all = Turmoil(self.first, Path(self.scratch.name) / "lab")
        self.whole = True

    def teardown(self) -> None:
        try:
            if self.whole:
                calm(self.all)
        finally:
            for name, count in (("ends", len(self.all.ends)), ("kills", self.all.killed)):
                Ends.seen[name] = Ends.seen.get(name, 0) + count
            self.scratch.cleanup()

    def run(self, hours: float, before: int | None = None, after: int | None = None) -> None:
        self.whole = False
        self.all.run(hours, before=before, after=after)
        self.whole = True

    @rule(key=keys, spec=specs)
    def write(self, key: str, spec: Spec | None) -> None:
        self.all.put(key, spec)

    @rule(spec=st.sampled_from([None, ABSENT]))
    def give_all_up(self, spec: Spec | None) -> None:
        for key in [*self.all.specs]:
            if spec is not None or len(self.all.specs) > 1:
                self.all.put(key, spec)

    @rule(key=keys)
    def rename(self, key: str) -> None:
        self.all.rename(key)

    @rule(prune=st.sampled_from(["", "1h", "24h"]))
    def turn_prune(self, prune: str) -> None:
        self.all.prune = prune
        self.all.write()

    @rule(verb=st.sampled_from(["suspend", "resume", "reinstall", "redeploy"]), key=keys)
    def ask(self, verb: str, key: str) -> None:
        self.all.ask(verb, key)

    @rule(key=keys)
    def terminate(self, key: str) -> None:
        self.all.terminate(key)

    @rule(source=st.sampled_from(["", "", *SOURCES]))
    def spoil(self, source: str) -> None:
        self.all.source = source
        self.all.write()

    @rule(pick=picks, what=st.sampled_from(["memory", "stop", "unmark", "move", "copy"]))
    def meddle(self, pick: int, what: str) -> None:
        self.all.meddle(pick, what)

    @rule(pick=picks, reused=st.booleans())
    def delete(self, pick: int, reused: bool) -> None:
        machine = self.all.machine(pick)
        if machine is not None:
            self.all.delete(machine, reused=reused)

    @rule(
        kind=st.sampled_from(
            ["quorum", "down", "dead", "no rights", "destroy fails", "stop fails", "refused"]
        ),
        node=st.sampled_from(["pve1", "pve2", "pve3"]),
    )
    def break_down(self, kind: str, node: str) -> None:
        self.all.trouble(kind, node)

    @rule()
    def heal(self) -> None:
        self.all.heal()

    @rule(hours=st.sampled_from([0.02, 0.5, 13.0, 25.0]))
    def some_time(self, hours: float) -> None:
        self.run(hours)

    @rule()
    def soon_and_again(self) -> None:
        self.run(0.02)
        self.run(1.5)

    @rule(call=st.integers(0, 60), heard=st.booleans())
    def crash(self, call: int, heard: bool) -> None:
        self.run(0.1, None if heard else call, call if heard else None)

    @rule()
    def approve(self) -> None:
        self.whole = False
        self.all.approve()
        self.whole = True


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


@pytest.fixture(autouse=True, scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> None:
    Ends.first = base(tmp_path_factory.mktemp("turmoil") / "base")


def test_in_any_turmoil_nothing_is_lost_on_the_way() -> None:
    """C-09, C-19, TERM-09, design 4."""
    Ends.seen.clear()
    run_state_machine_as_test(Ends, settings=sequences(120, 10))
    assert Ends.seen["ends"] > 5 and Ends.seen["kills"] > 5


@pytest.mark.nightly
def test_in_ten_thousand_turmoils_nothing_is_lost_on_the_way() -> None:
    run_state_machine_as_test(Ends, settings=sequences(10_000, 20, shrink=True))
