"""A migration in a run: how long it is followed, what waits for it, and what HA makes of it."""

from pathlib import Path

from reconciler.sim.faults import Fault
from state.change import Call
from tests.lab import Lab
from tests.laws.fleets import FLEET, fleet_files

ONE_COPY = FLEET.replace("[9000, 9001, 9002]", "[9000]")


def lab_of(folder: Path, text: str, fleet: str = ONE_COPY, speed: float = 600.0) -> Lab:
    return Lab(folder, {**fleet_files({}), "fleet.yaml": fleet, "vms/all.yaml": text}, speed=speed)


def moves(lab: Lab, run: int | None = None) -> list[str]:
    return [one.path for one in lab.wire.writes(run) if one.path.endswith("/migrate")]


def node_of(lab: Lab, key: str) -> str:
    with lab.store() as store:
        bound = store.bindings.of(key)
    assert bound is not None
    return lab.world.vms[bound.vmid].node


def state_of(lab: Lab, key: str, kind: str) -> str:
    with lab.store() as store:
        return next((c.message for c in store.conditions.all()[key] if c.type == kind), "")


def test_a_run_follows_a_migration_for_300_s_and_the_next_goes_on(tmp_path: Path) -> None:
    """DEP-15: the VM waits, and is not migrated twice."""
    lab = lab_of(tmp_path, "one: {node: pve3}\n")

    def slowed(call: Call) -> bool:
        lab.world.speed = 0.005 if call.path.endswith("/migrate") else lab.world.speed
        return lab.world.speed < 1

    lab.wire.meanwhile = slowed
    summary = lab.run(time_limit=2000.0)
    assert (summary.results["one"], summary.failed) == ("waiting", 0)
    with lab.store() as store:
        (task,) = store.tasks.all().values()
    assert task.handler == "placement"
    assert 300 <= lab.clock.seconds - task.started_at.timestamp() < 303
    lab.world.speed = 600.0
    assert lab.run(time_limit=2000.0).ready == 1
    assert (node_of(lab, "one"), len(moves(lab))) == ("pve3", 1)


def test_one_migration_at_a_time_leaves_a_node(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "vm: {node: pve3, count: 3}\n", speed=5.0)
    most = 0

    def counted(_call: object) -> bool:
        nonlocal most
        running = [
            one for one in lab.world.tasks.all.values() if one.kind == "qmigrate" and one.running
        ]
        most = max(most, len(running))
        return False

    lab.wire.meanwhile = counted
    lab.settle()
    assert {node_of(lab, f"vm/{n}") for n in (1, 2, 3)} == {"pve3"}
    assert (most, len(moves(lab))) == (1, 3)


def test_more_may_be_migrated_at_once(tmp_path: Path) -> None:
    fleet = ONE_COPY.replace("{workers: 1}", "{workers: 1, migrations_per_node: 4}")
    lab = lab_of(tmp_path, "vm: {node: pve3, count: 2}\n", fleet, speed=5.0)
    lab.run()
    assert len(moves(lab, 1)) == 2


ENFORCED = "one: {template: ubuntu-24, node: {name: pve2, enforce: true}}\n"


def test_an_enforced_migration_that_fails_is_tried_again_and_holds_nothing_back(
    tmp_path: Path,
) -> None:
    """C-23: the VM is ready, its other changes land, and the migration backs off."""
    lab = lab_of(tmp_path, ENFORCED.replace("pve2", "pve1"))
    lab.settle()
    lab.simulator.faults.add(Fault("task-fail", task="qmigrate", text="no route to host"))
    lab.write({"vms/all.yaml": ENFORCED.replace("}}", "}, memory: 3GiB, tags: [moved]}")})
    assert [lab.run().writes for _ in range(3)] == [1, 1, 0]
    assert "no route to host" in state_of(lab, "one", "BackOff")
    (machine,) = (vm for vmid, vm in lab.world.vms.items() if vmid < 9000)
    assert (machine.node, "moved" in str(machine.config["tags"])) == ("pve1", True)
    assert (machine.status, machine.pending.get("memory")) == ("running", "3072")
    lab.clock.sleep(3600.0)
    lab.simulator.faults.clear()
    lab.settle()
    assert (node_of(lab, "one"), len(moves(lab))) == ("pve2", 2)


def test_what_somebody_moved_away_is_brought_back_as_drift(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, ENFORCED)
    lab.settle()
    (vmid,) = (vmid for vmid in lab.world.vms if vmid < 9000)
    lab.ask("POST", f"/nodes/pve2/qemu/{vmid}/migrate", target="pve3", online=1)
    lab.clock.sleep(60.0)
    lab.settle()
    assert (node_of(lab, "one"), len(moves(lab))) == ("pve2", 1)
    lab.write({"vms/all.yaml": ENFORCED.replace("}}", "}, drift: {migration: alert}}")})
    lab.ask("POST", f"/nodes/pve2/qemu/{vmid}/migrate", target="pve3", online=1)
    lab.clock.sleep(60.0)
    lab.settle()
    assert (node_of(lab, "one"), len(moves(lab))) == ("pve3", 1)
    assert "root@pam" in state_of(lab, "one", "Drifted")


def test_a_vm_under_ha_is_moved_through_the_manager(tmp_path: Path) -> None:
    """The manager carries it out in its own time, and is asked once."""
    under = ENFORCED.replace("}}", "}, ha: {}}")
    lab = lab_of(tmp_path, under.replace("pve2", "pve1"))
    lab.world.access.roles["Fleet"].append("Sys.Console")
    lab.world.access.changed()
    lab.settle()
    lab.clock.sleep(120.0)
    lab.write({"vms/all.yaml": under})
    for _ in range(4):
        lab.run()
        lab.clock.sleep(30.0)
    lab.settle()
    assert (node_of(lab, "one"), len(moves(lab))) == ("pve2", 1)


def test_while_a_deny_window_is_open_nothing_is_migrated(tmp_path: Path) -> None:
    windows = "windows: {freeze: {kind: deny, start: '* * * * *', for: 2h, effects: [live]}}\n"
    lab = lab_of(tmp_path, ENFORCED.replace("pve2", "pve1"))
    lab.settle()
    lab.write({"vms/all.yaml": ENFORCED, "fleet.yaml": ONE_COPY + windows})
    assert (lab.run().ready, moves(lab)) == (1, [])
    assert "window freeze" in state_of(lab, "one", "WindowClosed")
