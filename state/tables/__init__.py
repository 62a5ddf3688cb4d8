"""The store's tables, a file for each room of it.

Columns stand in the order of the frozen value that a row becomes. Whatever must never be false is
a constraint here (design 4), so that no code can break it. A change of these files needs a new
revision in `migrations/versions` (a test compares the two).
"""

from state.tables.addresses import quarantine, reservations
from state.tables.base import metadata, settings
from state.tables.consent import approvals, approved, rollout_members, rollouts
from state.tables.desired import desired_vm, desired_vm_history
from state.tables.ends import kept_backups
from state.tables.journal import conditions, effects, outbox, runs, steps, vm_runs
from state.tables.locks import locks
from state.tables.loops import loop_items, loops
from state.tables.machines import (
    applied,
    attempts,
    bindings,
    forgotten,
    holds,
    intents,
    leases,
    placements,
    tasks,
)
from state.tables.notices import notices, tickets
from state.tables.queue import queue, queue_log
from state.tables.secrecy import fingerprints, secrets
from state.tables.sight import cache, traces
from state.tables.usage import meters, usage_gaps, usage_hours, usage_months
from state.tables.verbs import verbs
from state.tables.zones import dns_records, dns_zones

__all__ = [
    "applied",
    "approvals",
    "approved",
    "attempts",
    "bindings",
    "cache",
    "conditions",
    "desired_vm",
    "desired_vm_history",
    "dns_records",
    "dns_zones",
    "effects",
    "fingerprints",
    "forgotten",
    "holds",
    "intents",
    "kept_backups",
    "leases",
    "locks",
    "loop_items",
    "loops",
    "metadata",
    "meters",
    "notices",
    "outbox",
    "placements",
    "quarantine",
    "queue",
    "queue_log",
    "reservations",
    "rollout_members",
    "rollouts",
    "runs",
    "secrets",
    "settings",
    "steps",
    "tasks",
    "tickets",
    "traces",
    "usage_gaps",
    "usage_hours",
    "usage_months",
    "verbs",
    "vm_runs",
]
