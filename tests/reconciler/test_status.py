"""Status and reasons of VMs, from what the store remembers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from desired.catalog import Cluster, Simulated
from desired.source import Fleet
from desired.spec import VMSpec
from reconciler.failure import Failure, last_failure
from reconciler.show.status import as_json, render_fleet, render_run, render_runs, render_vm
from reconciler.show.status import render_why as rendered_why
from reconciler.show.text import Paint
from reconciler.status import VMStatus, fleet_status, natural, totals, vm_status
from reconciler.why import explain
from state.conditions import Condition
from state.journal import StepRecord, VMRun
from state.memory import Attempt, Binding, Hold, Intent, Lease, Memory, OpenTask, Phase
from state.store import Store

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SPEC = VMSpec(key="web-1", cluster="demo", name="web-1", domain="example.net")
FLEET = Fleet(
    "demo",
    {"demo": Cluster(simulated=Simulated())},
    {"web-1": SPEC},
    broken=frozenset({"bad"}),
)
BINDING = Binding("web-1", "demo", 1042, "web-1", node="pve2")
FAILED = VMRun(
    "web-1",
    "deploy",
    AT,
    AT + timedelta(seconds=2),
    "creation",
    "set_cloudinit",
    "error",
    "VM failed to start",
    (
        StepRecord("Clone VM", "set_ip", "clone", "success", 1.5, AT),
        StepRecord(
            "Start VM", "set_cloudinit", "set_cloudinit", "error", 0.5, AT, "VM failed to start"
        ),
    ),
    run=7,
)


def status(memory: Memory, *conditions: Condition, last: VMRun | None = None) -> VMStatus:
    return vm_status("web-1", FLEET, memory, conditions, [last] if last else [], AT)


def test_a_new_vm_is_at_creation_and_allocates_next() -> None:
    seen = status(Memory())
    assert (seen.phase, seen.state, seen.next) == ("new", "creation", "Allocate IP")


def test_a_vm_that_was_ended_is_removed_and_says_how_it_comes_back() -> None:
    ended = Memory(intents={"removed": Intent("web-1", "removed", AT)})
    seen = status(ended)
    assert (seen.phase, seen.state) == ("removed", "removed")
    assert "reconcile terminate web-1 --cancel" in seen.next
    gone = replace(FLEET, vms={"web-1": SPEC.model_copy(update={"state": "absent"})})
    seen = vm_status("web-1", gone, Memory(), (), (), AT)
    assert (seen.phase, seen.state, seen.next) == ("removed", "removed", "")


def test_a_deploying_vm_is_where_its_last_run_left_it() -> None:
    seen = status(Memory(binding=BINDING), last=FAILED)
    assert (seen.state, seen.next) == ("set_cloudinit", "Start VM")
    assert seen.error == "VM failed to start"
    assert (seen.node, seen.vmid, seen.cluster) == ("pve2", 1042, "demo")


def test_what_the_last_run_waited_for_is_told_as_next() -> None:
    ready = Condition("web-1", "Ready", False, "Paused", "the pool is dry", AT)
    seen = status(Memory(binding=BINDING), ready, last=FAILED)
    assert seen.next == "waits: the pool is dry"
    assert seen.conditions == ()


def test_a_ready_vm_has_nothing_next_unless_a_restart_is_due() -> None:
    memory = Memory(binding=replace(BINDING, phase=Phase.READY))
    restart = Condition("web-1", "RestartRequired", True, "pending", "memory waits", AT)
    assert status(memory).next == ""
    assert status(memory, restart).next == "memory waits"


def test_a_ready_vm_that_differs_is_not_told_to_be_as_its_spec_says() -> None:
    """C-07, CP-06: an unapproved change is what comes next; a refused shrink stays a difference."""
    asks = Condition("web-1", "ApprovalNeeded", True, "reclaim", "needs approval", AT)
    memory = Memory(replace(BINDING, phase=Phase.READY))
    assert status(memory, asks).next == "needs approval"
    refused = Condition("web-1", "ShrinkRefused", True, "disks", "skip", AT)
    told = explain(status(memory, refused), memory, (), AT)
    assert told.waits[0] == "nothing, but not all is as its spec says"


def test_a_restart_that_was_asked_for_comes_next() -> None:
    due = Condition("web-1", "RestartRequired", True, "power", "waits: memory", AT)
    asked = Memory(
        replace(BINDING, phase=Phase.READY), intents={"restart": Intent("web-1", "restart", AT)}
    )
    assert status(asked, due).next == "the next run restarts it, as asked: waits: memory"


def test_a_phase_outside_the_pipelines_is_the_state() -> None:
    memory = Memory(binding=replace(BINDING, phase=Phase.ERROR_TERMINATE))
    assert status(memory).state == "error_terminate"


@pytest.mark.parametrize(
    ("memory", "words"),
    [
        (Memory(hold=Hold("web-1", "testing", AT)), "held: testing"),
        (
            Memory(task=OpenTask("UPID:x", "web-1", "demo", "exists", AT - timedelta(seconds=9))),
            "waits for exists (its task runs since 9.0 s)",
        ),
    ],
)
def test_what_is_waited_for_comes_before_the_next_step(memory: Memory, words: str) -> None:
    assert status(memory).next == words


def test_a_hold_that_has_run_out_holds_nothing() -> None:
    past = Hold("web-1", "testing", AT - timedelta(hours=2), AT - timedelta(hours=1))
    assert status(Memory(hold=past)).next == "Allocate IP"
    future = replace(past, until=AT + timedelta(hours=1))
    assert status(Memory(hold=future)).next.startswith("held until 2026-03-01")


def test_a_back_off_says_when_it_ends() -> None:
    later = Attempt("web-1", "disks", 3, "storage full", AT, AT + timedelta(minutes=2))
    seen = status(Memory(binding=BINDING, attempts={"disks": later}))
    assert "tries disks again at" in seen.next
    assert "failed 3 times" in seen.next


def test_vms_without_a_sound_spec_say_so(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "fleet.db"), at=AT) as store:
        store.bindings.bind(replace(BINDING, key="gone", phase=Phase.READY))
        seen = {vm.key: vm.next for vm in fleet_status(FLEET, store, AT)}
    assert seen == {
        "bad": "its spec is broken: reconcile validate",
        "gone": "no spec names it any more: `reconcile orphans` says what becomes of it",
        "web-1": "Allocate IP",
    }


def test_fleet_status_reads_addresses_conditions_and_the_last_run(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "fleet.db"), at=AT) as store:
        store.bindings.bind(BINDING)
        store.leases.take(Lease("web-1", "net0", "ipv4", 0, "203.0.113.9", 24, "public-v4"))
        store.conditions.replace("web-1", [Condition("web-1", "Held", True, "hold", "", AT)])
        run = store.journal.start_run(AT, "once", "r1")
        store.journal.record(run, FAILED)
        web = {vm.key: vm for vm in fleet_status(FLEET, store, AT)}["web-1"]
    assert web.addresses == ("203.0.113.9",)
    assert [condition.type for condition in web.conditions] == ["Held"]
    assert web.error == "VM failed to start"


def test_numbers_in_keys_are_counted_not_spelled() -> None:
    assert sorted(["c/10", "c/2", "b"], key=natural) == ["b", "c/2", "c/10"]


def test_the_fleet_is_a_table_with_totals() -> None:
    ready = replace(BINDING, phase=Phase.READY)
    lease = Lease("web-1", "net0", "ipv4", 0, "203.0.113.9", 24, "public-v4")
    vms = [
        status(Memory(binding=ready, leases=(lease,))),
        vm_status("bad", FLEET, Memory(), (), (), AT),
    ]
    assert render_fleet(vms, Paint()).splitlines() == [
        "VM     STATE     NODE  VMID  ADDRESSES    CONDITIONS  NEXT",
        "web-1  ready     pve2  1042  203.0.113.9  -           -",
        "bad    creation  -     -     -            -           "
        "its spec is broken: reconcile validate",
        "2 VMs: 1 new, 1 ready",
    ]
    assert "\x1b[31m" in render_fleet(vms, Paint(True))
    assert render_fleet([], Paint()).startswith("no VM")


def test_what_is_not_known_or_not_wanted_is_not_counted_as_ready() -> None:
    memory = Memory(binding=replace(BINDING, phase=Phase.READY))
    strange = [Condition("web-1", name, True, "x", "y", AT) for name in ("Unknown", "Unmanaged")]
    vms = [status(memory), *(status(memory, one) for one in strange)]
    assert totals(vms) == {"ready": 1, "unknown": 1, "unmanaged": 1}


def test_log_03_one_vms_page_opens_with_its_last_failure() -> None:
    """LOG-03"""
    condition = Condition("web-1", "AntiSpoofEffective", False, "cluster", "firewall is off", AT)
    seen = status(Memory(binding=BINDING), condition, last=FAILED)
    assert render_vm(seen, "web-1.example.net", Paint(), UTC).splitlines() == [
        "!! deploy failed at 2026-03-01 12:00:00, Start VM: VM failed to start",
        "VM         web-1",
        "name       web-1.example.net",
        "phase      deploy",
        "state      set_cloudinit",
        "machine    pve2/1042 in demo",
        "addresses  -",
        "condition  AntiSpoofEffective=False since 2026-03-01 12:00:00: firewall is off",
        "next       Start VM",
    ]


def test_a_vm_that_is_not_there_says_so() -> None:
    assert "machine    not there" in render_vm(status(Memory()), None, Paint())


def test_log_01_runs_are_listed_newest_first_with_the_newest_ones_steps() -> None:
    """LOG-01"""
    killed = replace(FAILED, run=6, finished_at=None, result="waiting", error="", steps=())
    assert render_runs("web-1", [FAILED, killed], Paint(), UTC).splitlines() == [
        "RUN  STARTED              ACTION  RESULT   FROM -> TO                 TOOK",
        "7    2026-03-01 12:00:00  deploy  error    creation -> set_cloudinit  2.0 s",
        "6    2026-03-01 12:00:00  deploy  waiting  creation -> set_cloudinit  not finished",
        "",
        "run 7 of web-1, 2026-03-01 12:00:00: error",
        "[+]  2. Clone VM                   success (set_ip -> clone) [1.50s]",
        "[!] 14. Start VM                   VM failed to start (set_cloudinit -> set_cloudinit)"
        " [0.50s]",
        "[!] VM failed to start",
    ]
    assert render_runs("web-1", [], Paint()) == "web-1: no run has worked on it yet"
    assert len(render_run(killed, Paint()).splitlines()) == 1


def test_why_answers_what_was_decided_what_is_awaited_and_what_helps() -> None:
    later = Attempt("web-1", "power", 3, "VM failed to start", AT, AT + timedelta(minutes=2))
    memory = Memory(binding=BINDING, attempts={"power": later}, hold=Hold("web-1", "x", AT))
    condition = Condition("web-1", "StartFailed", True, "stopped", "it is stopped", AT)
    why = explain(status(memory, condition, last=FAILED), memory, [FAILED], AT)
    assert why.where == "web-1 is at set_cloudinit (phase deploy), pve2/1042 in demo"
    assert why.last[0].endswith("deploy, error (creation -> set_cloudinit)")
    assert why.last[1:] == ("Start VM: VM failed to start",)
    assert why.waits[0] == "held: x"
    assert why.waits[1].startswith("StartFailed since")
    assert "failed 3 times in a row" in why.retry[0]
    assert why.advice[1:] == (
        "`reconcile unhold web-1` lets it go on",
        "`reconcile log web-1` shows each step that failed",
    )
    text = rendered_why(why, Paint()).splitlines()
    assert text[0] == why.where
    assert [line.split("  ")[0] for line in text[1:] if not line.startswith(" ")] == [
        "last decision",
        "waits for",
        "next try",
        "what you can do",
    ]


def test_why_of_a_quiet_vm_is_short() -> None:
    memory = Memory(binding=replace(BINDING, phase=Phase.READY))
    why = explain(status(memory), memory, [], AT)
    assert why.last == ("no run has worked on it yet",)
    assert why.waits == ("nothing: it is as its spec says",)
    assert (why.retry, why.advice) == ((), ())


def test_why_of_a_lacking_right_points_at_doctor() -> None:
    text = "Permission check failed (/pool/shop, Pool.Allocate)"
    denied = Attempt("web-1", "pool", 1, text, AT, AT)
    memory = Memory(binding=replace(BINDING, phase=Phase.READY), attempts={"pool": denied})
    condition = Condition("web-1", "BackOff", True, "pool", text, AT)
    why = explain(status(memory, condition), memory, [], AT)
    assert why.waits[0] == "nothing, but not all is as its spec says"
    assert why.retry[0].startswith("pool: failed 1 time in a row")
    assert why.advice[0].startswith("`reconcile doctor` names the right that is missing")


def test_why_repeats_an_error_that_no_step_names() -> None:
    run = replace(FAILED, steps=(), error="node pve2 is unreachable")
    why = explain(status(Memory()), Memory(), [run], AT)
    assert why.last[1:] == ("node pve2 is unreachable",)


def test_why_of_a_broken_spec_points_at_validate() -> None:
    broken = vm_status("bad", FLEET, Memory(), (), (), AT)
    why = explain(broken, Memory(), [], AT)
    assert why.advice == ("run `reconcile validate` and mend what it names",)


def test_values_become_json_by_field() -> None:
    whole = as_json(status(Memory(binding=BINDING), last=FAILED))
    assert isinstance(whole, dict)
    assert (whole["key"], whole["vmid"], whole["addresses"]) == ("web-1", 1042, [])
    assert as_json(AT) == "2026-03-01T12:00:00.000Z"
    assert as_json(Phase.READY) == "ready"


def test_log_03_a_failure_stands_until_a_success() -> None:
    """LOG-03, CP-13: runs that only wait do not hide it; what failed beside shows by attempts."""
    waits = replace(FAILED, run=8, result="waiting", error="held", steps=())
    done = replace(FAILED, run=9, result="success", error="", steps=())
    failure = last_failure([waits, FAILED], Memory())
    assert failure == Failure("deploy", "Start VM", "VM failed to start", AT)
    assert last_failure([done, waits, FAILED], Memory()) is None
    bare = replace(FAILED, steps=())
    assert last_failure([bare], Memory()) == replace(
        failure, step="set_cloudinit", at=AT + timedelta(seconds=2)
    )
    beside = Memory(attempts={"tags": Attempt("web-1", "tags", 1, "no right", AT, AT)})
    assert last_failure([done, FAILED], beside) == Failure("deploy", "tags", "no right", AT)
    assert last_failure([], beside) == Failure("change", "tags", "no right", AT)


def test_log_03_why_names_a_failure_that_newer_runs_only_waited_on() -> None:
    """LOG-03"""
    waits = replace(FAILED, run=8, result="waiting", error="held", steps=())
    memory = Memory(binding=BINDING)
    seen = vm_status("web-1", FLEET, memory, (), [waits, FAILED], AT)
    assert (
        explain(seen, memory, [waits, FAILED], AT)
        .last[-1]
        .endswith("deploy failed, Start VM: VM failed to start")
    )
