"""A client of the demo cluster's first node, with Proxmox's own limits."""

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.clock import ManualClock
from reconciler.sim.http.door import Door
from tests.sim.http.wire import Client, Timers, connect


@pytest.fixture
def timers(clock: ManualClock) -> Timers:
    return Timers(clock)


@pytest.fixture
def client(demo: Simulator, timers: Timers) -> Client:
    return connect(Door(demo, "real"), timers)
