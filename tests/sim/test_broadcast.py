"""What the nodes tell of their VMs: only what moved is told anew, and nothing is missed."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.cluster import broadcast
from reconciler.sim.samples import demo_world
from reconciler.sim.view import View, packed
from reconciler.sim.vm.machine import Machine
from reconciler.sim.world import World

VM = "/nodes/pve1/qemu"
MOVES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "clone": ("POST", f"{VM}/9000/clone", {"newid": 101, "name": "one"}),
    "create": ("POST", VM, {"vmid": 102, "memory": "512"}),
    "config": ("PUT", f"{VM}/101/config", {"cores": 3, "name": "two", "memory": "1024"}),
    "start": ("POST", f"{VM}/101/status/start", {}),
    "stop": ("POST", f"{VM}/101/status/stop", {}),
    "resize": ("PUT", f"{VM}/101/resize", {"disk": "scsi0", "size": "+1G"}),
    "destroy": ("DELETE", f"{VM}/102", {}),
    "list": ("GET", VM, {}),
    "all": ("POST", "/nodes/pve1/stopall", {}),
    "migrate": ("POST", f"{VM}/101/migrate", {"target": "pve2", "online": 1}),
}


@given(moves=st.lists(st.sampled_from(sorted(MOVES)), max_size=10), pause=st.integers(0, 15))
def test_a_broadcast_of_what_moved_says_the_same_as_one_of_everything(
    moves: list[str], pause: int
) -> None:
    clock = ManualClock()
    simulator = Simulator(demo_world(SOME_DAY, speed=1.0), clock)
    world = simulator.world
    for name in moves:
        simulator.call(*MOVES[name])
        clock.pass_by(pause)
        world.advance(simulator.now)
    world.touch()
    broadcast.announce(world)
    told = {vmid: broadcast.row_of(machine) for vmid, machine in world.vms.items()}
    assert world.seen == told


def counted(world: World, monkeypatch: Any) -> list[int]:
    """The ids that are told, from now on."""
    seen: list[int] = []
    row_of = broadcast.row_of

    def row(machine: Machine) -> dict[str, Any]:
        seen.append(machine.vmid)
        return row_of(machine)

    monkeypatch.setattr(broadcast, "row_of", row)
    return seen


def test_a_write_has_only_its_own_vm_told_anew(clock: ManualClock, monkeypatch: Any) -> None:
    simulator = Simulator(demo_world(SOME_DAY, vms=50, speed=1.0), clock)
    seen = counted(simulator.world, monkeypatch)
    for vmid in (9000, 10000):
        simulator.call("GET", f"{VM}/{vmid}/config")
        simulator.call("GET", VM)
    simulator.call("PUT", f"{VM}/9000/config", {"name": "other"})
    clock.pass_by(11)
    simulator.call("GET", "/cluster/resources")
    assert seen == [9000]


def test_the_same_rows_are_answered_until_something_moves(demo: Simulator) -> None:
    ask = "GET", "/cluster/resources", {"type": "vm"}
    first = demo.call(*ask).data
    assert isinstance(first, View) and demo.call(*ask).data is first
    assert demo.call("GET", "/cluster/resources").data is not first
    assert demo.call(*ask, identity="alice@pve").data is not first
    demo.call("PUT", f"{VM}/9000/config", {"tags": "x"})
    again = demo.call(*ask).data
    assert again is not first and again[0]["tags"] == "x"


def test_a_views_bytes_are_made_once() -> None:
    view, made = View([{"a": 1}]), list[object]()

    def encode(value: object) -> bytes:
        made.append(value)
        return msgspec.json.encode(value)

    body = view.text(encode, {"data": view})
    assert view.text(encode, {"data": view}) is body == b'{"data":[{"a":1}]}'
    assert len(made) == 1
    assert view.packed(body) is view.packed(b"") and view.zipped == packed(body)
