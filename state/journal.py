"""What every run did to every VM, step by step (LOG-01), and the effects that guard counts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import (
    Connection,
    Table,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from state import tables
from state.api import Json
from state.change import Effect
from state.database import Database, row_of

RUNS_PER_VM = 50
RUNS_WITHOUT_VMS = 500
PRUNE_EVERY = 50
EFFECTS_KEPT = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of one VM's run: its label, the pipeline states, `seconds` it took."""

    label: str
    before: str
    after: str
    result: str
    seconds: float
    at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class VMRun:
    """What one run did to one VM. Still `waiting` and not finished when the run was killed."""

    key: str
    action: str
    started_at: datetime
    finished_at: datetime | None = None
    state_before: str = ""
    state_after: str = ""
    result: Literal["success", "waiting", "error"] = "waiting"
    error: str = ""
    steps: tuple[StepRecord, ...] = ()
    run: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One run; `summary` is what `finish_run` was given, `finished_at` None if it was killed.

    `commit` is that of the folder of specs, with `+dirty` where they differed from it; empty where
    the folder is in no git repository.
    """

    id: int
    started_at: datetime
    command: str
    revision: str
    dry: bool = False
    finished_at: datetime | None = None
    summary: Mapping[str, Json] = field(default_factory=dict)
    commit: str = ""


class Journal:
    """Runs, and the 50 most recent VMRuns of each VM. UNIQUE: (run, key, action)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def start_run(
        self, at: datetime, command: str, revision: str, dry: bool = False, commit: str = ""
    ) -> int:
        """Opens a run and answers its number."""
        run = Run(0, at, command, revision, dry, commit=commit)
        row = row_of(run, tables.runs)
        with self._database.writing("start a run") as link:
            number = _insert(link, tables.runs, row)
            if number % PRUNE_EVERY == 0:
                _prune_runs(link)
        return number

    def finish_run(self, run: int, at: datetime, summary: Mapping[str, Json]) -> None:
        with self._database.writing(f"finish run {run}") as link:
            link.execute(
                update(tables.runs)
                .where(tables.runs.c.id == run)
                .values(finished_at=at, summary=dict(summary))
            )

    def step(self, run: int, key: str, action: str, first: StepRecord, *more: StepRecord) -> None:
        """Adds steps at once, so that a crash loses none; opens the VM's run with the first.

        Those that landed together come together: each transaction waits for the disk.
        """
        opened = VMRun(key, action, first.at, state_before=first.before)
        steps = (first, *more)
        with self._database.writing(f"journal {key}") as link:
            number = _open_vm_run(link, run, opened)
            link.execute(insert(tables.steps), [_step_row(number, step) for step in steps])
            link.execute(
                update(tables.vm_runs)
                .where(tables.vm_runs.c.id == number)
                .values(state_after=steps[-1].after)
            )

    def record(self, run: int, vm_run: VMRun) -> None:
        """Writes what came of a VM in a run.

        Steps that `step` has written stay when `vm_run.steps` is empty, else they give way to
        those. Recording the same again changes nothing.
        """
        with self._database.writing(f"journal {vm_run.key}") as link:
            number = _open_vm_run(link, run, vm_run)
            link.execute(
                update(tables.vm_runs).where(tables.vm_runs.c.id == number),
                _vm_run_row(run, vm_run),
            )
            if vm_run.steps:
                link.execute(delete(tables.steps).where(tables.steps.c.vm_run == number))
                link.execute(
                    insert(tables.steps), [_step_row(number, step) for step in vm_run.steps]
                )

    def runs(self, limit: int = 50) -> list[Run]:
        """The latest runs of `process_vms`, the latest first; those of other jobs are left out."""
        mine = tables.runs.c.command.not_like("job %")
        statement = select(tables.runs).where(mine).order_by(tables.runs.c.id.desc()).limit(limit)
        with self._database.reading("read runs") as link:
            return [Run(*row) for row in link.execute(statement)]

    def vm_runs(self, key: str, limit: int = RUNS_PER_VM) -> list[VMRun]:
        """A VM's latest runs with their steps, the latest first."""
        columns = tables.vm_runs.c
        steps: dict[int, list[StepRecord]] = {}
        with self._database.reading(f"read the journal of {key}") as link:
            rows = link.execute(
                select(tables.vm_runs)
                .where(columns.key == key)
                .order_by(columns.id.desc())
                .limit(limit)
            ).all()
            wanted = tables.steps.c.vm_run.in_([row.id for row in rows])
            found = select(tables.steps).where(wanted).order_by(tables.steps.c.id)
            for _id, number, *fields in link.execute(found):
                steps.setdefault(number, []).append(StepRecord(*fields))
        return [
            replace(VMRun(*row[1:-1]), steps=tuple(steps.get(row.id, ())), run=row.run)
            for row in rows
        ]

    def effect(self, key: str, effect: Effect, at: datetime) -> None:
        """Counts a stop-start or a destroy of a VM; written before it is sent."""
        columns = tables.effects.c
        with self._database.writing(f"count {effect} of {key}") as link:
            link.execute(insert(tables.effects), {"key": key, "effect": effect.value, "at": at})
            link.execute(
                delete(tables.effects).where(
                    columns.effect == effect.value, columns.at < at - EFFECTS_KEPT
                )
            )

    def restarted_since(self, at: datetime) -> frozenset[str]:
        """Which VMs were restarted at or after a moment."""
        return self._met(Effect.STOP_START, at)

    def last_restarts(self, since: datetime) -> dict[str, datetime]:
        """When each VM was restarted last, of those that were at or after a moment."""
        columns = tables.effects.c
        mine = (columns.effect == Effect.STOP_START.value, columns.at >= since)
        statement = select(columns.key, func.max(columns.at)).where(*mine).group_by(columns.key)
        with self._database.reading("read the last restarts") as link:
            return {row[0]: row[1] for row in link.execute(statement)}

    def destroyed_since(self, at: datetime) -> frozenset[str]:
        """Which VMs were destroyed at or after a moment."""
        return self._met(Effect.DESTROY, at)

    def _met(self, effect: Effect, since: datetime) -> frozenset[str]:
        columns = tables.effects.c
        mine = (columns.effect == effect.value, columns.at >= since)
        with self._database.reading(f"read every {effect}") as link:
            return frozenset(link.execute(select(columns.key).where(*mine)).scalars())


def _insert(link: Connection, table: Table, row: Mapping[str, object]) -> int:
    """Inserts a row that numbers itself; the number."""
    fields = {name: value for name, value in row.items() if name != "id"}
    return int(link.execute(insert(table).returning(table.c.id), fields).scalar_one())


def _vm_run_row(run: int, vm_run: VMRun) -> dict[str, object]:
    columns = [column.name for column in tables.vm_runs.columns if column.name not in ("id", "run")]
    return {name: getattr(vm_run, name) for name in columns} | {"run": run}


def _step_row(vm_run: int, step: StepRecord) -> dict[str, object]:
    return {name: getattr(step, name) for name in StepRecord.__slots__} | {"vm_run": vm_run}


def _open_vm_run(link: Connection, run: int, vm_run: VMRun) -> int:
    """The number of the row of (run, key, action); a new one pushes the VM's oldest out."""
    columns = tables.vm_runs.c
    mine = (columns.run == run, columns.key == vm_run.key, columns.action == vm_run.action)
    number = link.execute(select(columns.id).where(*mine)).scalar()
    if number is not None:
        return int(number)
    number = _insert(link, tables.vm_runs, _vm_run_row(run, vm_run))
    newest = select(columns.id).where(columns.key == vm_run.key).order_by(columns.id.desc())
    link.execute(
        delete(tables.vm_runs).where(
            columns.key == vm_run.key,
            columns.id <= newest.limit(1).offset(RUNS_PER_VM).scalar_subquery(),
        )
    )
    return number


def _prune_runs(link: Connection) -> None:
    """Deletes old runs in which no VM had anything to do (any more)."""
    columns = tables.runs.c
    newest = select(columns.id).order_by(columns.id.desc()).limit(1).offset(RUNS_WITHOUT_VMS)
    used = exists().where(tables.vm_runs.c.run == columns.id)
    link.execute(delete(tables.runs).where(columns.id <= newest.scalar_subquery(), ~used))
