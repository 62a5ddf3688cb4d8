"""A demo cluster and a recorded one with a clock that tests move by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.sim.api import Answer, Simulator
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


TINY = "local:0,import-from=local:import/tiny.qcow2"
"""A disk with a system on it; a VM of blank disks has neither an agent nor an ear for ACPI."""


class Hands:
    """Short ways to work with VMs on one node as root@pam, with the clock at hand."""

    def __init__(self, simulator: Simulator, clock: ManualClock, node: str = "pve1") -> None:
        self.simulator = simulator
        self.clock = clock
        self.node = node

    def call(self, method: str, path: str, /, **params: object) -> Answer:
        """`path` below /nodes/N/qemu; parameter names with _ for -."""
        plain = ("background_delay", "migration_network", "migration_type")
        given = {key if key in plain else key.replace("_", "-"): one for key, one in params.items()}
        return self.simulator.call(method, f"/nodes/{self.node}/qemu{path}", given)

    def get(self, path: str, /, **params: object) -> Any:
        answer = self.call("GET", path, **params)
        assert answer.status == 200, answer
        return answer.data

    def refused(self, method: str, path: str, /, **params: object) -> str:
        """Why the call failed: `status reason`, or the errors of a 400 as one line each."""
        answer = self.call(method, path, **params)
        assert answer.status >= 400, answer
        lines = [f"{key}: {text.rstrip()}" for key, text in sorted((answer.errors or {}).items())]
        return "\n".join(lines) or f"{answer.status} {answer.reason}"

    def task(self, method: str, path: str, /, **params: object) -> str:
        """Run a task to its end; its exitstatus."""
        answer = self.call(method, path, **params)
        assert answer.status == 200, answer
        return self.end(answer.data)

    def end(self, upid: str) -> str:
        for _second in range(600):
            task = self.simulator.world.tasks.get(upid)
            assert task is not None
            if task.status is not None:
                return task.status
            self.clock.pass_by(1)
            self.simulator.world.advance(self.clock.now)
        raise AssertionError(f"{upid} does not end")

    def vm(self, vmid: int, **params: object) -> None:
        """A stopped VM."""
        assert self.task("POST", "", vmid=vmid, **params) == "OK"

    def config(self, vmid: int) -> dict[str, Any]:
        found: dict[str, Any] = self.get(f"/{vmid}/config")
        return found

    def waiting(self, vmid: int) -> dict[str, dict[str, Any]]:
        """The rows of GET pending that have something pending, by key."""
        rows = self.get(f"/{vmid}/pending")
        return {row["key"]: row for row in rows if "pending" in row or "delete" in row}


@pytest.fixture
def hands(recorded: Simulator, clock: ManualClock) -> Hands:
    """On the empty recorded node."""
    return Hands(recorded, clock)


@pytest.fixture
def demo_hands(demo: Simulator, clock: ManualClock) -> Hands:
    """On pve1 of the demo cluster, where template 9000 lies."""
    return Hands(demo, clock)
