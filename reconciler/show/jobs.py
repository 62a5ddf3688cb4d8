"""Jobs for people and programs: the list, one with its output, what a dry run found."""

from collections.abc import Sequence
from datetime import datetime

from reconciler.loops.loop import LoopResult
from reconciler.loops.standing import Standing
from reconciler.show.text import Paint, json_when, show_when, table
from state.api import Json

HEAD = ("JOB", "SCHEDULE", "LAST RUN", "STATUS", "NEXT RUN", "WHAT IT DOES")
BANNER = "Dry run: nothing was changed or sent."


def render_jobs(jobs: Sequence[Standing], at: datetime, paint: Paint) -> str:
    """Return the table of jobs, then what is wrong with any."""
    rows = [
        (job.name, job.schedule, _when(job.last_run), job.status, next_words(job, at), job.about)
        for job in jobs
    ]
    lines = [table(HEAD, rows, paint)]
    lines += [
        paint.bad(f"{job.name} {job.status}: {job.message if job.runs else job.about}")
        for job in jobs
        if job.failed
    ]
    return "\n".join(lines)


def render_job(job: Standing, at: datetime, paint: Paint) -> str:
    """Return one job with what its last run said (FRM-18)."""
    took = ""
    if job.last_run and job.finished_at:
        took = f", {(job.finished_at - job.last_run).total_seconds():.1f}s"
    by = f", by {job.by}" if job.by else ""
    lines = [
        paint.bold(f"{job.name}: {job.about}"),
        f"schedule   {job.schedule} ({job.source})",
        f"next run   {next_words(job, at)}",
        f"last run   {_when(job.last_run)}{took}{by}",
        f"status     {job.status}{f': {job.message}' if job.message else ''}",
        f"counts     processed: {job.processed}, errors: {job.errors}",
    ]
    return "\n".join([*lines, *(["output", job.output] if job.output else [])])


def job_json(job: Standing) -> dict[str, Json]:
    """Return one job; moments in UTC."""
    return {
        "job": job.name,
        "about": job.about,
        "schedule": job.schedule,
        "source": job.source,
        "active": job.active,
        "status": job.status,
        "last_run": _json(job.last_run),
        "finished_at": _json(job.finished_at),
        "next_run": _json(job.next_run),
        "message": job.message,
        "processed": job.processed,
        "errors": job.errors,
        "by": job.by,
    }


def result_json(name: str, result: LoopResult) -> dict[str, Json]:
    """Return what came of a run."""
    return {
        "job": name,
        "status": result.status,
        "processed": result.processed,
        "errors": result.errors,
        "message": result.message,
        "details": list(result.details),
    }


def render_dry(name: str, result: LoopResult, paint: Paint) -> str:
    """Return what a dry run of a job that is none over VMs found."""
    counts = f"processed: {result.processed}, errors: {result.errors}"
    head = f"{name} {result.status}: {result.message}" if result.message else f"{name}: {counts}"
    return "\n".join([paint.warn(BANNER), *result.details, head])


def next_words(job: Standing, at: datetime) -> str:
    """Say when a job runs next: `off`, `disabled`, `due`, or the moment."""
    if not job.active:
        return "disabled"
    if job.next_run is None:
        return "-" if job.status == "orphaned" else "off"
    return "due" if job.next_run <= at else show_when(job.next_run)


def _when(at: datetime | None) -> str:
    return show_when(at) if at else "never"


def _json(at: datetime | None) -> str | None:
    return json_when(at) if at else None
