"""The cache's mark: what was read before a write is not believed after it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from state.cache import CachedVM
from state.store import Store

SECOND = timedelta(seconds=1)


def read(at: datetime, digest: str = "d1") -> CachedVM:
    return CachedVM(101, '[{"key":"cores"}]', "{}", digest, "running", at, at)


def test_what_was_read_comes_back(store: Store, at: datetime) -> None:
    assert store.cache.put("lab", read(at), begun_at=at)
    assert store.cache.all("lab") == {101: read(at)}
    assert store.cache.all("other") == {}
    store.cache.drop("lab", 101)
    assert store.cache.all("lab") == {}


def test_a_mark_outlives_a_read_begun_before_it(store: Store, at: datetime) -> None:
    store.cache.put("lab", read(at), begun_at=at)
    store.cache.mark_dirty("lab", 101, at + SECOND)
    assert not store.cache.put("lab", read(at + 2 * SECOND, "d2"), begun_at=at + SECOND)
    kept = store.cache.all("lab")[101]
    assert (kept.dirty, kept.dirty_reason, kept.dirty_since) == (True, "write", at + SECOND)
    assert kept.digest == "d2"
    assert store.cache.put("lab", read(at + 3 * SECOND, "d2"), begun_at=at + 2 * SECOND)
    assert store.cache.all("lab")[101] == replace(
        read(at + 3 * SECOND, "d2"), read_at=at + 2 * SECOND
    )


def test_reading_the_firewall_alone_does_not_clear_the_mark(store: Store, at: datetime) -> None:
    store.cache.put("lab", read(at), begun_at=at)
    store.cache.mark_dirty("lab", 101, at + SECOND, firewall=True)
    kept = store.cache.all("lab")[101]
    assert kept.firewall_json is None
    rules = replace(kept, firewall_json="[]", firewall_read_at=at + 3 * SECOND)
    assert not store.cache.put("lab", rules, begun_at=at + 2 * SECOND)


def test_what_a_look_settled_holds_until_the_vm_is_read_again_or_marked(
    store: Store, at: datetime
) -> None:
    def settled() -> str:
        store.cache.settle("lab", {101: "a quiet look"})
        return store.cache.all("lab")[101].settled

    store.cache.settle("lab", {})
    store.cache.put("lab", read(at), begun_at=at)
    assert settled() == "a quiet look"
    store.cache.settle("other", {101: "elsewhere"})
    assert store.cache.all("lab")[101] == replace(read(at), settled="a quiet look")
    store.cache.put("lab", store.cache.all("lab")[101], begun_at=at)
    assert store.cache.all("lab")[101].settled == ""
    settled()
    store.cache.suspect("lab", [101], at)
    assert store.cache.all("lab")[101].settled == ""
    assert settled() == "", "a marked VM is not settled"
    store.cache.put("lab", read(at + SECOND), begun_at=at + SECOND)
    settled()
    store.cache.mark_dirty("lab", 101, at + SECOND)
    assert store.cache.all("lab")[101].settled == ""


def test_a_machine_may_be_marked_before_it_was_read(store: Store, at: datetime) -> None:
    store.cache.mark_dirty("lab", 101, at, "hint")
    assert store.cache.all("lab") == {
        101: CachedVM(101, "", dirty=True, dirty_reason="hint", dirty_since=at)
    }


def test_after_a_lost_answer_two_equal_reads_are_asked_for(store: Store, at: datetime) -> None:
    store.cache.put("lab", read(at), begun_at=at)
    store.cache.mark_dirty("lab", 101, at + SECOND)
    store.cache.mark_dirty("lab", 101, at + 2 * SECOND, "maybe-running")
    clean = [
        store.cache.put("lab", read(at + n * SECOND, digest), begun_at=at + n * SECOND)
        for n, digest in [(3, "d1"), (4, "d2"), (5, "d2")]
    ]
    assert clean == [False, False, True]


def test_a_second_mark_starts_the_two_reads_afresh(store: Store, at: datetime) -> None:
    store.cache.mark_dirty("lab", 101, at, "maybe-running")
    assert not store.cache.put("lab", read(at + SECOND), begun_at=at + SECOND)
    store.cache.mark_dirty("lab", 101, at + 2 * SECOND, "write")
    assert store.cache.all("lab")[101].dirty_reason == "maybe-running"
    assert not store.cache.put("lab", read(at + 3 * SECOND), begun_at=at + 3 * SECOND)
    assert store.cache.put("lab", read(at + 4 * SECOND), begun_at=at + 4 * SECOND)


def test_a_killed_process_may_not_have_heard_its_answer(store: Store, at: datetime) -> None:
    store.cache.mark_dirty("lab", 101, at, "write")
    store.cache.mark_dirty("lab", 102, at, "hint")
    store.cache.inherit(at + SECOND)
    marks = {vmid: vm.dirty_reason for vmid, vm in store.cache.all("lab").items()}
    assert marks == {101: "maybe-running", 102: "hint"}
    assert not store.cache.put("lab", read(at + SECOND), begun_at=at + SECOND)


def test_many_are_kept_at_once_and_the_clean_ones_named(store: Store, at: datetime) -> None:
    store.cache.mark_dirty("lab", 101, at + SECOND)
    several = [read(at), replace(read(at), vmid=102), replace(read(at), vmid=103)]
    assert store.cache.put_many("lab", several, begun_at=at) == {102, 103}
    assert store.cache.put_many("lab", [], begun_at=at) == set()
    assert set(store.cache.all("lab")) == {101, 102, 103}


@pytest.mark.parametrize("vmids", [[], [101, 102, 999]])
def test_only_clean_cached_machines_become_suspect(
    store: Store, at: datetime, vmids: list[int]
) -> None:
    store.cache.put_many("lab", [read(at), replace(read(at), vmid=102)], begun_at=at)
    store.cache.mark_dirty("lab", 102, at, "write")
    store.cache.suspect("lab", vmids, at + SECOND)
    marks = {vmid: vm.dirty_reason for vmid, vm in store.cache.all("lab").items()}
    assert marks == {101: "hint" if vmids else "", 102: "write"}
