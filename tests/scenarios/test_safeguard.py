"""Guarded changes over the wire: good ones, bad ones, and where no snapshot can be taken."""

import socket
from collections.abc import Callable, Iterator

import pytest

from tests.grounds import Grounds

Open = Callable[..., Grounds]
HERE = "here: {bridge: vmbr0, network: 127.9.0.0/24}\n"
"""Leases addresses of this very machine, so that the guests' services can be played by it."""

VM = (
    "web: {{memory: {memory}, restart: allow, nics: {{net0: {{ipv4: {{pool: here}}}}}}, {guard}}}\n"
)


@pytest.fixture
def port() -> Iterator[int]:
    """A port of the first leased address that takes connections."""
    with socket.create_server(("127.9.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


def vms(memory: str, guard: str) -> str:
    return VM.format(memory=memory, guard=f"guard: {guard}")


def tasks(scene: Grounds) -> list[str]:
    """Our tasks of the VM since it was first started, in order."""
    ours = [task for task in scene.world().tasks.all.values() if task.id == "100"]
    kinds = [one.kind for one in ours if one.user.startswith("reconcile@pve")]
    return kinds[kinds.index("qmstart") + 1 :]


def conditions(scene: Grounds) -> dict[str, str]:
    with scene.store() as store:
        return {one.type: one.message for one in store.conditions.all()["web"]}


def deployed(scene: Open, guard: str) -> Grounds:
    fleet = scene(vms("1GiB", guard), pools__here=HERE)
    fleet.settle()
    return fleet


def test_a_good_change_of_a_leased_vm_is_checked_and_leaves_no_snapshot(
    scene: Open, port: int
) -> None:
    """CP-01, CP-14: one event, when the VM is well and not before."""
    guard = f"{{health: {{tcp: {port}}}}}"
    fleet = deployed(scene, guard)
    fleet.write({"vms/vms.yaml": vms("2GiB", guard)})
    fleet.settle()
    assert tasks(fleet) == ["qmsnapshot", "qmshutdown", "qmstart", "qmdelsnapshot"]
    vm = fleet.shot()["vms"][100]
    assert (vm["config"]["memory"], vm["snapshots"]) == ("2048", [])
    with fleet.store() as store:
        assert [one.event for one in store.outbox.waiting()] == ["vm_ready", "vm_changed"]


def test_a_bad_change_is_rolled_back_and_held_until_a_person_looks(scene: Open) -> None:
    """The VM answers on no port: back to what it was, told once, and not tried again."""
    guard = "{health: {http: 'http://{{ip}}:1/health'}, within: 10s}"
    fleet = deployed(scene, guard)
    fleet.write({"vms/vms.yaml": vms("2GiB", guard)})
    failed = 0
    for _ in range(8):
        failed += fleet.run(time_limit=2.5).failed
        fleet.later(60.0)
    assert failed == 1  # the run that gave up says so; later ones leave the VM held
    undone = ["qmsnapshot", "qmshutdown", "qmstart"]
    undone += ["qmshutdown", "qmrollback", "qmstart", "qmdelsnapshot"]
    assert tasks(fleet) == undone
    vm = fleet.shot()["vms"][100]
    assert (vm["config"]["memory"], vm["status"], vm["snapshots"]) == ("1024", "running", [])
    assert "http://127.9.0.1:1/health does not answer" in conditions(fleet)["ChangeRolledBack"]
    assert "rolled back" in fleet.cli("status", "web").stdout
    assert fleet.run().writes == 0
    assert "web goes on" in fleet.cli("unhold", "web").stdout
    fleet.write({"vms/vms.yaml": vms("1GiB", guard)})
    fleet.settle()
    assert "ChangeRolledBack" not in conditions(fleet)


def test_where_a_storage_takes_no_snapshots_the_change_waits_and_says_why(scene: Open) -> None:
    fleet = deployed(scene, "snapshot")
    thick = {"storage": "thick", "type": "lvm", "vgname": "pve", "content": "images"}
    fleet.ask("POST", "/storage", **thick)
    node = fleet.shot()["vms"][100]["node"]
    fleet.ask("POST", f"/nodes/{node}/qemu/100/config", scsi3="thick:1")
    fleet.write({"vms/vms.yaml": vms("2GiB", "snapshot")})
    summary = fleet.run()
    assert (summary.failed, summary.waiting) == (0, 1)
    assert "the storage of a disk cannot" in conditions(fleet)["GuardUnavailable"]
    assert fleet.shot()["vms"][100]["config"]["memory"] == "1024"


def test_passwords_and_steps_are_done_again_at_a_person_s_word(scene: Open) -> None:
    """C-06, C-13: in processes of their own."""
    fleet = scene("web: {agent: true, cloudinit: {user: ops, password: generate}}\n")
    fleet.settle()
    fleet.later(100.0)
    first = fleet.cli("password", "web", "--show-once").stdout.strip()
    done = fleet.cli("password", "web", "--reset", "--show-once")
    assert "web: password of ops set through the guest agent; the next run" in done.stderr
    second = done.stdout.strip()
    assert len(first) == len(second) == 20
    assert first != second
    assert fleet.cli("password", "web", "--show-once").returncode == 1
    fleet.settle()
    shown = fleet.cli("redo", "web", "set_cloudinit", "--dry-run").stdout
    assert "PUT /nodes/pve1/qemu/100/cloudinit" in shown
    assert fleet.run().writes == 0
    assert fleet.cli("redo", "web", "Configure cloud-init").stdout == shown
    assert fleet.run().writes == 2
    assert fleet.settle().writes == 0
    refused = fleet.cli("redo", "web", "clone")
    assert (refused.returncode, "would make another machine" in refused.stderr) == (1, True)
