"""Each invariant of the store is refused by the database itself, whatever code comes to it."""

from datetime import datetime

import pytest

from state.database import Database, Taken
from state.memory import Lease
from state.store import Store

BINDING = "INSERT INTO bindings (key, cluster, vmid, name, name_template, phase, clone) VALUES "
LEASE = "INSERT INTO leases (key, nic, family, ordinal, address, prefix, pool, dns) VALUES "
TASK = "INSERT INTO tasks VALUES "
CACHE = (
    "INSERT INTO cache (cluster, vmid, pending_json, digest, hints, dirty, dirty_reason) VALUES "
)
VM_RUN = (
    "INSERT INTO vm_runs (key, action, started_at, state_before, state_after, result, error, run)"
    " VALUES "
)


@pytest.fixture
def held(store: Store, at: datetime) -> Database:
    """The database of a store in which web-1 has 10.0.0.7, an open task and a run."""
    store.leases.take(Lease("web-1", "net0", "ipv4", 0, "10.0.0.7", 24, "public"))
    store.journal.start_run(at, "reconcile --once", "r1")
    with store._database.writing("hold") as link:
        link.exec_driver_sql(TASK + "('UPID:1', 'web-1', 'lab', 'exists', '2026-01-01 00:00:00')")
        link.exec_driver_sql(VM_RUN + "('web-1', 'deploy', '2026-01-01', '', '', 'success', '', 1)")
    return store._database


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        ("one address, one nic", LEASE + "('web-2', 'net0', 'ipv4', 0, '10.0.0.7', 24, 'p', '')"),
        (
            "one address per (vm, nic, family, ordinal)",
            LEASE + "('web-1', 'net0', 'ipv4', 0, '10.0.0.8', 24, 'p', '')",
        ),
        (
            "no lease without a machine",
            LEASE + "('x', 'net0', 'ipv4', 0, '10.0.0.8', 24, 'p','')",
        ),
        ("two families only", LEASE + "('web-1', 'net0', 'ipx', 0, '10.0.0.8', 24, 'p', '')"),
        ("ordinals from 0", LEASE + "('web-1', 'net0', 'ipv4', -1, '10.0.0.8', 24, 'p', '')"),
        ("prefixes to 128", LEASE + "('web-1', 'net0', 'ipv6', 0, '::1', 129, 'p', '')"),
        ("no machine is forgotten with its address", "DELETE FROM bindings WHERE key = 'web-1'"),
        ("one binding per key", BINDING + "('web-1', 'lab', 300, '', '', 'deploy', 'full')"),
        ("one binding per (cluster, vmid)", BINDING + "('x', 'lab', 101, '', '', 'ready', 'full')"),
        ("vmids from 100", BINDING + "('x', 'lab', 99, '', '', 'deploy', 'full')"),
        ("two ways to clone", BINDING + "('x', 'lab', 300, '', '', 'deploy', 'half')"),
        ("one open task per VM", TASK + "('UPID:2', 'web-1', 'lab', 'cpu', '2026-01-01')"),
        ("one row per UPID", TASK + "('UPID:1', 'web-2', 'lab', 'cpu', '2026-01-01')"),
        ("dirty since when", CACHE + "('lab', 101, '', '', '', true, 'write')"),
        (
            "one journal row per (run, vm, action)",
            VM_RUN + "('web-1', 'deploy', '2026-01-01', '', '', 'error', '', 1)",
        ),
        ("three results", VM_RUN + "('web-1', 'x', '2026-01-01', '', '', 'great', '', 1)"),
        ("no journal row without a run", VM_RUN + "('a', 'x', '2026-01-01', '', '', 'error','',9)"),
    ],
    ids=lambda value: value if " " in value and "(" not in value else "",
)
def test_constraint(held: Database, rule: str, statement: str) -> None:
    with pytest.raises(Taken), held.writing(rule) as link:
        link.exec_driver_sql(statement)
