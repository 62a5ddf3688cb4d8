"""When a failed step may be tried again: pipeline work for ever, capped and with jitter (Q-05)."""

import hashlib
from datetime import datetime, timedelta

FIRST, CAP = 20.0, 900.0
BUSY = 2.0


def not_before(subject: str, handler: str, count: int, at: datetime) -> datetime:
    """Return the next try after `count` failures in a row: 20 s doubled up to 15 min, +-20 %."""
    seconds = min(CAP, FIRST * 2 ** min(count - 1, 10))
    return at + timedelta(seconds=seconds * spread(f"{subject}/{handler}/{count}"))


def soon(subject: str, at: datetime) -> datetime:
    """Return the next try after a lock was busy: about 2 s."""
    return at + timedelta(seconds=BUSY * spread(f"{subject}/{at.isoformat()}"))


def spread(text: str) -> float:
    """A stable factor between 0.8 and 1.2, so that failures of many VMs do not march in step."""
    return 0.8 + 0.4 * hashlib.sha256(text.encode()).digest()[0] / 255
