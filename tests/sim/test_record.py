"""Saving a world: whatever a room keeps comes back, and the world goes on as it would have."""

import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.faults import Fault
from reconciler.sim.record import DERIVED, reader, recorded, restored
from reconciler.sim.samples import demo_world
from reconciler.sim.world import World


@dataclass
class Leaf:
    name: str
    size: int | None = None


class Shelf(dict[int, Leaf]):
    """A map of its own class."""


@dataclass
class Room:
    """Everything that a room may keep."""

    plain: dict[str, Any] = field(default_factory=dict)
    by_number: dict[int, Leaf] = field(default_factory=dict)
    by_pair: dict[tuple[str, str], Leaf] = field(default_factory=dict)
    by_name: dict[str, list[Leaf]] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=Shelf)
    leaf: Leaf | None = None
    either: str | int = 0
    names: set[str] = field(default_factory=set)
    pairs: list[tuple[str, int]] = field(default_factory=list)
    rng: random.Random = field(init=False)
    known: dict[str, int] = field(default_factory=dict, metadata=DERIVED)

    def __post_init__(self) -> None:
        self.rng = random.Random(1)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(recorded(value)))


def test_a_room_of_every_kind_comes_back() -> None:
    room = Room(
        plain={"a": [1, {"b": None}]},
        by_number={7: Leaf("seven")},
        by_pair={("", "x"): Leaf("x", 1)},
        by_name={"n": [Leaf("n")]},
        shelf=Shelf({1: Leaf("one")}),
        leaf=Leaf("leaf"),
        either="1",
        names={"b", "a"},
        pairs=[("a", 1)],
        known={"forgotten": 1},
    )
    room.rng.random()
    again = restored(Room, through_json(room))
    assert recorded(again) == recorded(room) and again.known == {}
    assert again.rng.random() == room.rng.random()
    assert again.by_pair == room.by_pair and again.either == "1" and again.names == {"a", "b"}
    assert isinstance(again.shelf, Shelf)


def test_what_a_record_lacks_gets_its_default_and_what_is_unknown_is_left_out() -> None:
    assert restored(Leaf, {"name": "x", "gone": 1}) == Leaf("x")


def test_what_is_no_plain_data_is_refused() -> None:
    with pytest.raises(TypeError, match="function: the world holds plain data only"):
        recorded({"x": through_json})
    with pytest.raises(TypeError, match="does not tell which"):
        reader(Leaf | Room)


def test_another_versions_world_is_refused() -> None:
    with pytest.raises(ValueError, match="of another version"):
        World.load({"now": 1})


MOVES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "clone": ("POST", "/nodes/pve1/qemu/9000/clone", {"newid": 101, "name": "one"}),
    "full": ("POST", "/nodes/pve1/qemu/9000/clone", {"newid": 102, "full": 1}),
    "config": ("PUT", "/nodes/pve1/qemu/101/config", {"cores": 3, "description": "x\ny"}),
    "start": ("POST", "/nodes/pve1/qemu/101/status/start", {}),
    "shutdown": ("POST", "/nodes/pve1/qemu/101/status/shutdown", {"timeout": 20}),
    "snapshot": ("POST", "/nodes/pve1/qemu/101/snapshot", {"snapname": "s1"}),
    "resize": ("PUT", "/nodes/pve1/qemu/101/resize", {"disk": "scsi0", "size": "+1G"}),
    "rule": ("POST", "/nodes/pve1/qemu/101/firewall/rules", {"type": "in", "action": "DROP"}),
    "pool": ("POST", "/pools", {"poolid": "p"}),
    "token": ("POST", "/access/users/alice@pve/token/tok", {}),
    "ha": ("POST", "/cluster/ha/resources", {"sid": "vm:101", "state": "started"}),
    "backup": ("POST", "/nodes/pve1/vzdump", {"vmid": 102, "storage": "local", "mode": "stop"}),
    "job": ("POST", "/cluster/backup", {"schedule": "sun 01:00", "storage": "local", "vmid": 102}),
    "storage": ("POST", "/storage", {"storage": "more", "type": "dir", "path": "/srv/more"}),
    "mapping": ("POST", "/cluster/mapping/usb", {"id": "key", "map": "node=pve1,id=1234:5678"}),
    "zone": ("POST", "/cluster/sdn/zones", {"zone": "zone1", "type": "simple"}),
    "migrate": ("POST", "/nodes/pve1/qemu/102/migrate", {"target": "pve2"}),
    "destroy": ("DELETE", "/nodes/pve2/qemu/102", {}),
}
"""One write of each room; in this order every one of them is accepted."""

READS = (
    "/cluster/ha/resources",
    "/cluster/ha/status/current",
    "/cluster/backup",
    "/cluster/mapping/usb",
    "/cluster/sdn/zones",
    "/storage",
    "/pools",
    "/cluster/tasks",
    "/cluster/resources",
    "/nodes/pve1/storage/local/content",
)


def test_what_every_room_keeps_comes_back() -> None:
    clock = ManualClock()
    cluster = Simulator(demo_world(SOME_DAY, speed=1.0), clock)
    for name, (method, path, params) in MOVES.items():
        answer = cluster.call(method, path, params)
        assert answer.ok, (name, answer)
        clock.pass_by(60)
        cluster.world.advance(cluster.now)
        dump = json.loads(json.dumps(cluster.world.dump()))
        again = Simulator(World.load(dump), clock)
        assert again.world.dump() == dump, name
        assert [again.call("GET", path).data for path in READS] == [
            cluster.call("GET", path).data for path in READS
        ]
        assert again.world.dump() == json.loads(json.dumps(cluster.world.dump())), name


@given(moves=st.lists(st.sampled_from(sorted(MOVES)), max_size=8), pause=st.integers(0, 12))
def test_a_saved_world_goes_on_as_the_one_that_was_not_stopped(
    moves: list[str], pause: int
) -> None:
    clock = ManualClock()
    first = Simulator(demo_world(SOME_DAY, speed=1.0), clock)
    first.faults.add(Fault("latency", path="/nope", seconds=1.0))
    for name in moves:
        method, path, params = MOVES[name]
        first.call(method, path, params)
        clock.pass_by(pause)
        first.world.advance(first.now)
    dump = json.loads(json.dumps(first.world.dump()))
    second = Simulator(World.load(dump), clock)
    assert second.world.dump() == dump
    clock.pass_by(300)
    for one in (first, second):
        one.world.advance(one.now)
        one.call("GET", "/cluster/resources")
        one.call("POST", "/nodes/pve1/qemu", {"vmid": 500, "net0": "virtio,bridge=vmbr0"})
    assert second.world.dump() == json.loads(json.dumps(first.world.dump()))
