"""Approvals: a plan's digest is granted when a fresh plan still has it; a plan may only shrink."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from reconciler.clock import Clock
from reconciler.config import Opened
from reconciler.glance import look_once
from reconciler.plan import VMPlan, approval_digest, approval_hashes
from reconciler.site import Site
from reconciler.turn import Turn

LASTS = timedelta(hours=1)
"""How long an approval given with a run lasts: what waits for its turn may need later runs."""


class ApprovalRefused(Exception):
    """The digest given is not that of the plan as it is now."""


def grant(
    opened: Opened,
    plans: list[VMPlan],
    digest: str,
    until: datetime,
    by: str,
    at: datetime,
) -> int:
    """Store the approved changes, each of which passes once; return how many they are.

    Raises ApprovalRefused.
    """
    key = opened.store.vault.key
    now = approval_digest(plans, key)
    if digest != now:
        seen = f"it is {now} now" if now else "nothing needs approval now"
        raise ApprovalRefused(
            f"digest {digest} is not that of the plan: {seen}; look at it again with "
            "reconcile --once --dry-run"
        )
    hashes = approval_hashes(plans, key)
    opened.store.approvals.grant(digest, json.dumps(hashes), until, by, at)
    return len(hashes)


def grant_now(
    opened: Opened,
    sites: Mapping[str, Site],
    turns: Mapping[str, Turn],
    digest: str,
    by: str,
    clock: Clock,
    until: datetime,
) -> int:
    """Plan afresh, until that moment at most, and approve in one go (`--approve DIGEST`)."""
    preview = look_once(opened, sites, turns, clock, until)
    return grant(opened, preview.plans(), digest, clock.now() + LASTS, by, clock.now())
