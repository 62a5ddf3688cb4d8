"""A demo cluster and a recorded one with a clock that tests move by hand."""

from collections.abc import Callable

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.samples import demo_world, recorded_world


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def demo(clock: ManualClock) -> Simulator:
    """Three nodes with templates and the fleet's token, at speed 1."""
    return Simulator(demo_world(SOME_DAY, speed=1.0), clock)


@pytest.fixture
def recorded(clock: ManualClock) -> Simulator:
    """The empty one-node cluster of the recordings, at speed 1."""
    return Simulator(recorded_world(SOME_DAY, speed=1.0), clock)


@pytest.fixture
def get(demo: Simulator) -> Callable[..., object]:
    """Read from the demo cluster as root@pam; fails unless the answer is a 200."""

    def read(path: str, **params: object) -> object:
        answer = demo.call("GET", path, params)
        assert answer.status == 200, answer
        return answer.data

    return read
