"""The command at work: what it prints, how it ends, and that only one runs at a time."""

import json
import re
import subprocess
from pathlib import Path

from tests.grounds import ROOT, Grounds
from tests.scenarios.conftest import Open
from tests.scenarios.sample import events, summary

TWO = """\
one: {node: pve1, cpu: {cores: 2}, nics: {net0: {ipv4: {pool: public-v4}}}}
two: {node: pve2, domain: .example.org}
"""


def test_exit_statuses(scene: Open) -> None:
    """CLI-04: dry run 2 when something would change, 0 when nothing; live 0; 1 when it failed."""
    grounds = scene(TWO)
    dry = grounds.cli("--once", "--dry-run")
    assert dry.returncode == 2 and "2 to create" in dry.stdout
    assert set(grounds.world().vms) == {9000, 9001, 9002, 9100}
    assert not grounds.database.exists()
    assert grounds.cli("--once").returncode == 0
    again = grounds.cli("--once", "--dry-run")
    assert again.returncode == 0 and "2 unchanged" in again.stdout
    grounds.write({"vms/bad.yaml": "bad: {template: none-such}\n"})
    assert grounds.cli("--once").returncode == 1
    assert grounds.cli("--once", "--dry-run").returncode == 1


def test_a_run_prints_the_contracts_lines(scene: Open) -> None:
    """CLI-01, CLI-02, CLI-03, DEP-04, DEP-18..23: every step of a deploy, in its frame."""
    done = scene(TWO).cli("--once", "--verbose")
    assert done.returncode == 0 and done.stderr == ""
    moment = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    lines = done.stdout.splitlines()
    assert re.fullmatch(rf"{moment} .*Cron Start", lines[0])
    assert re.fullmatch(r"\[process_vms\] Running \(.*last: never\)", lines[1])
    assert any(re.fullmatch(r"--- Deploy: service=one vm=\S+ status=\S+ ---", x) for x in lines)
    steps = [x for x in lines if re.match(r"\[[+=]\] +\d+\. ", x)]
    assert len(steps) == 2 * 15
    made = re.compile(r"\[\+\]  2\. Clone VM +success \(set_ip -> clone\) \[\d+\.\d\ds\]")
    assert sum(bool(made.fullmatch(x)) for x in steps) == 2
    skip = re.compile(r"\[=\]  3\. Configure DNS records +skip \(no change\) \[0\.00s\]")
    assert sum(bool(skip.fullmatch(x)) for x in steps) == 2
    assert "--- Deploy complete: service=one status=ready ---" in lines
    assert "sid:one action:deploy result:success" in lines
    assert any(re.match(r"\[process_vms\] Done \(.*processed: 2, errors: 0", x) for x in lines)
    sums = r"2 VMs: 2 ready, 2 changed, 0 failed; \d+ reads, \d+ writes;"
    assert any(re.match(sums, x) for x in lines)
    assert re.match(r"Run of \d+ loops done \(.*\): process_vms, ", lines[-1])


def test_two_runners_do_not_work_at_once(scene: Open) -> None:
    """LOCK-01, LOCK-05: the second ends with 75 and says who is at work."""
    grounds = scene(TWO, speed=1.0)
    first = subprocess.Popen(
        grounds.words("--once", "--output", "json", "--verbose", "--time-limit", "20"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert first.stdout is not None
        assert json.loads(first.stdout.readline())["event"] == "run_started"
        second = grounds.cli("--once")
        assert second.returncode == 75
        assert f"pid {first.pid}" in second.stderr
    finally:
        first.kill()
        first.communicate()
    third = grounds.cli("--once", "--time-limit", "1")
    assert third.returncode == 0


def test_only_some_vms(scene: Open) -> None:
    """CLI-04: `--only` leaves all others out of the run."""
    grounds = scene(TWO)
    done = grounds.cli("--once", "--only", "o*", "--output", "json")
    assert summary(done)["vms"] == 1
    assert {one.get("key") for one in events(done)} <= {"one", None}
    assert sum(vmid < 9000 for vmid in grounds.world().vms) == 1


def test_the_state_of_a_vm_is_told(scene: Open) -> None:
    """C-11, C-16, DEP-03, LOG-01: status, log and why of a VM that is ready."""
    grounds = scene(TWO)
    grounds.run()
    status = grounds.cli("status")
    assert status.returncode == 0 and "one" in status.stdout and "ready" in status.stdout
    one = grounds.cli("status", "two")
    assert "two.example.org" in one.stdout
    log = grounds.cli("log", "one")
    assert log.returncode == 0 and "creation -> ready" in log.stdout
    assert grounds.cli("why", "one").returncode == 0
    refused = vlan_of(grounds, 4095)
    assert refused.returncode == 1 and "4094" in refused.stdout
    assert vlan_of(grounds, 0).returncode == 0


def vlan_of(grounds: Grounds, vlan: int) -> "subprocess.CompletedProcess[str]":
    Path(grounds.fleet / "vms" / "vlan.yaml").write_text(
        f"vlan: {{nics: {{net0: {{bridge: vmbr0, vlan: {vlan}}}}}}}\n"
    )
    return grounds.cli("validate")
