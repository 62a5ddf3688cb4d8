"""The lines of a live run, word for word."""

import json
from datetime import UTC, datetime

from reconciler.report import (
    Event,
    Heartbeat,
    Remark,
    RunDone,
    RunStarted,
    Step,
    Summary,
    Traced,
    VMDone,
    VMError,
    VMPaused,
    VMStarted,
)
from reconciler.show.events import JsonReporter
from reconciler.show.run import QuietReporter, TextReporter, step_line, summary_line
from reconciler.show.text import Paint

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUIET = Summary(vms=12, ready=12, changed=0, failed=0, reads=7, writes=0, seconds=0.61)
MIXED = Summary(2, 1, 2, 1, 30, 1, 57.54, results={"web-1": "ready", "web-2": "error"})


def said(*events: Event, verbose: bool = False) -> list[str]:
    lines: list[str] = []
    TextReporter(lines.append, Paint(), verbose=verbose, zone=UTC).report(*events)
    return lines


def test_a_task_of_an_earlier_run_is_not_told_as_a_deploy() -> None:
    lines = said(Heartbeat(AT, "b", "power", 53))
    assert lines[0] == "--- b: going on with what an earlier run began ---"


def test_cli_02_a_run_reads_as_the_contract_says() -> None:
    """CLI-02, CLI-03"""
    events = (
        RunStarted(AT, interval=60, last=AT, keys=("web-1", "web-2")),
        VMStarted(AT, "web-1", "deploy", "creation", 1042),
        Step(AT, "web-1", "Allocate IP", "creation", "set_ip", seconds=0.11),
        VMStarted(AT, "web-2", "change", "cp_firewall", 1043),
        Step(
            AT,
            "web-2",
            "Start VM",
            "cp_firewall",
            "cp_firewall",
            "error",
            "VM failed to start (status: stopped). Will retry.",
            5.11,
            "change",
        ),
        VMPaused(AT, "web-2", "change", "cp_firewall"),
        VMDone(AT, "web-1", "deploy"),
        RunDone(AT, MIXED),
    )
    assert said(*events) == [
        "2026-03-01 12:00:00 reconcile Cron Start",
        "[process_vms] Running (interval: 1m, last: 12:00:00)",
        "--- Deploy: service=web-1 vm=1042 status=creation ---",
        "[+]  1. Allocate IP                success (creation -> set_ip) [0.11s]",
        "--- ChangePackage: service=web-2 vm=1043 status=cp_firewall ---",
        "[!] 11. Start VM                   VM failed to start (status: stopped). Will retry."
        " (cp_firewall -> cp_firewall) [5.11s]",
        "--- ChangePackage paused: waiting at [cp_firewall] ---",
        "--- Deploy complete: service=web-1 status=ready ---",
        "[process_vms] Done (57.5s) — processed: 2, errors: 1",
        "sid:web-1 action:deploy result:success",
        "sid:web-2 action:change result:error",
        "2026-03-01 12:00:00 reconcile Cron End (57.5s total)",
        "2 VMs: 1 ready, 2 changed, 1 failed; 30 reads, 1 write; 57.5 s",
    ]


def test_log_02_skips_are_shown_when_verbose_with_no_duration() -> None:
    """LOG-02"""
    skip = Step(AT, "web-1", "Resize system disk", "set_cpu_ram", "set_system_disk_size", "skip")
    assert said(skip) == []
    assert said(skip, verbose=True) == [
        "--- Deploy: service=web-1 vm=- status=set_cpu_ram ---",
        "[=]  6. Resize system disk         skip (no change) [0.00s]",
    ]


def test_cli_01_each_line_is_written_on_its_own_and_at_once() -> None:
    """CLI-01"""
    lines: list[str] = []
    reporter = TextReporter(lines.append, Paint(), zone=UTC)
    reporter.report(RunStarted(AT), VMStarted(AT, "a", "deploy", "creation", 100))
    assert len(lines) == 2
    reporter.report(Step(AT, "a", "Allocate IP", "creation", "set_ip"))
    assert len(lines) == 4


def test_a_vms_frame_is_repeated_only_after_another_spoke() -> None:
    first = Step(AT, "a", "Allocate IP", "creation", "set_ip")
    second = Step(AT, "b", "Allocate IP", "creation", "set_ip")
    frames = [line for line in said(first, first, second, first) if line.startswith("---")]
    assert [line.split()[2] for line in frames] == ["service=a", "service=b", "service=a"]


def test_waiting_is_heard() -> None:
    beat = Heartbeat(AT, "a", "clone", 15, 120, "running")
    assert said(beat)[1] == "      clone: still running, waited 15s / 120s, status: running"
    assert said(Heartbeat(AT, "a", "clone", 15))[1] == "      clone: still running, waited 15s"


def test_an_error_outside_a_step_is_the_vms_and_says_so() -> None:
    lines = said(VMError(AT, "a", "node pve3 is unreachable", state="set_ip"), RunDone(AT, QUIET))
    assert "[!] node pve3 is unreachable" in lines
    assert "sid:a action:deploy result:error" in lines
    assert "[process_vms] Done (0.6s) — processed: 1, errors: 1" in lines


def test_an_error_that_many_share_is_told_once_with_their_keys() -> None:
    errors = [
        VMError(AT, f"vm-{n}", "cluster lab: not reached", "change", "ready", n) for n in range(13)
    ]
    names = "vm-1, vm-2, vm-3, vm-4, vm-5, vm-6, vm-7, vm-8, vm-9, vm-10 and 2 more"
    rest = f"as vm-0, 12 more VMs: {names}"
    lines = said(*errors, RunDone(AT, QUIET))
    assert lines[:3] == [
        "--- ChangePackage: service=vm-0 vm=0 status=ready ---",
        "[!] cluster lab: not reached",
        f"[!] {rest}",
    ]
    assert lines.count("sid:vm-12 action:change result:error") == 1
    quiet: list[str] = []
    QuietReporter(quiet.append, Paint()).report(*errors, RunDone(AT, MIXED))
    assert quiet == ["vm-0: cluster lab: not reached", rest, summary_line(MIXED)]


def test_a_pause_says_what_it_waits_for() -> None:
    paused = VMPaused(AT, "a", "deploy", "set_ip", "the clone runs")
    assert said(paused)[-1] == "--- Deploy paused: waiting at [set_ip] (the clone runs) ---"


def test_a_pause_without_a_step_says_what_of_which_vm_it_is() -> None:
    paused = VMPaused(AT, "a", "terminate", "terminate", "needs approval", 104)
    assert said(paused)[0] == "--- Terminate: service=a vm=104 status=terminate ---"


def test_a_long_reason_that_many_share_is_told_once() -> None:
    first = VMPaused(AT, "a", "deploy", "creation", "x" * 100)
    second = VMPaused(AT, "b", "deploy", "creation", "x" * 100)
    assert said(first, second)[-1] == "--- Deploy paused: waiting at [creation] (as above) ---"


def test_remarks_concern_the_run_or_one_vm() -> None:
    assert said(Remark(AT, "hello")) == ["hello"]
    assert said(Remark(AT, "clock skew of 9 s", "warning")) == ["warning: clock skew of 9 s"]
    assert said(Remark(AT, "no quorum", "error", "a")) == ["error: a: no quorum"]
    assert said(Remark(AT, "cached", "detail")) == []
    assert said(Remark(AT, "cached", "detail"), verbose=True) == ["cached"]


def test_log_05_requests_are_shown_without_bodies_when_verbose() -> None:
    """LOG-05"""
    call = Traced(AT, "GET", "/cluster/resources", 200, 0.0123, "demo")
    lost = Traced(AT, "PUT", "/nodes/pve1/qemu/100/config", 0, 10)
    assert said(call) == []
    assert said(call, lost, verbose=True) == [
        "      demo GET /cluster/resources -> 200 [0.012s]",
        "      PUT /nodes/pve1/qemu/100/config -> no answer [10.000s]",
    ]


def test_the_last_line_is_the_run_in_numbers() -> None:
    assert summary_line(QUIET) == "12 VMs: 12 ready, 0 changed, 0 failed; 7 reads, 0 writes; 0.6 s"
    waiting = Summary(1, 0, 1, 0, 1, 1, 2, waiting=1)
    assert summary_line(waiting) == (
        "1 VM: 0 ready, 1 changed, 1 waiting, 0 failed; 1 read, 1 write; 2.0 s"
    )


def test_a_step_of_no_pipeline_has_no_number_and_warnings_stay_visible() -> None:
    step = Step(AT, "a", "Set tags", "", "", detail="WARNINGS: 1")
    assert step_line(step, Paint()) == (
        "[+]     Set tags                   success (WARNINGS: 1) [0.00s]"
    )
    assert step_line(step, Paint(True)).startswith("\x1b[32m[+]\x1b[0m")


def test_a_quiet_run_says_nothing_unless_something_is_wrong() -> None:
    lines: list[str] = []
    reporter = QuietReporter(lines.append, Paint())
    reporter.report(
        RunStarted(AT),
        Step(AT, "a", "Allocate IP", "creation", "set_ip"),
        Remark(AT, "hello"),
        RunDone(AT, QUIET),
    )
    assert lines == []
    reporter.report(
        Step(AT, "a", "Start VM", "x", "x", "error", "did not start"),
        VMError(AT, "b", "lost"),
        Remark(AT, "dry pool", "warning", "c"),
        RunDone(AT, MIXED),
    )
    assert lines == [
        "a: Start VM: did not start",
        "b: lost",
        "warning: c: dry pool",
        summary_line(MIXED),
    ]


def test_json_lines_are_one_object_per_event() -> None:
    lines: list[str] = []
    reporter = JsonReporter(lines.append)
    reporter.report(
        RunStarted(AT, keys=("a",), interval=60),
        Step(AT, "a", "Allocate IP", "creation", "set_ip", seconds=0.11234),
        Traced(AT, "GET", "/version", 200, 0.1),
        RunDone(AT, MIXED),
    )
    seen = [json.loads(line) for line in lines]
    assert [event["event"] for event in seen] == ["run_started", "step", "run_done"]
    assert seen[1] == {
        "event": "step",
        "at": "2026-03-01T12:00:00.000Z",
        "key": "a",
        "label": "Allocate IP",
        "before": "creation",
        "after": "set_ip",
        "result": "success",
        "seconds": 0.112,
        "action": "deploy",
    }
    assert seen[2]["summary"]["results"] == {"web-1": "ready", "web-2": "error"}


def test_json_lines_hold_requests_when_verbose() -> None:
    lines: list[str] = []
    JsonReporter(lines.append, verbose=True).report(Traced(AT, "GET", "/version", 200, 0.1))
    assert json.loads(lines[0])["event"] == "request"


def test_a_vm_of_a_job_that_knows_no_states_has_none() -> None:
    step = Step(AT, "a", "Change label", "", "", action="job")
    ended = VMDone(AT, "a", "job", "", 1.0)
    lines = said(VMStarted(AT, "a", "job", "", 100), step, ended)
    assert lines[0] == "--- Job: service=a vm=100 status=- ---"
    assert lines[-1] == "--- Job complete: service=a status=- ---"
