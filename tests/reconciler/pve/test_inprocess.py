"""The simulated cluster without HTTP answers with the client's errors."""

import pytest

from reconciler.pve.inprocess import InProcessApi
from reconciler.sim.api import Simulator
from reconciler.sim.faults import Fault
from reconciler.sim.samples import demo_world
from state.api import Forbidden, MaybeRunning, NotFound, Refused, Unavailable
from state.change import Call, Method
from state.secret import Secret

NOW = 1_795_000_000.0


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(demo_world(NOW), lambda: NOW)


def test_reads_and_writes_are_counted(simulator: Simulator) -> None:
    api = InProcessApi(simulator)
    assert api.get("/nodes/pve1/qemu/9000/config", {"current": True})
    assert api.send(Call(Method.POST, "/pools", {"poolid": "a"}), heavy=True) is None
    assert (api.reads, api.writes, api.skew) == (1, 1, 0.0)


def test_refusals_become_the_same_errors(simulator: Simulator) -> None:
    api = InProcessApi(simulator)
    with pytest.raises(NotFound, match=r"nodes/pve1/qemu-server/999\.conf"):
        api.get("/nodes/pve1/qemu/999/config")
    with pytest.raises(Refused) as caught:
        api.send(Call(Method.POST, "/pools", {"poolid": "a", "bogus": ("x",), "none": ()}))
    assert list(caught.value.keys) == ["bogus"]
    with pytest.raises(Forbidden):
        InProcessApi(simulator, "alice@pve").send(Call(Method.POST, "/pools", {"poolid": "a"}))


def test_secrets_are_taken_out_of_refusals(simulator: Simulator) -> None:
    with pytest.raises(Refused) as caught:
        InProcessApi(simulator).send(Call(Method.POST, "/pools", {"poolid": Secret("bad pool")}))
    assert "bad pool" not in str(caught.value) and "***" in str(caught.value)


def test_a_dropped_connection_leaves_writes_unknown(simulator: Simulator) -> None:
    api = InProcessApi(simulator)
    simulator.faults.add(Fault("drop-before", path="/pools", times=2))
    with pytest.raises(MaybeRunning):
        api.send(Call(Method.POST, "/pools", {"poolid": "a"}))
    with pytest.raises(Unavailable):
        api.get("/pools")
