"""What a call waits for, and what ends it before anything is sent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.queue.rules import Refused
from reconciler.sim.faults import Fault
from state.memory import Hold, Intent, OpenTask, Phase
from tests.reconciler.queue.jobs import QueueLab, queue_lab

VM = "/nodes/pve1/qemu/100"
FETCH = "/nodes/pve1/storage/local/download-url"
STOP = f"{VM}/status/stop"


@pytest.fixture
def lab(tmp_path: Path) -> QueueLab:
    return queue_lab(tmp_path)


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> QueueLab:
    return queue_lab(tmp_path_factory.mktemp("rules"))


def hold(lab: QueueLab) -> None:
    with lab.live() as store:
        store.holds.put(Hold("vm-0", "mine", lab.at()))


def unhold(lab: QueueLab) -> None:
    with lab.live() as store:
        store.holds.lift("vm-0")


def lock(lab: QueueLab) -> None:
    lab.world.vms[100].config["lock"] = "backup"
    lab.clock.sleep(30)


def unlock(lab: QueueLab) -> None:
    del lab.world.vms[100].config["lock"]
    lab.clock.sleep(30)


def work(lab: QueueLab) -> None:
    with lab.live() as store:
        store.tasks.open(OpenTask("UPID:x", "vm-0", "demo", "backup", lab.at()))


def rest(lab: QueueLab) -> None:
    with lab.live() as store:
        store.tasks.close(OpenTask("UPID:x", "vm-0", "demo", "backup", lab.at()))


def freeze(lab: QueueLab) -> None:
    text = (lab.fleet / "fleet.yaml").read_text()
    rule = 'windows: {freeze: {start: "0 0 * * *", for: 1d, kind: deny, effects: [stop-start]}}\n'
    lab.write({"fleet.yaml": text + rule})


def thaw(lab: QueueLab) -> None:
    text = (lab.fleet / "fleet.yaml").read_text()
    lab.write({"fleet.yaml": text.partition("windows:")[0]})
    lab.clock.sleep(86400)


def down(lab: QueueLab) -> None:
    lab.simulator.faults.add(Fault("node-down", node="pve1"))
    lab.clock.sleep(30)


def up(lab: QueueLab) -> None:
    lab.simulator.faults.clear()
    lab.clock.sleep(30)


def cut(lab: QueueLab) -> None:
    lab.simulator.faults.add(
        Fault("error-before", path="/cluster/status", times=None, status=595, text="No route")
    )


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        (hold, unhold, "held: mine"),
        (lock, unlock, "holds the lock backup"),
        (work, rest, "backup is at work on it"),
        (freeze, thaw, "window freeze denies it"),
        (down, up, "node pve1 is not online"),
        (cut, up, "No route"),
    ],
)
def test_q_03_a_call_waits_and_nothing_has_failed(
    settled: QueueLab,
    begin: Callable[[QueueLab], None],
    end: Callable[[QueueLab], None],
    words: str,
) -> None:
    """Q-03, Q-09: it runs on its own server, once that and its VM are free."""
    lab = settled
    lab.wire.calls.clear()
    number = lab.add(STOP)
    begin(lab)
    for _ in range(3):
        assert lab.work().status == "success"
        lab.clock.sleep(90)
    job = lab.job(number)
    assert (job.status, job.attempts) == ("queued", 0)
    assert words in job.error
    assert lab.wire.writes() == []
    assert sum("waits:" in line for line in lab.log(number)) == 1
    end(lab)
    lab.until(lambda: lab.job(number).status == "success", runs=5)
    assert len(lab.posts("/status/stop")) == 1


def other_uuid(lab: QueueLab) -> None:
    config = lab.world.vms[100].config
    config["smbios1"] = "uuid=11111111-2222-3333-4444-555555555555"


def ending(lab: QueueLab) -> None:
    with lab.live() as store:
        store.intents.put(Intent("vm-0", "do.terminate", lab.at(), 0, "{}"))


def left_alone(lab: QueueLab) -> None:
    _phase(lab, Phase.ERROR_TERMINATE)


def terminating(lab: QueueLab) -> None:
    _phase(lab, Phase.TERMINATE)


def taken_over(lab: QueueLab) -> None:
    with lab.live() as store:
        store.bindings.rename_key("vm-0", "other")


def _phase(lab: QueueLab, phase: Phase) -> None:
    with lab.live() as store:
        binding = store.bindings.of("vm-0")
        assert binding is not None
        store.bindings.change(replace(binding, phase=phase))


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (other_uuid, "was made anew by somebody"),
        (ending, "is being ended"),
        (terminating, "is being ended"),
        (left_alone, "left alone until a person has looked"),
        (taken_over, "is not vm 100 of demo any more"),
    ],
)
def test_what_is_not_surely_ours_to_touch_is_given_up_unsent(
    lab: QueueLab, happens: Callable[[QueueLab], None], words: str
) -> None:
    number = lab.add(STOP)
    happens(lab)
    assert lab.work().status == "error"
    assert words in lab.job(number).error
    assert lab.job(number).status == "error"
    assert lab.wire.writes() == []
    assert len(lab.events()) == 1


def test_a_call_follows_its_vm_to_another_node(tmp_path: Path) -> None:
    """Q-03: the node in the path is that which the VM is on when the call is sent."""
    lab = queue_lab(tmp_path)
    lab.simulator.faults.add(Fault("ha-move", vmid=100, node="pve2"))
    number = lab.add("/nodes/{node}/qemu/{vmid}/status/reset", key="vm-0")
    lab.clock.sleep(600)
    lab.until(lambda: lab.job(number).status == "success", runs=5)
    assert [one.path for one in lab.wire.writes()] == ["/nodes/pve2/qemu/100/status/reset"]
    assert lab.job(number).server == ("demo", "pve2")


@pytest.mark.parametrize(
    ("method", "path", "more", "words"),
    [
        ("DELETE", VM, {}, "reconcile terminate"),
        ("POST", "/nodes/pve1/qemu", {"params": {"vmid": "100"}}, "VMs are made of specs"),
        ("POST", f"{VM}/snapshot/x1/rollback", {}, "reconcile rollback"),
        ("PUT", f"{VM}/firewall/options", {}, "the firewall is what the spec says"),
        ("PUT", "/access/password", {}, "rights and passwords"),
        ("POST", "/nodes/pve1/execute", {}, "not a call for the queue"),
        ("POST", "/nodes/pve1/status", {}, "not a call for the queue"),
        ("DELETE", "/nodes/pve1/storage/local/content/local:backup/x", {}, "not a call for"),
        ("POST", f"{VM}/../101/status/stop", {}, "not a call for the queue"),
        ("POST", "/nodes/pve1/qemu/9000/status/start", {}, "none of this fleet's"),
        ("POST", "/nodes/pve1/qemu/100/status/start", {"key": "vm-1"}, "has no machine"),
        ("POST", "/nodes/{node}/qemu/{vmid}/status/start", {}, "--vm KEY"),
        ("POST", "/nodes/{node}/apt/update", {}, "name the node"),
        ("POST", STOP, {"cluster": "west"}, "the fleet has demo"),
        ("POST", STOP, {"params": {"skiplock": "1"}}, "goes round a lock"),
        ("PUT", f"{VM}/config", {"params": {"cipassword": "x"}}, "a secret is not kept"),
        ("POST", FETCH, {"params": {"url": "https://me:pw@x.example/a.iso"}}, "url: a secret"),
        ("PUT", f"{VM}/config", {"params": {"delete": "tags,unused0"}}, "destroy a disk"),
        ("PUT", f"{VM}/config", {"params": {"delete": "tags,smbios1"}}, "smbios1: .* known for"),
        ("POST", f"{VM}/config", {"params": {"description": "x"}}, "description: .* known for"),
        ("PUT", f"{VM}/resize", {"params": {"disk": "scsi0", "size": "+5G"}}, "whole size"),
        ("POST", "/nodes/pve1/vzdump", {"params": {"vmid": "100,101"}}, "one VM a job"),
        ("POST", "/nodes/pve1/vzdump", {"params": {"all": "1"}}, "more than one target"),
    ],
)
def test_only_listed_calls_are_taken(
    settled: QueueLab, method: str, path: str, more: dict[str, object], words: str
) -> None:
    with pytest.raises(Refused, match=words):
        settled.add(path, method, **more)
