"""Rollouts in the store, and how long past restarts took."""

from dataclasses import replace
from datetime import datetime, timedelta

from state.applied import AppliedSpec
from state.change import Effect
from state.journal import VMRun
from state.rollouts import KEPT, SEEN, Edit, Member, Rollout
from state.store import Store

EDITS: frozenset[Edit] = frozenset({(("memory",), '"2GiB"'), (("nics", "net1"), "")})


def rollout(at: datetime, **fields: object) -> Rollout:
    members = (Member("web-2", "done", 1, "", at), Member("web-1", "waiting", 0, "ä", at))
    plain = {"id": 0, "edits": EDITS, "about": "memory", "state": "active", "why": ""}
    return Rollout(**{**plain, "begun_at": at, "moved_at": at, "members": members, **fields})  # type: ignore[arg-type]


def test_a_rollout_is_read_as_it_was_saved_and_in_its_order(store: Store, at: datetime) -> None:
    (saved,) = store.rollouts.save([rollout(at)], "revision")
    assert saved.id > 0
    assert store.rollouts.holding() == [saved]
    assert store.settings.get(SEEN) == "revision"
    later = replace(saved, state="done", ended_at=at, members=(*saved.members[:1],))
    moved = later.with_members([replace(saved.members[1], state="left")])
    store.rollouts.save([moved])
    assert store.rollouts.holding() == []
    assert store.rollouts.recent() == [moved]
    assert store.settings.get(SEEN) == "revision"


def test_the_latest_come_first_and_the_oldest_that_are_over_go(store: Store, at: datetime) -> None:
    many = [rollout(at, state="done") for _ in range(KEPT)]
    store.rollouts.save([rollout(at, state="paused"), *many, rollout(at, state="aborted")])
    found = store.rollouts.recent(KEPT + 5)
    assert len(found) == KEPT + 1
    assert (found[0].state, found[-1].state) == ("aborted", "paused")
    assert [one.state for one in store.rollouts.recent(2)] == ["aborted", "done"]
    assert [one.state for one in store.rollouts.holding()] == ["paused", "aborted"]


def test_the_specs_under_which_vms_settled_are_read_at_once(store: Store, at: datetime) -> None:
    store.applied.put(AppliedSpec("web-1", "{}", at))
    store.applied.put(AppliedSpec("web-2", "[]", at))
    assert store.applied.all() == {"web-1": "{}", "web-2": "[]"}


def test_restarts_are_told_by_their_last_and_by_how_long_they_took(
    store: Store, at: datetime
) -> None:
    for minutes in (0, 5):
        store.journal.effect("web-1", Effect.STOP_START, at + timedelta(minutes=minutes))
    store.journal.effect("web-2", Effect.DESTROY, at)
    run = store.journal.start_run(at, "x", "")
    end = at + timedelta(minutes=6)
    store.journal.record(run, VMRun("web-1", "change", at, end, result="success"))
    assert store.journal.last_restarts(at) == {"web-1": at + timedelta(minutes=5)}
    assert store.journal.last_restarts(end) == {}
    assert store.downtimes.all() == {"web-1": [60.0]}
