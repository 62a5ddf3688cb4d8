"""A store that has something in every table."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Column, func, insert, select

from state.change import Effect
from state.conditions import Condition
from state.journal import StepRecord
from state.memory import Binding, Hold, Intent, Lease, OpenTask
from state.notices import Notice
from state.queue import QueueJob
from state.rollouts import Member, Rollout
from state.secret import Secret
from state.store import Store
from state.tables import metadata
from state.tickets import Ticket
from state.verbs import Wish

ADDRESS = Lease("web-1", "net0", "ipv4", 0, "10.0.0.7", 24, "public", "10.0.0.1", ("1.1.1.1", "9"))


def furnish(store: Store, at: datetime, machines: int = 3) -> None:
    """Rows in every table, with what is hard to carry: bytes, zones, umlauts, JSON, nothing."""
    for number in range(machines):
        key = f"wéb-{number}" if number else "web-1"
        store.bindings.bind(Binding(key, "lab", 101 + number, key, created_at=at))
    store.leases.take(ADDRESS)
    store.leases.take(replace(ADDRESS, ordinal=1, address="2001:db8::7", family="ipv6", dns=()))
    store.tasks.open(OpenTask("UPID:pve1:1", "web-1", "lab", "exists", at))
    store.attempts.fail("web-1", "cpu", "no\n“room”", at, at + timedelta(microseconds=1))
    store.intents.put(Intent("web-1", "start", at))
    store.holds.put(Hold("web-1", "mine", at))
    store.verbs.record(Wish("web-1", "move", "t1", "ann", at, {}), "done", "é", at)
    store.vault.keep("web-1", "password", Secret("s3cret"))
    store.vault.set_fingerprint("web-1", "tags", "a,b")
    store.cache.mark_dirty("lab", 101, at)
    store.conditions.replace("web-1", [Condition("web-1", "Held", True, "", "ä", at)])
    run = store.journal.start_run(at, "reconcile --once", "r1")
    store.journal.step(run, "web-1", "deploy", StepRecord("Clone", "a", "b", "success", 0.1, at))
    store.journal.effect("web-1", Effect.STOP_START, at)
    store.outbox.add("ready", "web-1", at, {"nested": [1, 2.5, None, {"ü": True}]})
    store.approvals.grant("d1", '{"h1": "destroy web-1"}', at, "ann", at)
    store.settings.put("x", {"b": 1, "a": [None, "é"]})
    member = Member("web-1", "waiting", 0, "ä", at)
    edits = frozenset({(("memory",), "1")})
    store.rollouts.save([Rollout(0, edits, "é", "paused", "", at, at, members=(member,))])
    params = {"ü": [1, None]}
    store.queue.add(
        QueueJob(0, "é", 101, "lab", "n", "PUT", "/é", params, not_before=at, added_at=at)
    )
    store.loops.reschedule("nightly", "daily at 02:30")
    told = Notice(0, "ready/é", "ready", "vm_ready", "web-1", "mail", "ann@example.net", at)
    ticket = Ticket(0, "é", 0, "mail", "é", "", ("web-1",), "", at)
    store.tickets.open(ticket, told)
    with store._database.writing("furnish the rest") as link:
        for table in metadata.sorted_tables:
            if not link.execute(select(func.count()).select_from(table)).scalar():
                row = {column.name: _some(column, at) for column in table.columns}
                link.execute(insert(table), row)


def _some(column: Column[object], at: datetime) -> object:
    """A value that a column may hold."""
    if column.foreign_keys or column.name == "key":
        return "web-1"
    kinds = {
        "INTEGER": 100,
        "BIGINT": 100,
        "BOOLEAN": True,
        "DATETIME": at,
        "TEXT": "{}",
        "FLOAT": 0.5,
    }
    return {**kinds, "JSON": {"a": 1}, "BLOB": b"\x00\xff"}[str(column.type)]


def everything(store: Store) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with store._database.reading("look") as link:
        return {
            table.name: [
                tuple(row) for row in link.execute(table.select().order_by(*table.primary_key))
            ]
            for table in metadata.sorted_tables
        }
