"""Calls that make no sense are answered as such; none breaks the simulator."""

import random
from typing import Any

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.parameters.schema import Field
from reconciler.sim.routes import ROUTES, Route
from reconciler.sim.samples import demo_world

CALLS = 1500
ODD: tuple[Any, ...] = (
    *("", "0", "1", "-1", "1.5", "x", "ä", "\n", ",", "a=b", "a b", "x=y=z", "a:b:c", "none"),
    *("root@pam", "a@pve", "root@pam!t", "PVEVMAdmin", "/", "/vms/100", "pve1", "pve1:2,pve2"),
    *("local", "local:1", "local:cloudinit", "local:iso/t.iso", "local:100/vm-100-disk-0.qcow2"),
    *("scsi0", "net0", "virtio,bridge=vmbr0", "vm:100", "100", "100,101", "UPID:pve1:1:1:1:x::"),
    *("10.0.0.0/8", "::1", "+dc/x", "22,80:90", "10-20", "IN", "ACCEPT", "keep-last=1", "*/5"),
    *(1, 1.5, True, ["a", "b"], {}),
)
PLACES = {
    "node": ("pve1", "pve2", "nope"),
    "vmid": ("100", "101", "999", "x"),
    "storage": ("local", "local-lvm", "shared", "nope"),
    "snapname": ("before", "current", "nope"),
}
OURS = [route for route in ROUTES if route.handler.__module__.startswith("reconciler.")]


def value(odds: random.Random, name: str, field: Field | None) -> Any:
    if name in PLACES and odds.random() < 0.9:
        return odds.choice(PLACES[name])
    words = getattr(field, "enum", ())
    if words and odds.random() < 0.8:
        return odds.choice(words)
    return odds.choice(ODD)


def call(odds: random.Random, route: Route) -> tuple[str, dict[str, Any]]:
    parts = []
    for part in route.path.split("/"):
        named = part.startswith("{")
        text = str(value(odds, part[1:-1], None)) if named else part
        parts.append("aa" if named and (not text or "/" in text) else text)
    params = {}
    for name, field in route.fields.items():
        wanted = min(0.3, 3 / len(route.fields)) if field.optional else 0.95
        if f"{{{name}}}" not in route.path and odds.random() < wanted:
            given = value(odds, name, field)
            params[name] = str(given) if route.method == "GET" else given
    return "/".join(parts), params


def two_guests(clock: ManualClock) -> Simulator:
    """One VM is stopped and has a snapshot, the other runs."""
    simulator = Simulator(demo_world(SOME_DAY, speed=1.0), clock)
    qemu = "/nodes/pve1/qemu"
    for path, params in (
        ("9000/clone", {"newid": 100}),
        ("9000/clone", {"newid": 101}),
        ("101/config", {"agent": "1"}),
        ("101/status/start", {}),
        ("100/snapshot", {"snapname": "before"}),
    ):
        answer = simulator.call("POST", f"{qemu}/{path}", params)
        assert answer.status == 200, answer
        clock.pass_by(60)
        simulator.world.advance(clock.now)
    return simulator


@pytest.mark.parametrize("seed", range(3))
def test_no_call_breaks_the_simulator(seed: int) -> None:
    odds, clock = random.Random(seed), ManualClock()
    simulator = two_guests(clock)
    for _call in range(CALLS):
        route = odds.choice(OURS)
        path, params = call(odds, route)
        answer = simulator.call(route.method, path, params)
        assert 200 <= answer.status < 600, (route.method, path, params)
        clock.pass_by(odds.choice((0, 0, 1, 10)))
