"""The verbs as commands, over HTTPS: asked by a person, done by the next run."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from reconciler.verbs.reset import TARGETS
from state.memory import Phase
from tests.grounds import COMMAND, Grounds

Open = Callable[[str], Grounds]
WEB = "web: {memory: 1GiB, nics: {net0: {ipv4: {pool: public-v4}}}}\n"
OTHERS = "b: {power: stopped}\nc: {power: stopped}\nd: {power: stopped}\n"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Open]:
    """Open a cluster behind HTTPS with a fleet of these VMs."""
    with ExitStack() as stack:
        yield lambda vms: stack.enter_context(Grounds(tmp_path, {"vms/vms.yaml": vms}))


def call(fleet: Grounds, *words: str, typed: str = "") -> Result:
    options = ["--fleet", str(fleet.fleet), "--database", fleet.where]
    return CliRunner().invoke(cli, [*options, *words], input=typed)


def said(fleet: Grounds, *words: str) -> str:
    done = call(fleet, *words)
    assert done.exit_code == 0, done.output
    return done.output


def machine(fleet: Grounds, vmid: int = 100) -> dict[str, object]:
    shot = fleet.shot()["vms"][vmid]
    assert isinstance(shot, dict)
    return shot


def phase(fleet: Grounds, key: str = "web") -> Phase | None:
    with fleet.store() as store:
        binding = store.bindings.of(key)
        return binding.phase if binding else None


def test_sus_02_suspend_and_resume_answer_at_once(scene: Open) -> None:
    """SUS-01, SUS-02: success at once, also of what is so already; the run does the work."""
    fleet = scene(WEB)
    fleet.settle()
    assert said(fleet, "suspend", "web", "--why", "unpaid").startswith("web is stopped and kept")
    assert said(fleet, "suspend", "web") == "web is suspended already\n"
    fleet.settle()
    assert machine(fleet)["status"] == "stopped"
    for command in (("restart", "web"), ("redo", "web", "starting")):
        refused = call(fleet, *command)
        assert refused.exit_code == 1
        assert "web is suspended: see reconcile resume" in refused.output
    assert "suspended" in said(fleet, "status")
    assert "`reconcile resume web` brings it back" in said(fleet, "why", "web")
    assert "suspend asked by " in said(fleet, "log", "web")
    told = json.loads(said(fleet, "resume", "web", "--output", "json", "--token", "paid-7"))
    assert (told["verb"], told["token"], told["says"]) == (
        "resume",
        "paid-7",
        "comes back as it was",
    )
    fleet.settle()
    assert machine(fleet)["status"] == "running"
    assert said(fleet, "resume", "web") == "web is not suspended\n"


def test_snapshots_are_taken_listed_rolled_back_to_and_deleted(scene: Open) -> None:
    fleet = scene(WEB)
    fleet.settle()
    assert said(fleet, "snapshots", "list", "web") == "web has no snapshots\n"
    said(fleet, "snapshot", "web", "--name", "gold", "--vmstate")
    fleet.settle()
    listed = said(fleet, "snapshots", "list", "web")
    assert listed.startswith("gold ")
    assert "reconcile: asked by " in listed
    assert "give --yes in place of typing ROLLBACK" in call(fleet, "rollback", "web", "gold").output
    said(fleet, "rollback", "web", "gold", "--yes")
    fleet.settle()
    said(fleet, "snapshots", "delete", "web", "gold", "--yes")
    fleet.settle()
    assert said(fleet, "snapshots", "list", "web") == "web has no snapshots\n"
    assert call(fleet, "snapshot", "web", "--name", "rc-1-abcdef").exit_code != 0


def test_a_vm_is_moved_by_command(scene: Open) -> None:
    fleet = scene("web: {memory: 1GiB, node: pve1}\n")
    fleet.settle()
    assert call(fleet, "move", "web").exit_code != 0
    assert said(fleet, "move", "web", "--node", "pve2") == "web is moved\n"
    fleet.settle()
    assert machine(fleet)["node"] == "pve2"


def test_dep_28_a_reinstall_says_what_is_lost_and_asks_for_its_word(scene: Open) -> None:
    fleet = scene(WEB + OTHERS)
    fleet.settle()
    before = machine(fleet)["config"]
    asked = call(fleet, "reinstall", "web")
    assert "DESTROY  scsi0 " in asked.output
    assert "give --yes in place of typing REINSTALL" in asked.output
    told = json.loads(call(fleet, "reinstall", "web", "--yes", "--output", "json").stdout)
    assert told["verb"] == "reinstall" and told["destroys"][0].startswith("scsi0 ")
    fleet.settle()
    assert machine(fleet)["config"] == before


def test_dep_28_who_types_the_word_has_approved_what_was_shown(scene: Open) -> None:
    """Design 4: `--yes` approves nothing; a retained disk is not among what is lost."""
    disks = "disks: {scsi1: {size: 1GiB, storage: local-lvm, reclaim: retain}}"
    fleet = scene(f"web: {{memory: 1GiB, protection: true, {disks}}}\n")
    fleet.settle()
    typed = typed_at_a_terminal(fleet, "reinstall", "web", word="REINSTALL\n")
    assert "DESTROY  scsi0 " in typed.stdout and "DESTROY  scsi1" not in typed.stdout
    assert "approve" not in typed.stdout.splitlines()[-1]
    fleet.settle()
    with fleet.store() as store:
        assert [row.result for row in store.verbs.of("web")] == ["done"]
    nothing = typed_at_a_terminal(fleet, "redeploy", "web", "--output", "json", word="no\n")
    assert "web is ready" in nothing.stderr
    told = said(fleet, "redeploy", "web", "--yes")
    assert ", once it is approved: reconcile approve " in told.splitlines()[-1]
    nothing = typed_at_a_terminal(fleet, "reinstall", "web", word="no\n")
    assert "a redeploy of it is under way" in nothing.stderr


def typed_at_a_terminal(fleet: Grounds, *words: str, word: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that a person answers."""
    ours, theirs = os.openpty()
    os.write(ours, word.encode())
    options = ["--fleet", str(fleet.fleet), "--database", fleet.where]
    command = [*COMMAND, *options, *words]
    done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, timeout=60)
    os.close(ours)
    os.close(theirs)
    return done


def test_term_14_a_vm_that_is_ready_is_redeployed_only_with_yes(scene: Open) -> None:
    """And one that was terminated, although its spec wants it, is deployed again by it."""
    fleet = scene(WEB + OTHERS)
    fleet.run()
    assert "web is ready: see reconcile reinstall" in call(fleet, "redeploy", "web").output
    said(fleet, "terminate", "web", "--yes")
    fleet.settle()
    assert phase(fleet) is None
    said(fleet, "redeploy", "web", "--yes")
    fleet.settle()
    assert phase(fleet) is Phase.READY


def test_term_12_a_reset_says_what_runs_next_and_makes_it(scene: Open) -> None:
    """TERM-12, C-13: a state means done; what comes after it is made again."""
    fleet = scene(WEB)
    fleet.settle()
    dry = said(fleet, "reset", "web", "--to", "set_network", "--dry-run")
    assert (
        dry == "web is set to set_network; what runs next: set_firewall, set_cloudinit, starting\n"
    )
    said(fleet, "reset", "web", "--to", "set_network")
    for _ in range(6):
        fleet.run()
        fleet.later(60)
    with fleet.store() as store:
        assert [row.result for row in store.verbs.of("web")] == ["done"]
        assert store.intents.of("web") == {}
    assert phase(fleet) is Phase.READY


def test_term_12_ready_remove_and_unknown_states(scene: Open) -> None:
    fleet = scene(WEB)
    fleet.settle()
    assert "the states are creation" in call(fleet, "reset", "web", "--to", "odd").output
    assert "reconcile dns resync" in call(fleet, "reset", "web", "--to", "set_dns_records").output
    for state in TARGETS:
        if state != "set_dns_records":
            assert "what runs next" in said(fleet, "reset", "web", "--to", state, "--dry-run")
    with fleet.store() as store:
        binding = store.bindings.of("web")
        assert binding is not None
    said(fleet, "reset", "web", "--to", "remove", "--yes")
    assert phase(fleet) is Phase.ABANDONED
    said(fleet, "reset", "web", "--to", "ready")
    assert phase(fleet) is Phase.READY
    fleet.settle()


def test_term_12_an_end_that_failed_is_tried_again_by_reset(scene: Open) -> None:
    fleet = scene(WEB + OTHERS)
    fleet.settle()
    fleet.fault("task-fail", task="qmdestroy", times=1, text="no such volume group")
    said(fleet, "terminate", "web", "--yes")
    for _ in range(3):
        fleet.run()
        fleet.later(200)
    assert phase(fleet) is Phase.ERROR_TERMINATE
    said(fleet, "reset", "web", "--to", "terminate", "--yes")
    fleet.settle()
    assert phase(fleet) is None


def test_term_13_only_what_has_ended_is_forgotten(scene: Open) -> None:
    fleet = scene(WEB)
    fleet.settle()
    refused = call(fleet, "forget", "web", "--yes")
    assert (
        "it is ready: only a VM is forgotten that is error_terminate, abandoned" in refused.output
    )
    said(fleet, "reset", "web", "--to", "remove", "--yes")
    still = call(fleet, "forget", "web", "--yes").output
    assert "vm 100 is still there and may use 203.0.113." in still
    fleet.ask("POST", f"/nodes/{machine(fleet)['node']}/qemu/100/status/stop")
    fleet.later(60)
    fleet.ask("DELETE", f"/nodes/{machine(fleet)['node']}/qemu/100")
    fleet.later(60)
    forgotten = said(fleet, "forget", "web", "--yes")
    assert forgotten.startswith("web is forgotten; given back: 203.0.")
    assert forgotten.strip().endswith("its spec still wants it: the next run makes it anew")
    with fleet.store() as store:
        assert store.bindings.forgotten() == {"web"}
        assert store.leases.taken() == set()


def test_what_has_no_record_is_not_forgotten(scene: Open) -> None:
    fleet = scene(WEB)
    refused = call(fleet, "forget", "web", "--yes")
    assert refused.exit_code == 1
    assert "there is no record of a machine to give up" in refused.output
