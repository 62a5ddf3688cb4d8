"""What the store's smaller members promise."""

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from desired.source import RolledName
from state.api import Json
from state.approvals import Approval
from state.conditions import Condition
from state.journal import StepRecord
from state.memory import Binding, Hold, Intent, Lease, OpenTask, Phase
from state.outbox import Event
from state.secret import Secret
from state.store import Store, StoreError, Taken

ADDRESS = Lease("web-1", "net0", "ipv4", 0, "10.0.0.7", 24, "public", "10.0.0.1", ("9.9.9.9",))
MINUTE = timedelta(minutes=1)


def test_a_binding_comes_back_as_it_was_given(store: Store, at: datetime) -> None:
    given = Binding(
        "web-3", "lab", 103, "web-3", "web-{{ index }}", "0f" * 16, Phase.READY, 9000, "pve1",
        "pve2", "local-lvm", "full", at, at + MINUTE, "local:import/web.qcow2",
    )  # fmt: skip
    store.bindings.bind(given, [replace(ADDRESS, key="web-3")])
    assert store.bindings.of("web-3") == store.bindings.all()["web-3"] == given
    assert store.leases.of("web-3") == (replace(ADDRESS, key="web-3"),)
    assert store.bindings.names()["web-3"] == RolledName("web-{{ index }}", "web-3")
    assert store.bindings.vmids("lab") == {101, 102, 103}
    assert store.bindings.vmids("other") == set()
    assert store.bindings.of("web-4") is None


@pytest.mark.parametrize(
    "other", [Binding("web-1", "lab", 300, ""), Binding("web-3", "lab", 101, "")]
)
def test_a_bound_key_or_vmid_is_taken(store: Store, other: Binding) -> None:
    with pytest.raises(Taken, match=rf"bind {other.key} to lab/{other.vmid}: .*(?i:unique)"):
        store.bindings.bind(other)


def test_dep_01_a_binding_whose_address_is_taken_is_not_made(store: Store) -> None:
    store.leases.take(ADDRESS)
    with pytest.raises(Taken):
        store.bindings.bind(Binding("web-3", "lab", 103, ""), [replace(ADDRESS, key="web-3")])
    assert store.bindings.of("web-3") is None


def test_a_change_and_its_event_are_written_together(store: Store, at: datetime) -> None:
    ready = Binding("web-1", "lab", 101, "web-1", phase=Phase.READY, ready_at=at)
    store.bindings.change(ready, event=Event("ready", "web-1", at, {"vmid": 101}))
    assert store.bindings.of("web-1") == ready
    assert [event.event for event in store.outbox.waiting()] == ["ready"]
    store.bindings.change(replace(ready, node="pve2"))
    assert store.bindings.all()["web-1"].node == "pve2"
    with pytest.raises(Taken):
        store.bindings.change(replace(ready, vmid=102), event=Event("moved", "web-1", at))
    with pytest.raises(StoreError, match="web-9: not bound"):
        store.bindings.change(replace(ready, key="web-9", vmid=109), Event("moved", "web-9", at))
    assert [event.event for event in store.outbox.waiting()] == ["ready"]


def test_a_new_key_gets_everything_of_the_old_one(store: Store, at: datetime) -> None:
    remember_all(store, "web-1", at)
    before = store.memories()["web-1"]
    journal = store.journal.vm_runs("web-1")
    store.conditions.replace("new", [Condition("new", "Waiting", True, "", "", at)])
    store.attempts.fail("new", "allocate", "no", at, at)
    assert store.bindings.rename_key("web-1", "new")
    after = store.memories()
    assert "web-1" not in after
    assert before.binding and after["new"].binding == replace(before.binding, key="new")
    assert [lease.address for lease in after["new"].leases] == ["10.0.0.7"]
    assert after["new"].task == replace(before.task or task(at), key="new")
    assert set(after["new"].attempts) == {"cpu"}
    assert set(after["new"].intents) == {"start"}
    assert after["new"].fingerprints == before.fingerprints
    assert after["new"].hold == Hold("new", "mine", at)
    assert set(store.conditions.all()) == {"new"}
    assert store.journal.vm_runs("new") == [replace(run, key="new") for run in journal]
    assert [event.key for event in store.outbox.waiting()] == ["new"]


def test_a_rename_done_before_does_nothing(store: Store) -> None:
    assert not store.bindings.rename_key("web-0", "web-1")


def test_a_key_that_is_bound_is_not_given_to_another_machine(store: Store) -> None:
    with pytest.raises(Taken):
        store.bindings.rename_key("web-1", "web-2")
    assert set(store.bindings.all()) == {"web-1", "web-2"}


def test_a_hold_on_the_new_key_outlives_the_rename(store: Store, at: datetime) -> None:
    store.holds.put(Hold("web-1", "old", at))
    store.holds.put(Hold("new", "kept", at))
    store.bindings.rename_key("web-1", "new")
    assert store.holds.all() == {"new": Hold("new", "kept", at)}


def test_forgetting_leaves_the_vmid_and_the_journal(store: Store, at: datetime) -> None:
    remember_all(store, "web-1", at)
    store.leases.release(ADDRESS)
    store.cache.mark_dirty("lab", 101, at)
    store.bindings.forget("web-1", at)
    memory = store.memories()["web-1"]
    assert memory.forgotten
    assert memory == replace(store.memories(["nobody"])["nobody"], forgotten=True)
    assert store.bindings.forgotten() == {"web-1"}
    assert store.bindings.forgotten_vmids("lab") == {101}
    assert store.vault.secrets() == {}
    assert store.cache.all("lab") == {}
    assert len(store.journal.vm_runs("web-1")) == 1
    store.bindings.forget("web-1", at)


def test_a_key_that_holds_addresses_is_not_forgotten(store: Store, at: datetime) -> None:
    store.leases.take(ADDRESS)
    with pytest.raises(StoreError, match=r"web-1: still holds 10\.0\.0\.7; release that first"):
        store.bindings.forget("web-1", at)


def test_a_forgotten_vmid_that_is_bound_again_is_known(store: Store, at: datetime) -> None:
    store.bindings.forget("web-1", at)
    store.bindings.bind(Binding("web-1", "lab", 101, "web-1"))
    assert store.bindings.forgotten() == set()
    assert not store.memories()["web-1"].forgotten


def test_ip_11_two_spellings_of_an_address_are_one(store: Store) -> None:
    store.leases.take(replace(ADDRESS, family="ipv6", address="2001:DB8:0:0::17"))
    assert store.leases.taken() == {"2001:db8::17"}
    with pytest.raises(Taken, match="lease 2001:db8::17 to web-2/net0"):
        store.leases.take(replace(ADDRESS, key="web-2", family="ipv6", address="2001:db8::17"))


def test_only_the_holder_releases_an_address(store: Store) -> None:
    store.leases.take(ADDRESS)
    store.leases.release(replace(ADDRESS, key="web-2"))
    assert store.leases.all() == {"web-1": (ADDRESS,)}
    store.leases.release(ADDRESS)
    assert store.leases.of("web-1") == ()


def test_a_vm_has_one_open_task(store: Store, at: datetime) -> None:
    store.tasks.open(task(at))
    with pytest.raises(Taken):
        store.tasks.open(replace(task(at), upid="UPID:pve1:2"))
    assert store.tasks.all() == {"web-1": task(at)}
    store.tasks.close(task(at))
    assert store.tasks.all() == {}


def test_two_clusters_may_have_tasks_of_one_name(store: Store, at: datetime) -> None:
    """A UPID is node, process, time and vmid: not even unlikely in clusters made alike."""
    mine = task(at)
    theirs = replace(mine, key="web-2", cluster="other")
    store.tasks.open(mine)
    store.tasks.open(theirs)
    store.tasks.close(mine)
    assert store.tasks.all() == {"web-2": theirs}


def test_failures_are_counted_until_cleared(store: Store, at: datetime) -> None:
    for minutes in (1, 2, 3):
        last = store.attempts.fail("web-1", "cpu", f"no {minutes}", at, at + minutes * MINUTE)
    assert (last.count, last.error, last.not_before) == (3, "no 3", at + 3 * MINUTE)
    store.attempts.fail("web-1", "disks", "x" * 9999, at, at)
    assert len(store.attempts.of("web-1")["disks"].error) == 2000
    store.attempts.clear("web-1", "cpu")
    assert set(store.attempts.of("web-1")) == {"disks"}
    store.attempts.clear_all("web-1")
    assert store.attempts.of("web-1") == {}


def test_intents_of_a_kind_are_told_by_key(store: Store, at: datetime) -> None:
    kept = {key: Intent(key, "orphan", at, 1) for key in ("b", "a")}
    for intent in (*kept.values(), Intent("a", "start", at)):
        store.intents.put(intent)
    assert store.intents.of_kind("orphan") == dict(sorted(kept.items()))
    assert store.intents.of_kind("stop") == {}


def test_dep_24_looks_at_an_intent_are_counted(store: Store, at: datetime) -> None:
    assert store.intents.look("web-1", "start", at) is None
    store.intents.put(Intent("web-1", "start", at, detail="once"))
    assert store.intents.look("web-1", "start", at) == Intent("web-1", "start", at, 1, "once", at)
    assert store.intents.of("web-1")["start"].looks == 1
    store.intents.put(Intent("web-1", "start", at + MINUTE))
    assert store.intents.of("web-1") == {"start": Intent("web-1", "start", at + MINUTE)}
    store.intents.drop("web-1", "start")
    assert store.intents.of("web-1") == {}


def test_holds_are_put_and_lifted(store: Store, at: datetime) -> None:
    store.holds.put(Hold("web-1", "first", at))
    store.holds.put(Hold("web-1", "second", at, at + MINUTE))
    assert store.holds.all() == {"web-1": Hold("web-1", "second", at, at + MINUTE)}
    assert store.holds.lift("web-1")
    assert not store.holds.lift("web-1")


def test_settings_keep_any_json(store: Store) -> None:
    assert store.settings.get("seen") is None
    values: tuple[Json, ...] = ({"pve1": [1, "a", None]}, 3, "x", False)
    for value in values:
        store.settings.put("seen", value)
        assert store.settings.get("seen") == value


def test_an_event_is_written_once(store: Store, at: datetime) -> None:
    assert store.outbox.add("ready", "web-1", at, {"vmid": 101}, dedupe="ready/web-1/101")
    assert not store.outbox.add("ready", "web-1", at + MINUTE, {}, dedupe="ready/web-1/101")
    assert store.outbox.add("ready", "web-2", at, {})
    assert not store.outbox.add("ready", "web-2", at, {})
    first, second = store.outbox.waiting()
    assert (first.detail, second.dedupe) == ({"vmid": 101}, f"ready/web-2/{at.isoformat()}")
    store.outbox.delivered(first, at)
    assert store.outbox.waiting() == (second,)


def test_an_approved_change_passes_once(store: Store, at: datetime) -> None:
    changes = json.dumps({"h1": "destroy web-1", "h2": "destroy web-2"})
    store.approvals.grant("d1", changes, at + MINUTE, "ann", at)
    assert store.approvals.granted("d1", at) == Approval("d1", changes, at + MINUTE, "ann", at)
    assert store.approvals.open_changes(at) == {"h1", "h2"}
    assert store.approvals.use("h1", at)
    assert not store.approvals.use("h1", at)
    assert not store.approvals.use("h3", at)
    assert store.approvals.open_changes(at) == {"h2"}


def test_an_approval_ends(store: Store, at: datetime) -> None:
    store.approvals.grant("d1", '["h1"]', at + MINUTE, "ann", at)
    assert store.approvals.granted("d1", at + MINUTE) is None
    assert not store.approvals.use("h1", at + MINUTE)


def test_an_approval_may_be_renewed_and_must_name_changes(store: Store, at: datetime) -> None:
    store.approvals.grant("d1", '["h1"]', at + MINUTE, "ann", at)
    assert store.approvals.use("h1", at)
    store.approvals.grant("d1", '["h1"]', at + MINUTE, "ann", at)
    assert store.approvals.use("h1", at)
    store.approvals.grant("d1", "[]", at + MINUTE, "ann", at)
    assert not store.approvals.use("h1", at)
    with pytest.raises(StoreError, match="hashes of changes expected"):
        store.approvals.grant("d1", "[1]", at, "ann", at)


def test_conditions_are_written_only_when_they_differ(store: Store, at: datetime) -> None:
    hold = Condition("web-1", "Held", True, "ByHand", "until noon", at)
    drift = Condition("web-1", "PlacementDiffers", False, "", "", at)
    assert store.conditions.replace("web-1", [hold, drift])
    later = [replace(drift, since=at + MINUTE), replace(hold, since=at + MINUTE)]
    assert not store.conditions.replace("web-1", later)
    assert store.conditions.all() == {"web-1": (hold, drift)}
    assert store.conditions.replace("web-1", [])
    assert store.conditions.all() == {}


def test_since_moves_only_when_the_status_turns(store: Store, at: datetime) -> None:
    held = Condition("web-1", "Held", True, "ByHand", "until noon", at)
    store.conditions.replace("web-1", [held])
    store.conditions.replace("web-1", [replace(held, message="until one", since=at + MINUTE)])
    assert store.conditions.all()["web-1"] == (replace(held, message="until one"),)
    turned = replace(held, status=False, since=at + MINUTE)
    assert store.conditions.replace_many({"web-1": [turned], "web-2": []}) == {"web-1"}
    assert store.conditions.all() == {"web-1": (turned,)}


def task(at: datetime) -> OpenTask:
    return OpenTask("UPID:pve1:1", "web-1", "lab", "exists", at)


def remember_all(store: Store, key: str, at: datetime) -> None:
    """A row for a key in every table."""
    store.leases.take(replace(ADDRESS, key=key))
    store.tasks.open(task(at))
    store.attempts.fail(key, "cpu", "no", at, at)
    store.intents.put(Intent(key, "start", at))
    store.holds.put(Hold(key, "mine", at))
    store.vault.set_fingerprint(key, "tags", "a")
    store.vault.keep(key, "password", Secret("s3cret"))
    store.conditions.replace(key, [Condition(key, "Held", True, "", "", at)])
    run = store.journal.start_run(at, "reconcile --once", "r1")
    store.journal.step(run, key, "deploy", StepRecord("Clone", "a", "b", "success", 0.1, at))
    store.outbox.add("ready", key, at, {})


def test_deploying_are_the_machines_of_a_cluster_that_are_not_ready_yet(store: Store) -> None:
    ready = replace(store.bindings.all()["web-1"], phase=Phase.READY)
    store.bindings.change(ready)
    assert [one.key for one in store.bindings.deploying("lab")] == ["web-2"]
    assert store.bindings.deploying("other") == []
