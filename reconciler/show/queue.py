"""Work for people and programs: the list, one job with its log, how it ended."""

from collections.abc import Sequence
from datetime import datetime

from reconciler.queue.listing import Work
from reconciler.show.text import Paint, count_of, json_when, show_when, table
from state.api import Json
from state.queue import LogLine, QueueJob

HEAD = ("KIND", "ID", "TARGET", "ACTION", "SERVER", "STATUS", "TRIES", "NEXT")


def render_work(found: Sequence[Work], at: datetime, paint: Paint) -> str:
    """Return the table of work, then what is wrong with any."""
    if not found:
        return "nothing is in the queue"
    rows = [
        (
            one.kind,
            one.id,
            one.target or "-",
            one.action,
            one.server or "-",
            one.status,
            f"{one.attempts}/{one.most}" if one.most else str(one.attempts or "-"),
            _next(one, at),
        )
        for one in found
    ]
    lines = [table(HEAD, rows, paint)]
    lines += [paint.bad(f"{one.kind} {one.id}: {one.error}") for one in found if one.error]
    return "\n".join(lines)


def _next(one: Work, at: datetime) -> str:
    if one.status in ("success", "error", "cancelled"):
        return f"ended {show_when(one.next)}" if one.next else "-"
    return show_when(one.next) if one.next and one.next > at else "next run"


def work_json(one: Work) -> dict[str, Json]:
    """Return one piece of work; moments in UTC."""
    ended = one.status in ("success", "error", "cancelled")
    return {
        "kind": one.kind,
        "id": one.id,
        "target": one.target,
        "action": one.action,
        "server": one.server,
        "status": one.status,
        "attempts": one.attempts,
        "max_attempts": one.most,
        "priority": one.priority,
        "next": json_when(one.next) if one.next and not ended else None,
        "finished_at": json_when(one.next) if one.next and ended else None,
        "by": one.by,
        "error": one.error,
    }


def render_job(job: QueueJob, paint: Paint) -> str:
    """Return one job without its log."""
    where = "/".join(filter(None, job.server))
    params = " ".join(f"{name}={value}" for name, value in sorted(job.params.items()))
    return "\n".join(
        [
            paint.bold(f"job {job.id}: {job.call}"),
            f"server     {where}{f', VM {job.key}' if job.key else ''}",
            f"params     {params or '-'}",
            f"asked      {show_when(job.added_at)} by {job.by}, priority {job.priority}",
            f"status     {job.status}, {count_of(job.attempts, 'failure')} of {job.max_attempts}",
        ]
    )


def render_line(line: LogLine) -> str:
    return f"{show_when(line.at)}  {line.text}"


def render_end(job: QueueJob, paint: Paint) -> str:
    """Say how a job ended that is not done, and how to try it again (Q-12)."""
    why = f": {job.error}" if job.error else ""
    return paint.bad(f"{job.status}{why}") + f"\ntry again: reconcile queue retry {job.id}"


def job_json(job: QueueJob) -> dict[str, Json]:
    """Return one job; moments in UTC."""
    return {
        "id": job.id,
        "vm": job.key,
        "vmid": job.vmid,
        "cluster": job.cluster,
        "node": job.node,
        "method": job.method,
        "path": job.path,
        "params": dict(job.params),
        "priority": job.priority,
        "status": job.status,
        "attempts": job.attempts,
        "max_attempts": job.max_attempts,
        "not_before": json_when(job.not_before),
        "by": job.by,
        "added_at": json_when(job.added_at),
        "sent_at": json_when(job.sent_at) if job.sent_at else None,
        "finished_at": json_when(job.finished_at) if job.finished_at else None,
        "task": job.upid,
        "error": job.error,
        "result": job.result,
    }


def line_json(line: LogLine) -> dict[str, Json]:
    return {"job": line.job, "at": json_when(line.at), "text": line.text}
