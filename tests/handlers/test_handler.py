"""What all handlers share: merging, sending, and the words for conditions."""

from dataclasses import replace

import pytest

from handlers.effects import plugged, running, stop_start, wanted
from handlers.handler import (
    Context,
    Subject,
    config_call,
    distinct_calls,
    merge_config,
    send_calls,
    vm_path,
    vmid_of,
    why,
)
from handlers.marker import marker_tag, read_marker, with_marker, without_marker
from handlers.pool import Pool, joined
from handlers.slots import in_order
from state.change import Call, Change, Effect, Method, Outcome
from state.memory import Memory
from state.observed import SeenVM
from tests.casefile import AT, read_seen, read_spec
from tests.handlers.stage import Stage, spec_of

SEEN = read_seen({})


def change(*calls: Call) -> Change:
    return Change("web-1", "x", "f", None, 1, calls)


def test_config_keys_are_merged_and_deletions_joined() -> None:
    calls = [
        config_call(SEEN, {"cores": 2}),
        config_call(SEEN, {"delete": "nameserver"}),
        config_call(SEEN, {"delete": "boot"}),
        Call(Method.POST, "/nodes/pve1/qemu/1042/config", {"scsi1": "a:1"}),
    ]
    merged = merge_config(calls)
    assert str(merged) == "PUT /nodes/pve1/qemu/1042/config cores=2 delete=boot,nameserver"


def test_a_key_that_is_set_is_not_deleted() -> None:
    calls = [config_call(SEEN, {"boot": "order=scsi0"}), config_call(SEEN, {"delete": "boot"})]
    merged = merge_config(calls)
    assert merged is not None and merged.params == {"boot": "order=scsi0"}


def test_nothing_merges_into_no_call() -> None:
    assert merge_config([]) is None


def test_equal_calls_are_sent_once_and_config_first() -> None:
    other = Call(Method.PUT, "/pools", {"poolid": "p"})
    calls = distinct_calls([change(other), change(other, config_call(SEEN, {"cores": 2}))])
    assert [call.path for call in calls] == ["/nodes/pve1/qemu/1042/config", "/pools"]


def test_sending_stops_at_the_first_task() -> None:
    stage = Stage()
    stage.settle(spec_of(power="unmanaged"))
    base = "/nodes/pve1/qemu/142"
    changes = [
        change(Call(Method.PUT, f"{base}/resize", {"disk": "scsi0", "size": "5G"})),
        change(Call(Method.PUT, f"{base}/resize", {"disk": "scsi0", "size": "6G"})),
    ]
    before = len(stage.calls)
    outcome = send_calls(changes, Context(stage, stage.at))
    assert outcome.upid is not None and outcome.upid.startswith("UPID:pve1:")
    assert len(stage.calls) == before + 1


def test_calls_without_a_task_are_done_at_once() -> None:
    stage = Stage()
    stage.settle(spec_of(power="unmanaged"))
    call = Call(Method.PUT, "/nodes/pve1/qemu/142/config", {"cores": 3})
    assert send_calls([change(call)], Context(stage, stage.at)) == Outcome()


def test_a_diff_needs_a_bound_vmid_and_a_config() -> None:
    bare = SeenVM("web-1", AT, SEEN.cluster, Memory())
    with pytest.raises(LookupError, match="web-1: no vmid"):
        vmid_of(bare)
    with pytest.raises(LookupError, match="web-1: its config"):
        wanted(bare)
    assert vm_path(SEEN) == "/nodes/pve1/qemu/1042"


def test_a_condition_says_its_type_and_status() -> None:
    assert why("ShrinkRefused") == ("ShrinkRefused", True)
    assert why("AntiSpoofEffective=False") == ("AntiSpoofEffective", False)


def test_a_paused_vm_has_a_process() -> None:
    assert running(replace(SEEN, status="paused"))
    assert not running(replace(SEEN, status="unknown"))
    assert stop_start(replace(SEEN, status="paused")) is Effect.STOP_START


def test_hotplug_1_is_the_default_and_0_nothing() -> None:
    for text, effect in (("1", Effect.HOTPLUG), ("0", Effect.STOP_START)):
        seen = read_seen({"config": {"hotplug": text}, "row": {"status": "running"}})
        assert plugged(seen, "network") is effect


def test_slots_are_counted_not_spelt() -> None:
    assert in_order({"net10", "net2", "system"}) == ["system", "net2", "net10"]


def test_a_marker_survives_odd_names_and_line_ends() -> None:
    seen = replace(SEEN, key="kunde 7/web", fleet="Büro 1")
    text = with_marker("Shop\r\nreconcile: store=x fleet=y key=z vmid=1\r\n", seen)
    mark = read_marker(text)
    assert mark is not None
    assert (mark.store, mark.fleet, mark.key, mark.vmid) == (
        "ab12cd34",
        "Büro 1",
        "kunde 7/web",
        1042,
    )
    assert without_marker(text) == "Shop"


def test_words_that_only_look_like_a_marker_are_text() -> None:
    assert read_marker("see reconcile: store=x fleet=y key=z vmid=1") is None


def test_a_fleet_has_one_tag_in_proxmox_grammar() -> None:
    assert marker_tag("Demo Fleet/2") == "reconcile-demo-fleet-2"
    assert marker_tag("demo") == "reconcile-demo"


def test_vms_of_one_pool_join_in_one_call() -> None:
    spec = read_spec({"pool": "customers"})
    seens = [
        read_seen({"binding": {"vmid": 101}}),
        read_seen({"binding": {"vmid": 102}}),
        read_seen({"binding": {"vmid": 103}, "row": {"pool": "staff"}}),
    ]
    changes = [one for seen in seens for one in Pool().diff(spec, seen) if isinstance(one, Change)]
    calls = [str(call) for call in joined([call for one in changes for call in one.calls])]
    assert calls == [
        "PUT /pools poolid=customers vms=101,102",
        "PUT /pools allow-move=True poolid=customers vms=103",
    ]


def test_a_vm_is_put_into_its_pool_and_moved_out_of_another() -> None:
    stage = Stage()
    stage.settle(spec_of(power="unmanaged", pool="customers"))
    row = stage.look().row
    assert row is not None and row.pool == "customers"


def test_subjects_are_words() -> None:
    assert str(Subject.VM) == "vm"
