"""One-off calls: asked for once, tried a few times, told to their end (Q-01, Q-11).

A row is claimed by one conditional UPDATE, and `number` is its fence: who was overtaken changes
nothing any more. What is about to be sent is committed as `sent_at` first, so a row that was sent
is never taken for one that was not, wherever its process died. Every step stands in the log.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from state import tables
from state.api import Json
from state.database import Database, row_of
from state.outbox import Event, insert_event

QueueStatus = Literal["queued", "running", "success", "error", "cancelled"]
FINISHED: tuple[QueueStatus, ...] = ("success", "error", "cancelled")
WORK_FAILED = "work_failed"
"""The event of bounded work that has given up (Q-06)."""

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST = 2000
"""Characters of an error, a result or a line of the log."""


@dataclass(frozen=True, slots=True)
class QueueJob:
    """One call on one server, of one VM (`key`, `vmid`) or of none (`key` is empty).

    `node` is empty of a call that is the cluster's. The higher `priority` goes first. `attempts`
    counts the failures since it was asked for, or asked for again.
    """

    id: int
    key: str
    vmid: int | None
    cluster: str
    node: str
    method: str
    path: str
    params: Mapping[str, Json] = field(default_factory=dict)
    priority: int = 0
    max_attempts: int = 5
    not_before: datetime = LONG_AGO
    by: str = ""
    added_at: datetime = LONG_AGO
    status: QueueStatus = "queued"
    attempts: int = 0
    number: int = 0
    claimed_at: datetime | None = None
    sent_at: datetime | None = None
    upid: str | None = None
    finished_at: datetime | None = None
    error: str = ""
    result: str = ""

    @property
    def server(self) -> tuple[str, str]:
        """Where it runs: what is wrong there delays it, and nothing elsewhere (Q-09)."""
        return self.cluster, self.node

    @property
    def call(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class LogLine:
    """One thing that happened to a job."""

    id: int
    job: int
    at: datetime
    text: str


class Queue:
    """Jobs by number; a number is never given twice."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: QueueJob) -> QueueJob:
        """Puts a job in the queue; its `id` is given here."""
        row = row_of(job, tables.queue)
        del row["id"]
        with self._database.writing(f"queue {job.call}") as link:
            made = link.execute(insert(tables.queue).returning(tables.queue.c.id), row).scalar_one()
            _log(link, made, job.added_at, f"asked for by {job.by}")
            return _of(link, made)

    def of(self, number: int) -> QueueJob | None:
        """A job by its number."""
        with self._database.reading(f"read job {number}") as link:
            row = link.execute(select(tables.queue).where(tables.queue.c.id == number)).first()
        return QueueJob(*row) if row else None

    def all(self, *status: QueueStatus) -> tuple[QueueJob, ...]:
        """Every job of these statuses, or of any; in the order in which they are taken."""
        columns = tables.queue.c
        statement = select(tables.queue).order_by(columns.priority.desc(), columns.id)
        if status:
            statement = statement.where(columns.status.in_(status))
        with self._database.reading("read the queue") as link:
            return tuple(QueueJob(*row) for row in link.execute(statement))

    def claim(self, job: QueueJob, at: datetime, node: str) -> QueueJob | None:
        """Takes a job that waits: exactly one of those who saw the same row gets it.

        `node` is the one that it is to be sent to.
        """
        return self._move(
            job,
            at,
            "taken",
            status="running",
            number=job.number + 1,
            node=node,
            claimed_at=at,
            sent_at=None,
            upid=None,
        )

    def sending(self, job: QueueJob, at: datetime) -> QueueJob | None:
        """Commits that its call is about to go out."""
        return self._move(job, at, f"sends {job.call}", sent_at=at)

    def follows(self, job: QueueJob, upid: str, at: datetime, how: str) -> QueueJob | None:
        """Keeps the task that its call has started."""
        return self._move(job, at, f"{how} {upid}", upid=upid)

    def lose(self, job: QueueJob, at: datetime, why: str) -> QueueJob | None:
        """Its answer was lost: whether it was carried out is to be found out."""
        return self._move(job, at, f"answer lost: {why}", error=why[:LONGEST])

    def succeed(self, job: QueueJob, at: datetime, result: str) -> QueueJob | None:
        """Its end was seen, and it was good."""
        text = f"done: {result}" if result else "done"
        return self._move(
            job, at, text, status="success", finished_at=at, error="", result=result[:LONGEST]
        )

    def postpone(
        self, job: QueueJob, at: datetime, until: datetime, why: str, *, counts: bool
    ) -> QueueJob | None:
        """Puts a job that was taken back; `counts` where that was a failure."""
        text = f"attempt {job.attempts + 1} failed: {why}" if counts else f"waits: {why}"
        return self._move(
            job,
            at,
            text,
            quiet=not counts and why[:LONGEST] == job.error,
            status="queued",
            attempts=job.attempts + counts,
            not_before=until,
            claimed_at=None,
            sent_at=None,
            upid=None,
            error=why[:LONGEST],
        )

    def give_up(
        self, job: QueueJob, at: datetime, why: str, *, counts: bool = True
    ) -> QueueJob | None:
        """Ends a job as failed, with its event in the same transaction (Q-04, Q-06)."""
        detail: dict[str, Json] = {
            "work": "queue",
            "id": job.id,
            "cluster": job.cluster,
            "node": job.node,
            "call": job.call,
            "text": why[:LONGEST],
        }
        occurrence = f"{WORK_FAILED}/queue/{job.id}/{job.number}"
        event = Event(WORK_FAILED, job.key or f"queue/{job.id}", at, detail, occurrence)
        return self._move(
            job,
            at,
            f"given up: {why}",
            event,
            status="error",
            attempts=job.attempts + counts,
            finished_at=at,
            error=why[:LONGEST],
        )

    def cancel(self, job: QueueJob, at: datetime, by: str) -> QueueJob | None:
        """Takes a job that waits out of the queue."""
        return self._move(job, at, f"cancelled by {by}", status="cancelled", finished_at=at)

    def again(self, job: QueueJob, at: datetime, by: str) -> QueueJob | None:
        """Puts a job that ended back, or one that waits in front: its failures count no more."""
        return self._move(
            job,
            at,
            f"asked for again by {by}",
            status="queued",
            number=job.number + 1,
            attempts=0,
            not_before=at,
            claimed_at=None,
            sent_at=None,
            upid=None,
            finished_at=None,
            error="",
            result="",
        )

    def clean(self, status: Iterable[QueueStatus], before: datetime) -> int:
        """Deletes jobs that ended before a moment; their log stays. Tells how many."""
        columns = tables.queue.c
        chosen = [one for one in status if one in FINISHED]
        done = (columns.status.in_(chosen), columns.finished_at < before)
        with self._database.writing("clean the queue") as link:
            return link.execute(delete(tables.queue).where(*done)).rowcount

    def log(self, job: int | None = None, limit: int = 1000) -> tuple[LogLine, ...]:
        """The newest lines of one job's log, or of all; the oldest of them first (Q-07)."""
        columns = tables.queue_log.c
        statement = select(tables.queue_log).order_by(columns.id.desc()).limit(limit)
        if job is not None:
            statement = statement.where(columns.job == job)
        with self._database.reading("read the queue's log") as link:
            return tuple(LogLine(*row) for row in link.execute(statement))[::-1]

    def purge_log(self, before: datetime) -> int:
        """Deletes lines that are older than a moment, of jobs that are gone."""
        columns = tables.queue_log.c
        gone = columns.job.not_in(select(tables.queue.c.id))
        with self._database.writing("purge the queue's log") as link:
            return link.execute(delete(tables.queue_log).where(columns.at < before, gone)).rowcount

    def has_work(self, at: datetime, kept_since: datetime) -> bool:
        """Whether a job is due or on its way, or one that ended is not to be kept any longer."""
        columns = tables.queue.c
        due = and_(columns.status == "queued", columns.not_before <= at)
        work = or_(columns.status == "running", due, columns.finished_at < kept_since)
        with self._database.reading("look into the queue") as link:
            return link.execute(select(columns.id).where(work).limit(1)).first() is not None

    def counts(self) -> dict[str, int]:
        """How many jobs there are by status."""
        status = tables.queue.c.status
        with self._database.reading("count the queue") as link:
            found = link.execute(select(status, func.count()).group_by(status))
            return {row[0]: row[1] for row in found}

    def _move(
        self,
        job: QueueJob,
        at: datetime,
        text: str,
        event: Event | None = None,
        *,
        quiet: bool = False,
        **values: object,
    ) -> QueueJob | None:
        """Changes a row that is still as it was seen, with its line and event; else None."""
        columns = tables.queue.c
        mine = (
            columns.id == job.id,
            columns.number == job.number,
            columns.status == job.status,
        )
        with self._database.writing(f"job {job.id}: {text[:60]}") as link:
            changed = link.execute(update(tables.queue).where(*mine).values(**values)).rowcount
            if not changed:
                return None
            if not quiet:
                _log(link, job.id, at, text)
            if event:
                insert_event(link, event)
            return _of(link, job.id)


def _of(link: Connection, number: int) -> QueueJob:
    return QueueJob(*link.execute(select(tables.queue).where(tables.queue.c.id == number)).one())


def _log(link: Connection, job: int, at: datetime, text: str) -> None:
    link.execute(insert(tables.queue_log), {"job": job, "at": at, "text": text[:LONGEST]})
