"""Restarts over the wire: policies, windows, a guest that does not listen, HA, a person's word."""

from collections.abc import Callable

import pytest

from tests.grounds import Grounds

Open = Callable[..., Grounds]
WINDOWS = """\
windows:
  always: {start: "* * * * *", for: 1h, names: [open]}
  once: {start: "0 0 29 2 *", for: 1min, names: [closed]}
"""
FREEZE = '  freeze: {start: "* * * * *", for: 1h, kind: deny}\n'
POLICIES = {
    "never": "never",
    "allowed": "allow",
    "open": "window",
    "closed": "window",
    "windowless": "window",
}


def vms(memory: str, **policies: str) -> str:
    lines = (f"{key}: {{memory: {memory}, restart: {how}}}\n" for key, how in policies.items())
    return "".join(lines)


def powered(scene: Grounds) -> dict[str, list[str]]:
    """Our tasks of each VM's power since it was first started, by its key; not the manager's."""
    with scene.store() as store:
        keys = {str(one.vmid): key for key, one in store.bindings.all().items()}
    found: dict[str, list[str]] = {key: [] for key in keys.values()}
    for task in scene.world().tasks.all.values():
        ours = task.user.startswith("reconcile@pve")
        if ours and task.kind in ("qmstart", "qmshutdown", "qmstop"):
            found[keys[task.id]].append(task.kind.removeprefix("qm"))
    return {key: verbs[1:] for key, verbs in found.items()}


def conditions(scene: Grounds, key: str) -> dict[str, str]:
    with scene.store() as store:
        return {one.type: one.message for one in store.conditions.all()[key]}


def windowed(scene: Open, text: str) -> Grounds:
    made = scene(text)
    made.write({"fleet.yaml": made.head() + "guard: {restarts: 100%}\n" + WINDOWS})
    return made


def test_c_24_each_policy_restarts_when_it_may_and_only_then(scene: Open) -> None:
    """C-04, C-24, CP-12, CP-15"""
    fleet = windowed(scene, vms("1GiB", **POLICIES))
    fleet.settle()
    fleet.write({"vms/vms.yaml": vms("2GiB", **POLICIES)})
    fleet.settle()
    restarted = {key for key, verbs in powered(fleet).items() if verbs == ["shutdown", "start"]}
    assert restarted == {"allowed", "open"}
    assert {
        key for key, verbs in powered(fleet).items() if not verbs
    } == POLICIES.keys() - restarted
    assert conditions(fleet, "never")["RestartRequired"] == "waits for a stop and start: memory"
    assert (
        "waits for a window (tue 2028-02-29 00:00 UTC)"
        in (conditions(fleet, "closed")["RestartRequired"])
    )
    assert "NoWindow" in conditions(fleet, "windowless")
    assert "RestartRequired" not in conditions(fleet, "allowed")


def test_a_person_lets_a_vm_restart_once_and_now_goes_before_a_window(scene: Open) -> None:
    """C-24: `reconcile restart` in a process of its own; a deny window wins but for --now."""
    fleet = windowed(scene, vms("1GiB", web="never"))
    fleet.settle()
    fleet.write({"vms/vms.yaml": vms("2GiB", web="never")})
    fleet.settle()
    fleet.write({"fleet.yaml": fleet.head() + WINDOWS + FREEZE})
    assert "(waits for a stop and start: memory)" in fleet.cli("restart", "web").stdout
    fleet.settle()
    assert powered(fleet) == {"web": []}
    assert "window freeze denies it until" in conditions(fleet, "web")["WindowClosed"]
    fleet.cli("restart", "web", "--now")
    fleet.settle()
    assert powered(fleet) == {"web": ["shutdown", "start"]}
    fleet.write({"fleet.yaml": fleet.head(), "vms/vms.yaml": vms("3GiB", web="never")})
    fleet.settle()
    assert powered(fleet) == {"web": ["shutdown", "start"]}


def test_c_24_under_a_deny_window_not_even_a_live_value_is_written(scene: Open) -> None:
    fleet = windowed(scene, vms("1GiB", web="allow"))
    fleet.settle()
    fleet.write({"fleet.yaml": fleet.head() + WINDOWS + FREEZE})
    fleet.write({"vms/vms.yaml": "web: {memory: 1GiB, description: new}\n"})
    summary = fleet.run()
    assert (summary.writes, summary.failed, summary.waiting) == (0, 0, 1)
    fleet.write({"fleet.yaml": fleet.head()})
    fleet.settle()
    assert "new" in fleet.shot()["vms"][100]["config"]["description"]


def test_cp_04_a_guest_that_does_not_listen_is_switched_off_after_two_minutes(scene: Open) -> None:
    """CP-04, C-09, C-24: the window spans runs; the last look before force is a fresh one."""
    fleet = scene(vms("1GiB", web="allow"))
    fleet.settle()
    fleet.fault("task-hang", task="qmshutdown", times=None)
    fleet.write({"vms/vms.yaml": vms("2GiB", web="allow")})
    fleet.run(time_limit=1.5)
    assert powered(fleet) == {"web": ["shutdown"]}
    fleet.later(100)
    fleet.run(time_limit=1.0)
    assert powered(fleet) == {"web": ["shutdown"]}
    fleet.later(30)
    fleet.settle(time_limit=10.0)
    assert powered(fleet) == {"web": ["shutdown", "stop", "start"]}
    assert fleet.shot()["vms"][100]["config"]["memory"] == "2048"


def test_c_09_what_ha_manages_is_restarted_by_its_requested_state(scene: Open) -> None:
    fleet = scene("web: {memory: 1GiB, restart: allow, ha: {max_restart: 2}}\n")
    who = {"users": "reconcile@pve", "tokens": "reconcile@pve!fleet"}
    fleet.ask("PUT", "/access/acl", path="/", roles="PVESysAdmin", **who)
    fleet.settle()
    assert fleet.ask("GET", "/cluster/ha/resources")[0]["max_restart"] == 2
    fleet.write({"vms/vms.yaml": "web: {memory: 2GiB, restart: allow, ha: {max_restart: 2}}\n"})
    fleet.settle()
    assert powered(fleet) == {"web": []}
    shot = fleet.shot()["vms"][100]
    assert (shot["status"], shot["config"]["memory"], shot["pending"]) == ("running", "2048", {})
    fleet.write({"vms/vms.yaml": "web: {memory: 2GiB}\n"})
    fleet.settle()
    assert fleet.ask("GET", "/cluster/ha/resources") == []


@pytest.mark.parametrize("ha", ["", ", ha: {max_restart: 1}"])
def test_power_stopped_keeps_a_vm_off_until_its_spec_says_running(scene: Open, ha: str) -> None:
    """DEP-24: under the HA manager as well."""
    fleet = scene(f"web: {{memory: 1GiB{ha}}}\n")
    who = {"users": "reconcile@pve", "tokens": "reconcile@pve!fleet"}
    fleet.ask("PUT", "/access/acl", path="/", roles="PVESysAdmin", **who)
    fleet.settle()
    for power, status in (("stopped", "stopped"), ("running", "running")):
        fleet.write({"vms/vms.yaml": f"web: {{memory: 1GiB, power: {power}{ha}}}\n"})
        fleet.settle()
        assert fleet.shot()["vms"][100]["status"] == status
