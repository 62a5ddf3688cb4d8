"""Is all well? Each check in words, and one lamp that is green or red (FRM-08)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from reconciler.show.text import show_when
from reconciler.vitals import Vitals

LATE = timedelta(minutes=30)
"""So long after the last run, or after a job was due, somebody should look (FRM-08)."""

WAITING = ("-", "never")


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, how it is, and where it is not well what helps."""

    name: str
    status: Literal["ok", "warn", "bad"]
    text: str
    advice: str = ""


def lamp(checks: Sequence[Check]) -> Literal["green", "red"]:
    """Return green where nothing is to be looked after."""
    return "green" if all(check.status == "ok" for check in checks) else "red"


def look_over(vitals: Vitals, store: str) -> list[Check]:
    """Return every check of a store that was opened; `store` names it."""
    return [
        Check("store", "ok", f"{store} answers"),
        _runs(vitals),
        _specs(vitals),
        *_jobs(vitals),
        *_locks(vitals),
        *_clusters(vitals),
    ]


def unreached(what: str, error: Exception) -> list[Check]:
    """Return the one check that there is where the specs or the store cannot be read."""
    return [Check(what, "bad", str(error), "nothing can run before that is mended")]


def _runs(vitals: Vitals) -> Check:
    advice = "is cron, the timer or the service on? systemctl status reconcile"
    if vitals.beat is None:
        return Check("runs", "bad", "no run yet", "run: reconcile --once")
    text = f"last run {show_when(vitals.beat)}, {_minutes(vitals.at - vitals.beat)} ago"
    if vitals.at - vitals.beat > LATE:
        return Check("runs", "bad", f"{text}; expected one within {_minutes(LATE)}", advice)
    return Check("runs", "ok", text)


def _specs(vitals: Vitals) -> Check:
    if vitals.broken:
        text = f"{vitals.broken} VMs with broken specs"
        return Check("specs", "warn", text, "reconcile validate")
    return Check("specs", "ok", "sound")


def _jobs(vitals: Vitals) -> list[Check]:
    """The jobs that are not well, else that they are."""
    found = []
    for job in vitals.loops:
        advice = f"reconcile job show {job.name}"
        if job.failed:
            words = job.message or "failed" if job.runs else job.about
            found.append(Check(f"job {job.name}", "warn", f"{job.status}: {words}", advice))
        elif _overdue(job.next_run, job.status, vitals.at):
            assert job.next_run is not None
            since = _minutes(vitals.at - job.next_run)
            text = f"due since {show_when(job.next_run)}, {since} ago"
            found.append(Check(f"job {job.name}", "warn", text, advice))
    return found or [Check("jobs", "ok", f"{sum(one.active for one in vitals.loops)} on")]


def _overdue(due: datetime | None, status: str, at: datetime) -> bool:
    return due is not None and status not in WAITING and at - due > LATE


def _locks(vitals: Vitals) -> list[Check]:
    found = []
    for one in vitals.locks:
        if one.left_behind:
            since = _minutes(vitals.at - one.beat_at)
            text = f"{one.row.holder} gave no sign of life for {since} ({one.state})"
            advice = f"the next run takes it over; at once: reconcile locks clear {one.name}"
            found.append(Check(f"lock {one.name}", "warn", text, advice))
    held = [f"{one.name} by {one.row.holder}" for one in vitals.locks if one.state == "held"]
    return found or [Check("locks", "ok", ", ".join(held) or "nobody is at work")]


def _clusters(vitals: Vitals) -> list[Check]:
    found = []
    for name, trouble in vitals.clusters.items():
        if trouble:
            found.append(Check(f"cluster {name}", "bad", trouble, "reconcile doctor"))
        else:
            text = "no run has worked on it lately" if trouble is None else "answered the last run"
            found.append(Check(f"cluster {name}", "ok", text))
    return found


def _minutes(length: timedelta) -> str:
    seconds = max(length.total_seconds(), 0)
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
