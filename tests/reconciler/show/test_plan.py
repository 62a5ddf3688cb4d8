"""The dry run's text and JSON, word for word."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from reconciler.report import DryRun, PlannedVM
from reconciler.show.plan import plan_json, render_plan
from reconciler.show.text import Paint
from state.change import Call, Change, Effect, Method, Note
from state.secret import Secret

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
GIB = 1 << 30
WEB = PlannedVM(
    "web-2",
    "change",
    "pve2",
    1042,
    changes=(
        Change("web-2", "memory", "memory", GIB, 2 * GIB, effect=Effect.STOP_START),
        Change("web-2", "disks", "system.size", 10 * GIB, 20 * GIB),
    ),
    waits="restart needed: waits for a window (sun 02:00)",
    calls=(Call(Method.PUT, "/nodes/pve2/qemu/1042/config", {"memory": 2048}),),
)
CACHE = PlannedVM(
    "cache-3",
    "create",
    "pve1",
    package="small",
    template=9000,
    addresses=("10.20.0.17", "2001:db8::17"),
    fqdn="cache-3.example.net",
)
OLD = PlannedVM(
    "old-1",
    "destroy",
    "pve3",
    1077,
    details=("scsi0 10 GiB (local-lvm:vm-1077-disk-0)", "2 backups", "4 DNS records"),
)
SAME = tuple(PlannedVM(f"vm-{n}", "unchanged", "pve1", 2000 + n) for n in range(9))

DESIGNED = """\
~ web-2   pve2/1042                                  2 changes, restart needed: waits for a window (sun 02:00)
    memory         1 GiB -> 2 GiB                    stop-start
    system.size    10 GiB -> 20 GiB                  live
+ cache-3 (new, small, pve1)                         clone 9000, 10.20.0.17, 2001:db8::17, cache-3.example.net
- old-1   pve3/1077                                  DESTROY  scsi0 10 GiB (local-lvm:vm-1077-disk-0), 2 backups, 4 DNS records
Plan: 1 to create, 1 to change, 1 to destroy (state: absent), 9 unchanged. Nothing needs approval."""  # noqa: E501

UNTOUCHED = """\
? a pve3/101                                         UNKNOWN, not touched: node pve3 is offline
! b                                                  its spec is broken, not touched
= c pve1/103                                         1 note
    scsi1.size     skip — shrink not allowed         ShrinkRefused
! vms/b.yaml:3:5: memory: expected a size
Plan: 0 to create, 0 to change, 0 to destroy, 1 unchanged, 1 unknown, 1 broken. Nothing needs approval."""  # noqa: E501


def test_the_diff_reads_as_designed() -> None:
    text = render_plan(DryRun(AT, (WEB, CACHE, OLD, *SAME)), Paint())
    assert text == DESIGNED


def test_nothing_that_differs_is_one_line() -> None:
    text = render_plan(DryRun(AT, SAME), Paint())
    assert text == (
        "Plan: 0 to create, 0 to change, 0 to destroy, 9 unchanged. Nothing needs approval."
    )


def test_a_change_that_needs_a_restart_says_so() -> None:
    first = render_plan(DryRun(AT, (replace(WEB, waits=""),)), Paint()).splitlines()[0]
    assert first.endswith("2 changes, restart needed")


def test_calls_are_shown_when_verbose() -> None:
    text = render_plan(DryRun(AT, (WEB,)), Paint(), verbose=True)
    assert text.splitlines()[3] == "      PUT /nodes/pve2/qemu/1042/config memory=2048"


def test_what_is_not_touched_says_why() -> None:
    vms = (
        PlannedVM("a", "unknown", "pve3", 101, reason="node pve3 is offline"),
        PlannedVM("b", "broken"),
        PlannedVM(
            "c",
            "unchanged",
            "pve1",
            103,
            notes=(Note("c", "disks", "scsi1.size", "skip — shrink not allowed", "ShrinkRefused"),),
        ),
    )
    dry = DryRun(AT, vms, errors=("vms/b.yaml:3:5: memory: expected a size",))
    assert render_plan(dry, Paint()) == UNTOUCHED
    assert dry.failed
    assert not dry.differs


def test_withheld_changes_name_the_approval_that_they_need() -> None:
    erase = Change("c", "disks", "scsi1", "20 GiB", None, effect=Effect.DESTROY, approval=True)
    dry = DryRun(
        AT, (PlannedVM("c", "unchanged", "pve1", 103, withheld=(erase,)),), digest="ab12cd34"
    )
    assert render_plan(dry, Paint()).splitlines() == [
        "= c pve1/103                                         1 withheld",
        "    scsi1          20 GiB -> (none)                  destroy, needs approval",
        "Plan: 0 to create, 0 to change, 0 to destroy, 1 unchanged. "
        "1 change needs approval: reconcile approve ab12cd34",
    ]


def test_c_07_what_waits_for_approval_is_shown_once() -> None:
    """A real plan has it among its changes too; it is not counted as one that would be made."""
    erase = Change("c", "reclaim", "scsi1", "20 GiB", None, effect=Effect.DESTROY, approval=True)
    vm = PlannedVM("c", "change", "pve1", 103, changes=(erase,), withheld=(erase,))
    lines = render_plan(DryRun(AT, (vm,), digest="ab12cd34"), Paint()).splitlines()
    assert lines[0].endswith(" 1 withheld")
    assert "change, " not in lines[0]
    assert [line for line in lines if "scsi1" in line] == [
        "    scsi1          20 GiB -> (none)                  destroy, needs approval"
    ]


def test_what_only_waits_for_its_turn_is_shown_when_verbose() -> None:
    clone = Change("cache-3", "exists", "vm", None, "clone 9000")
    wait = Note("cache-3", "exists", "vm", "waits: 2 clones are at work", blocking=True)
    dry = DryRun(AT, (replace(CACHE, withheld=(clone,), notes=(wait,)),))
    assert len(render_plan(dry, Paint()).splitlines()) == 2
    assert "    vm             waits: 2 clones are at work" in render_plan(
        dry, Paint(), verbose=True
    )


def test_many_vms_that_are_not_touched_for_one_reason_share_a_line() -> None:
    vms = tuple(PlannedVM(f"vm-{n}", "unknown", reason="no quorum") for n in range(12))
    assert render_plan(DryRun(AT, vms), Paint()).splitlines()[:-1] == [
        "? 12 VMs                                             UNKNOWN, not touched: no quorum"
    ]


def test_one_long_text_moves_no_column() -> None:
    note = Note("web-2", "disks", "system.size", "x" * 200, "ShrinkRefused")
    lines = render_plan(DryRun(AT, (replace(WEB, notes=(note,)), CACHE)), Paint()).splitlines()
    assert lines[3].endswith("x  ShrinkRefused")
    assert lines[4].index("clone 9000") == 53


def test_colours_mark_each_kind() -> None:
    text = render_plan(DryRun(AT, (WEB, CACHE, OLD)), Paint(colour=True), verbose=True)
    starts = [line[:7] for line in text.splitlines()]
    assert starts[0] == "\x1b[33m~ "
    assert starts[4] == "\x1b[32m+ "
    assert starts[5] == "\x1b[31m- "


def test_the_json_twin_holds_the_same_and_no_secret() -> None:
    password = Change(
        "web-2",
        "cloudinit",
        "password",
        None,
        Secret("hunter2"),
        (Call(Method.PUT, "/x", {"cipassword": Secret("hunter2")}),),
    )
    vm = PlannedVM("web-2", "change", "pve2", 1042, changes=(password,), calls=password.calls)
    whole = plan_json(DryRun(AT, (vm, CACHE)))
    text = json.dumps(whole)
    assert "hunter2" not in text
    assert json.loads(text)["vms"][0] == {
        "key": "web-2",
        "kind": "change",
        "node": "pve2",
        "vmid": 1042,
        "changes": [
            {
                "handler": "cloudinit",
                "field": "password",
                "old": None,
                "new": "***",
                "effect": "live",
                "approval": False,
            }
        ],
        "calls": [{"method": "PUT", "path": "/x", "params": {"cipassword": "***"}}],
    }
    assert whole["differs"] is True
