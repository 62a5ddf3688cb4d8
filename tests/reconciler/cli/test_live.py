"""Commands that work on a cluster: the simulated one, started by the command itself."""

import json
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.lock import RunnerLock
from state.store import Store

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A fleet of two VMs on a simulated cluster of one node."""
    folder = tmp_path / "fleet"
    (folder / "vms").mkdir(parents=True)
    (folder / "pools").mkdir()
    (folder / "fleet.yaml").write_text(
        "fleet: lab\n"
        "clusters: {lab: {simulated: {nodes: 1, speed: 3000}}}\n"
        "defaults: {cluster: lab, template: t, storage: local-lvm}\n"
        "templates: {t: {lab: [9000]}}\n"
    )
    (folder / "pools" / "p.yaml").write_text("p: {bridge: vmbr0, network: 198.51.100.0/29}\n")
    (folder / "vms" / "web.yaml").write_text(
        "web-1: {nics: {net0: {ipv4: {pool: p}}}, cloudinit: {password: generate}}\n"
        "web-2: {cpu: {cores: 2}}\n"
    )
    return folder


@pytest.fixture
def reconcile(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """The command on that fleet: its exit status, what it printed, what it complained of."""

    def call(*words: str) -> tuple[int, str, str]:
        database = str(lab.parent / "lab.db")
        argv = ["reconcile", "--fleet", str(lab), "--database", database, *words]
        monkeypatch.setattr(sys, "argv", argv)
        status = main()
        out, err = capfd.readouterr()
        return status, out, err

    return call


def test_a_fleet_is_planned_made_and_then_left_alone(reconcile: Command, lab: Path) -> None:
    status, plan, _ = reconcile("--once", "--dry-run")
    assert status == 2
    assert plan.splitlines()[0].startswith("+ web-1 (new, pve1)")
    assert "2 to create" in plan
    assert not (lab.parent / "lab.db").exists()

    status, run, _ = reconcile("--once")
    assert status == 0
    assert "[+]  2. Clone VM                   success (set_ip -> clone)" in run
    assert "--- Deploy complete: service=web-1 status=ready ---" in run
    assert "\n2 VMs: 2 ready, 2 changed, 0 failed; " in run

    status, run, _ = reconcile("--once")
    assert (status, ", 0 writes; " in run) == (0, True)
    assert reconcile("--once", "--quiet") == (0, "", "")
    assert reconcile("--once", "--dry-run")[0] == 0


def test_what_was_done_can_be_read_afterwards(reconcile: Command) -> None:
    assert reconcile("--run-task=processVirtualMachines", "--only", "web-1")[0] == 0
    assert reconcile("job", "run", "process_vms")[0] == 0
    assert reconcile("status")[1].splitlines()[-1] == "2 VMs: 2 ready"
    assert "198.51.100.1" in reconcile("status", "web-1")[1]
    log = reconcile("log", "web-1")[1]
    assert "[+]  1. Allocate IP" in log
    assert "[+] 15. Verify running + Email" in log
    assert len(reconcile("password", "web-1", "--show-once")[1].strip()) == 20
    assert reconcile("password", "web-1", "--show-once")[0] == 1


def test_json_lines_and_documents_are_for_machines(reconcile: Command) -> None:
    plan = json.loads(reconcile("--once", "--dry-run", "--output", "json")[1])
    assert (plan["plan"]["create"], plan["differs"]) == (2, True)
    events = [json.loads(line) for line in reconcile("--once", "--output", "json")[1].splitlines()]
    assert events[0]["event"] == "run_started"
    assert next(one["task"] for one in events if one["event"] == "run_done") == "process_vms"
    assert {event["key"] for event in events if event["event"] == "vm_done"} == {"web-1", "web-2"}


def test_requests_are_shown_when_verbose(reconcile: Command) -> None:
    assert "POST /nodes/pve1/qemu/9000/clone" in reconcile("--once", "--dry-run", "-v")[1]
    run = reconcile("--once", "-v", "--only", "web-2")[1]
    assert "lab POST /nodes/pve1/qemu/9000/clone -> 200" in run
    assert "[=]  3. Configure DNS records      skip (no change) [0.00s]" in run


def test_dep_27_a_broken_spec_fails_the_run_but_stops_no_other(
    reconcile: Command, lab: Path
) -> None:
    """DEP-27"""
    (lab / "vms" / "bad.yaml").write_text("bad: {memory: 10}\n")
    status, out, err = reconcile("--once", "--strict")
    assert (status, out) == (1, "")
    assert "with --strict nothing is done" in err
    status, out, _ = reconcile("--once", "--quiet")
    assert status == 1
    assert "bad.yaml:1:15" in out
    assert out.splitlines()[-1].startswith("3 VMs: 2 ready, 2 changed, 1 failed")


def test_a_second_runner_is_told_who_is_at_work(reconcile: Command, lab: Path) -> None:
    with RunnerLock(lab.parent / "lab.db.lock"):
        status, out, err = reconcile("--once")
        assert "pid" in reconcile("locks", "clear")[1]
    assert (status, "Deploy" in out) == (75, False)
    assert out.startswith("process_vms skipped: already running (pid ")
    assert err.startswith("another run is at work: pid ")


def test_approving_what_needs_no_approval_is_refused(reconcile: Command) -> None:
    status, _, err = reconcile("approve", "ab12cd34")
    assert status == 1
    assert "nothing needs approval now" in err
    assert reconcile("--once", "--approve", "ab12cd34")[0] == 1


def test_doctor_checks_the_cluster_line_by_line(reconcile: Command, lab: Path) -> None:
    status, out, _ = reconcile("doctor")
    assert status == 0
    assert out.splitlines()[:2] == ["cluster lab", "ok   version            Proxmox VE 8.4.1"]
    assert "rights" in json.dumps(json.loads(reconcile("doctor", "--output", "json")[1]))
    fleet = lab / "fleet.yaml"
    fleet.write_text(fleet.read_text().replace("[9000]", "[9555]"))
    status, out, _ = reconcile("doctor")
    assert status == 1
    assert "BAD  template t" in out
    assert "-> make it" in out


def test_a_lost_database_is_rebuilt_from_the_cluster(reconcile: Command, lab: Path) -> None:
    assert reconcile("--once")[0] == 0
    for name in ("lab.db", "lab.db.key"):
        (lab.parent / name).unlink()
    assert ", 0 writes; " in reconcile("--once")[1]
    status, out, _ = reconcile("rebuild-state", "--dry-run")
    assert (status, out.splitlines()[-1]) == (0, "2 VMs to take in")
    status, out, _ = reconcile("rebuild-state")
    assert (status, out.splitlines()[-1]) == (0, "taken in: 2")
    with Store.preview(str(lab.parent / "lab.db"), at=datetime.now(UTC)) as store:
        assert sorted(store.bindings.all()) == ["web-1", "web-2"]
        assert [lease.address for lease in store.leases.of("web-1")] == ["198.51.100.1"]
    assert reconcile("--once")[1].splitlines()[-1].startswith("2 VMs: 2 ready, 0 changed")


def test_a_run_that_is_told_to_stop_ends_as_one_that_is_interrupted(
    reconcile: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("reconciler.loop.Run.go", stopped)
    before = signal.getsignal(signal.SIGTERM)
    status, _, err = reconcile("--once")
    assert (status, err.strip()) == (130, "interrupted; the next run goes on from here")
    assert signal.getsignal(signal.SIGTERM) == before
