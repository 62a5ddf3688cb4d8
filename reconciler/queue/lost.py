"""A call whose answer never came: what the cluster tells of it, before anything is sent again.

Proxmox keeps no name that we could give a call. What tells is its task: of our user, of the call's
type and VM, begun no sooner than the call was sent.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from reconciler.pve.contact import Contact
from reconciler.pve.form import quote_segment
from reconciler.pve.tasks import parse_upid
from reconciler.queue.rules import Rule
from state.api import Json
from state.queue import QueueJob
from state.view import rows, text

EARLIER = 2.0
"""Seconds by which our clock and the cluster's may differ beyond what is known of them."""

SURE = timedelta(seconds=120)
"""A call that has begun no task within this time was most likely never carried out."""


def found_task(api: Contact, job: QueueJob, rule: Rule, known: Collection[str]) -> str | None:
    """Return the task that the call has begun, by the node's own list. Raises ApiError.

    `GET /nodes/N/tasks` of running and ended ones; of several the first. `known` are those that
    belong to other jobs.
    """
    assert job.sent_at is not None
    since = int(job.sent_at.timestamp() + (api.skew or 0.0) - EARLIER)
    answer: Json = api.get(
        f"/nodes/{quote_segment(job.node)}/tasks",
        {"source": "all", "since": since, "typefilter": rule.task, "limit": 500},
    )
    fitting = []
    for row in rows(answer):
        upid = text(row, "upid") or ""
        parts = parse_upid(upid)
        mine = parts.user == api.identity and parts.kind == rule.task
        if mine and upid not in known and (job.vmid is None or parts.id == str(job.vmid)):
            fitting.append((parts.starttime, upid))
    return min(fitting)[1] if fitting else None


def is_over(job: QueueJob, at: datetime) -> bool:
    """Whether the call, had it arrived, would have begun its task by now."""
    return job.sent_at is not None and at - job.sent_at >= SURE
