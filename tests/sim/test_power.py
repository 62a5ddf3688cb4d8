"""Power verbs, the flock they hold, pending changes at stop and start, locks."""

import pytest

from reconciler.sim.accounts.access import Token
from reconciler.sim.vm.machine import Machine
from tests.sim.conftest import TINY, Hands


def state(hands: Hands, vmid: int = 100) -> str:
    found: str = hands.get(f"/{vmid}/status/current")["qmpstatus"]
    return found


@pytest.fixture
def running(hands: Hands) -> Hands:
    hands.vm(100, memory="256", scsi0=f"{TINY},format=qcow2", ide2="local:cloudinit")
    assert hands.task("POST", "/100/status/start") == "OK"
    return hands


def test_start_and_stop(running: Hands) -> None:
    assert state(running) == "running"
    assert running.task("POST", "/100/status/start") == "VM 100 already running"
    assert running.task("POST", "/100/status/stop") == "OK"
    assert state(running) == "stopped"
    assert running.task("POST", "/100/status/stop") == "OK"
    assert running.task("POST", "/100/status/shutdown") == "OK"


def test_pending_changes_come_in_at_stop_and_at_start(running: Hands) -> None:
    running.call("PUT", "/100/config", cores=4)
    running.task("POST", "/100/status/stop")
    assert running.get("/100/config", current=1)["cores"] == 4
    machine = running.simulator.world.vms[100]
    machine.pending["cores"] = 2
    running.task("POST", "/100/status/start")
    assert running.get("/100/config", current=1)["cores"] == 2


def test_reset_keeps_pending_changes(running: Hands) -> None:
    running.call("PUT", "/100/config", cores=4)
    assert running.task("POST", "/100/status/reset") == "OK"
    assert set(running.waiting(100)) == {"cores"}


def test_a_shutdown_holds_the_vm_until_the_guest_is_off(running: Hands) -> None:
    upid = running.call("POST", "/100/status/shutdown").data
    text = running.refused("PUT", "/100/config", cores=2)
    assert text == "500 can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"
    assert running.end(upid) == "OK"
    assert running.call("PUT", "/100/config", cores=2).ok


def test_a_shutdown_that_takes_too_long_fails_or_kills(running: Hands) -> None:
    late = "VM quit/powerdown failed - got timeout"
    assert running.task("POST", "/100/status/shutdown", timeout=2) == late
    assert running.task("POST", "/100/status/reboot", timeout=2) == late
    assert state(running) == "running"
    assert running.task("POST", "/100/status/shutdown", timeout=1, forceStop=1) == "OK"
    assert state(running) == "stopped"


def test_the_startup_order_gives_the_time_to_shut_down(running: Hands) -> None:
    running.call("PUT", "/100/config", startup="order=1,down=3")
    assert running.task("POST", "/100/status/shutdown").endswith("got timeout")


def test_without_its_agent_a_guest_is_asked_by_acpi(hands: Hands) -> None:
    """qemu-server PVE/QemuServer.pm (_do_vm_stop): the agent only when it answers."""
    hands.vm(100, agent="1", scsi0=TINY)
    hands.task("POST", "/100/status/start")
    assert hands.task("POST", "/100/status/shutdown") == "OK"


def test_a_vm_of_blank_disks_does_not_hear(hands: Hands) -> None:
    """As the empty VM of the recorded flow 04."""
    hands.vm(100, agent="1", scsi0="local:1")
    hands.task("POST", "/100/status/start")
    text = "VM quit/powerdown failed - got timeout"
    assert hands.task("POST", "/100/status/shutdown") == text
    assert hands.refused("POST", "/100/agent/ping") == "500 QEMU guest agent is not running"


def test_a_reboot_ends_before_the_vm_is_back(running: Hands) -> None:
    running.call("PUT", "/100/config", cores=2)
    assert running.task("POST", "/100/status/reboot") == "OK"
    assert state(running) == "stopped"
    assert running.get("/100/config", current=1)["cores"] == 2
    running.call("PUT", "/100/config", cores=3)
    assert running.waiting(100) == {}, "in the gap a change applies at once"
    running.clock.pass_by(5)
    assert state(running) == "running"
    kinds = [task.kind for task in running.simulator.world.tasks.newest()]
    assert kinds.count("qmstart") == 1, "qmeventd's start is no task"


def test_stop_can_overrule_a_shutdown(running: Hands) -> None:
    upid = running.call("POST", "/100/status/shutdown").data
    assert running.task("POST", "/100/status/stop", overrule_shutdown=1) == "OK"
    assert running.end(upid) == "received interrupt"
    assert state(running) == "stopped"


def test_paused_guests_cannot_be_shut_down(running: Hands) -> None:
    assert running.task("POST", "/100/status/suspend") == "OK"
    assert state(running) == "paused"
    for verb in ("shutdown", "reboot"):
        text = running.refused("POST", f"/100/status/{verb}")
        assert text == "500 VM is paused - cannot shutdown"
    assert running.task("POST", "/100/status/resume") == "OK"
    assert state(running) == "running"
    running.task("POST", "/100/status/suspend")
    assert running.task("POST", "/100/status/shutdown", forceStop=1) == "OK"


def test_a_vm_suspended_to_disk_starts_from_its_memory(running: Hands) -> None:
    upid = running.call("POST", "/100/status/suspend", todisk=1).data
    assert running.config(100)["lock"] == "suspending"
    assert running.end(upid) == "OK"
    config = running.config(100)
    assert (config["lock"], state(running)) == ("suspended", "stopped")
    assert running.task("POST", "/100/status/resume") == "OK"
    assert {"lock", "vmstate"} & set(running.config(100)) == set()
    assert state(running) == "running"


@pytest.mark.parametrize("verb", ["reboot", "reset", "suspend", "resume"])
def test_verbs_for_running_vms_look_at_that_first(hands: Hands, verb: str) -> None:
    hands.vm(100)
    hands.call("PUT", "/100/config", lock="backup")
    assert hands.refused("POST", f"/100/status/{verb}") == "500 VM 100 not running"
    missing = hands.refused("POST", f"/999/status/{verb}")
    assert missing == "500 unable to find configuration file for VM 999 on node 'pve1'"


@pytest.mark.parametrize(
    "lock",
    [
        "backup",
        "clone",
        "create",
        "migrate",
        "rollback",
        "snapshot",
        "snapshot-delete",
        "suspending",
    ],
)
def test_every_lock_but_suspended_fails_the_start(hands: Hands, lock: str) -> None:
    hands.vm(100)
    hands.call("PUT", "/100/config", lock=lock)
    assert hands.task("POST", "/100/status/start") == f"VM is locked ({lock})"
    assert hands.task("POST", "/100/status/start", skiplock=1) == "OK"
    assert hands.task("POST", "/100/status/stop") == f"VM is locked ({lock})"
    assert hands.task("POST", "/100/status/stop", skiplock=1) == "OK"


def test_a_missing_bridge_or_volume_fails_the_start(hands: Hands) -> None:
    hands.vm(100, net0="virtio,bridge=vmbr77", scsi0="local:1")
    text = hands.task("POST", "/100/status/start")
    assert text == "start failed: QEMU exited with code 1"
    hands.call("PUT", "/100/config", delete="net0")
    hands.simulator.world.volumes.clear()
    text = hands.task("POST", "/100/status/start")
    assert text == "volume 'local:100/vm-100-disk-0.raw' does not exist"


def test_tasks_wait_for_each_other(running: Hands) -> None:
    stop = running.call("POST", "/100/status/stop").data
    start = running.call("POST", "/100/status/start").data
    assert (running.end(stop), running.end(start)) == ("OK", "OK")
    assert state(running) == "running"


def test_options_of_root_are_refused_to_tokens_of_root(hands: Hands) -> None:
    root = hands.simulator.world.access.users["root@pam"]
    root.tokens["flow"] = Token("secret", privsep=False)
    hands.vm(100)
    for verb, option in (("start", "skiplock"), ("stop", "keepActive"), ("shutdown", "skiplock")):
        path = f"/nodes/pve1/qemu/100/status/{verb}"
        answer = hands.simulator.call("POST", path, {option: 1}, "root@pam!flow")
        assert answer.errors == {option: "Only root may use this option."}


def test_a_machine_survives_its_dump(running: Hands) -> None:
    running.call("PUT", "/100/config", cores=2, delete="ide2")
    running.task("POST", "/100/snapshot", snapname="s1")
    machine = running.simulator.world.vms[100]
    again = Machine.load(machine.dump())
    assert again == machine
    assert again.digest() == machine.digest()
