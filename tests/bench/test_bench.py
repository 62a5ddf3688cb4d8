"""The measures work, and what they show does not depend on the machine: requests are counted."""

import re
from pathlib import Path

import pytest

from tests.bench import measures
from tests.bench.clusters import settled_tick
from tests.bench.noop import settled_ticks
from tests.bench.settled import make_settled


@pytest.mark.parametrize("count", [3, 300])
def test_a_tick_that_finds_nothing_makes_a_dozen_requests_at_any_size(
    tmp_path: Path, count: int
) -> None:
    """The constant reads, and one VM's config and firewall by rotation."""
    (tick,) = settled_ticks(make_settled(tmp_path, count), runs=1)
    found = re.match(
        rf"{count} VMs: {count} ready, 0 changed, 0 failed; (\d+) reads, 0 writes;", tick.said
    )
    assert found and int(found[1]) <= 12, tick.said


def test_each_of_several_clusters_is_asked_as_much_as_one_alone(tmp_path: Path) -> None:
    tick = settled_tick(make_settled(tmp_path, 6), 3)
    found = re.match(r"6 VMs: 6 ready, 0 changed, 0 failed; (\d+) reads, 0 writes;", tick.said)
    assert found and int(found[1]) <= 3 * 12, tick.said


def test_specs_memories_and_the_simulator_are_measured() -> None:
    for name in ("specs", "memories", "simulator"):
        assert list(measures.MEASURES[name]([3]))
