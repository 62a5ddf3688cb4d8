"""States and events of the cluster that a fault brings about: begin, last, end, survive a save."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.sim.accounts.access import Identity
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.cluster.tasks import Step
from reconciler.sim.faults import Fault
from reconciler.sim.faults.fault import Kind, parse_fault, read_fault
from reconciler.sim.faults.states import TURNS
from reconciler.sim.world import World

Get = Callable[..., Any]
FLEET = "reconcile@pve!fleet"
CONFIG = "/nodes/pve1/qemu/9000/config"


def rows(demo: Simulator) -> dict[int, dict[str, Any]]:
    found = demo.call("GET", "/cluster/resources", {"type": "vm"}).data
    return {row["vmid"]: row for row in found}


def run_vm(demo: Simulator, vmid: int = 500, node: str = "pve1", **config: Any) -> None:
    given = {"vmid": vmid, "name": "guest", "scsi0": "local-lvm:1", **config}
    assert demo.call("POST", f"/nodes/{node}/qemu", given).ok
    demo.world.advance(demo.now + 20)
    assert demo.call("POST", f"/nodes/{node}/qemu/{vmid}/status/start").ok
    demo.world.advance(demo.world.now + 20)
    assert demo.world.vms[vmid].running


def test_a_state_ends_when_its_time_is_over(demo: Simulator, clock: ManualClock) -> None:
    demo.faults.add(Fault("node-down", node="pve2", lasting=30.0))
    assert demo.call("GET", "/nodes/pve2/version").status == 595
    clock.pass_by(31)
    assert demo.call("GET", "/nodes/pve2/version").ok
    assert demo.faults.set == []


def test_a_state_begins_just_before_the_call_it_waits_for(demo: Simulator) -> None:
    fault = demo.faults.add(Fault("quorum-lost", method="PUT", path="/nodes/*/config", nth=2))
    assert demo.call("PUT", CONFIG, {"description": "a"}).ok and demo.world.quorate
    assert demo.call("GET", CONFIG).ok
    lost = demo.call("PUT", CONFIG, {"description": "b"})
    assert (lost.status, lost.reason) == (500, "cluster not ready - no quorum?")
    assert fault.on and demo.faults.remove(fault.id) and demo.world.quorate


def test_a_fault_that_never_began_ends_without_effect(demo: Simulator) -> None:
    demo.world.nodes["pve2"].online = False
    demo.faults.add(Fault("node-down", node="pve2", path="/never"))
    demo.faults.clear()
    assert not demo.world.nodes["pve2"].online


def test_a_dead_node_loses_its_guests_and_workers_and_boots_again(
    demo: Simulator, clock: ManualClock
) -> None:
    run_vm(demo, 500, onboot=1)
    run_vm(demo, 501)
    clock.pass_by(60)
    step = Step("task.fail", {"text": "late"}, 1000.0)
    upid = demo.world.tasks.start("pve1", "vzdump", 500, Identity("root@pam"), [step])
    fault = demo.faults.add(Fault("node-dead", node="pve1"))
    assert rows(demo)[500]["status"] == "unknown"
    assert demo.call("GET", "/version", via="pve2").ok
    clock.pass_by(60)
    demo.faults.remove(fault.id)
    assert demo.world.tasks.all[upid].status == "unexpected status"
    assert demo.world.nodes["pve1"].started_at == demo.world.now
    clock.pass_by(10)
    assert [rows(demo)[vmid]["status"] for vmid in (500, 501)] == ["running", "stopped"]


def test_a_cluster_without_most_of_its_nodes_has_no_quorum(demo: Simulator) -> None:
    first = demo.faults.add(Fault("node-down", node="pve2"))
    assert demo.world.quorate
    demo.faults.add(Fault("node-dead", node="pve3"))
    assert demo.call("PUT", CONFIG, {"description": "x"}).reason == "cluster not ready - no quorum?"
    split = demo.faults.add(Fault("quorum-lost"))
    demo.faults.remove(first.id)
    assert not demo.world.quorate
    demo.faults.remove(split.id)
    assert demo.call("PUT", CONFIG, {"description": "x"}).ok


def test_a_slow_node_takes_longer_for_each_call(demo: Simulator) -> None:
    demo.faults.add(Fault("slow-node", node="pve2", seconds=2.0))
    assert demo.call("GET", "/nodes/pve2/version").busy == 2.0
    assert demo.call("GET", "/nodes/pve1/version").busy == 0.0
    assert demo.call("GET", "/version", via="pve2").busy == 2.0


def test_a_frozen_broadcast_shows_what_was_and_then_nothing(
    demo: Simulator, clock: ManualClock
) -> None:
    before = rows(demo)[9000]
    fault = demo.faults.add(Fault("broadcast-frozen", node="pve1"))
    demo.call("PUT", CONFIG, {"name": "other", "tags": "fresh"})
    demo.call("PUT", CONFIG.replace("pve1/qemu/9000", "pve2/qemu/9001"), {"name": "moved"})
    clock.pass_by(20)
    seen = rows(demo)
    assert (seen[9000]["name"], seen[9000]["tags"]) == (before["name"], "fresh")
    assert seen[9001]["name"] == "moved"
    clock.pass_by(300)
    assert rows(demo)[9000].keys() == {"id", "vmid", "node", "type", "status", "tags"}
    demo.faults.remove(fault.id)
    clock.pass_by(10)
    demo.world.touch()
    assert rows(demo)[9000]["name"] == "other"


def test_all_broadcasts_may_freeze(demo: Simulator) -> None:
    demo.faults.add(Fault("broadcast-frozen"))
    assert list(demo.world.frozen) == ["pve1", "pve2", "pve3"]
    demo.faults.clear()
    assert demo.world.frozen == {}


def test_rights_are_withdrawn_and_given_back(demo: Simulator) -> None:
    demo.faults.add(Fault("rights-withdrawn", user=FLEET))
    assert demo.call("GET", CONFIG, identity=FLEET).status == 403
    assert demo.call("GET", "/cluster/resources", {"type": "vm"}, FLEET).data == []
    demo.faults.clear()
    assert demo.call("GET", CONFIG, identity=FLEET).ok


def test_rights_are_withdrawn_at_some_paths_only(demo: Simulator) -> None:
    demo.faults.add(Fault("rights-withdrawn", user=FLEET, text="/vms*"))
    assert demo.call("GET", CONFIG, identity=FLEET).ok


def test_a_clock_that_jumps_shows_another_time_but_no_longer_uptime(
    demo: Simulator, get: Get
) -> None:
    uptime = get("/nodes/pve1/status")["uptime"]
    demo.faults.add(Fault("clock-jump", seconds=-3600.0))
    assert get("/nodes/pve1/time")["time"] == SOME_DAY - 3600
    assert get("/nodes/pve1/status")["uptime"] == uptime
    upid = demo.world.tasks.start("pve1", "x", 1, Identity("root@pam"), [])
    assert demo.world.tasks.all[upid].starttime == SOME_DAY - 3600
    assert demo.world.logbook[-1].time == SOME_DAY - 3600
    demo.faults.clear()
    assert get("/nodes/pve1/time")["time"] == SOME_DAY


def test_ha_moves_a_vm_between_a_read_and_a_write(demo: Simulator) -> None:
    run_vm(demo)
    path = "/nodes/pve1/qemu/500/config"
    demo.faults.add(Fault("ha-move", vmid=500, node="pve3", method="PUT", path="*/500/config"))
    digest = demo.call("GET", path).data["digest"]
    moved = demo.call("PUT", path, {"cores": 2, "digest": digest})
    text = "Configuration file 'nodes/pve1/qemu-server/500.conf' does not exist"
    assert (moved.status, moved.reason) == (500, text)
    there = demo.call("GET", "/nodes/pve3/qemu/500/config").data
    assert demo.world.volume("pve3", there["scsi0"].partition(",")[0]) is not None
    assert demo.world.vms[500].running and demo.world.vms[500].started_at == demo.world.now
    assert "qmigrate:500" in demo.world.logbook[-1].msg


def test_the_log_is_overrun(demo: Simulator) -> None:
    demo.call("PUT", CONFIG, {"description": "x"})
    last = demo.world.next_uid - 1
    demo.faults.add(Fault("log-overrun"))
    log = demo.call("GET", "/cluster/log", {"max": 10_000}).data
    assert min(entry["uid"] for entry in log) > last
    assert not demo.faults.set[0].on


EXAMPLES: dict[Kind, dict[str, Any]] = {
    "lock": {"vmid": 9000, "text": "backup"},
    "stubborn-guest": {"vmid": 9000},
    "storage-full": {"storage": "shared"},
    "node-down": {"node": "pve2", "silent": True},
    "node-dead": {"node": "pve2"},
    "slow-node": {"node": "pve2", "seconds": 1.0},
    "node-maintenance": {"node": "pve2"},
    "quorum-lost": {},
    "broadcast-frozen": {"node": "pve1"},
    "rights-withdrawn": {"user": FLEET},
    "clock-jump": {"seconds": 60.0},
    "ha-move": {"vmid": 9000, "node": "pve1"},
    "guest-off": {"vmid": 9000},
    "log-overrun": {},
}


@pytest.mark.parametrize("kind", TURNS)
def test_a_fault_survives_a_save_and_can_then_be_removed(demo: Simulator, kind: Kind) -> None:
    before = sorted(map(str, demo.world.access.grants))
    fault = demo.faults.add(read_fault({"kind": kind, **EXAMPLES[kind]}))
    world = World.load(json.loads(json.dumps(demo.world.dump())))
    again = Simulator(world, demo.clock)
    assert again.faults.listed() == demo.faults.listed()
    assert again.faults.remove(fault.id) and again.faults.set == []
    nodes = world.nodes.values()
    assert all(one.online and not one.silent for one in nodes) and world.quorate
    assert (world.skew, world.frozen) == (0.0, {})
    assert sorted(map(str, world.access.grants)) == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "latency", "nth": "2"}, "Expected `int`, got `str`"),
        ({"kind": "latency", "acted": 1}, "unknown fields: acted; expected some of"),
        ({}, "kind: expected one of"),
    ],
)
def test_wrong_fields_are_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_fault(given)


def test_a_fault_is_read_from_a_command_line() -> None:
    fault = read_fault(parse_fault("lock,vmid=100,text=backup,nth=2,lasting=1.5"), texts=True)
    assert (fault.vmid, fault.text, fault.nth, fault.lasting) == (100, "backup", 2, 1.5)
    with pytest.raises(ValueError, match="'vmid': expected FIELD=VALUE"):
        parse_fault("lock,vmid")


@pytest.mark.parametrize(
    "fault", [Fault("rights-withdrawn", user="x@pve"), Fault("broadcast-frozen", node="x")]
)
def test_a_fault_must_name_what_is_there(demo: Simulator, fault: Fault) -> None:
    with pytest.raises(ValueError, match="there is no"):
        demo.faults.add(fault)
    assert demo.faults.set == []
