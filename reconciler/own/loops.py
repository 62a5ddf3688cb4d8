"""A site's own jobs as loops: found, off until a person enables them, run in child processes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from desired.files import FileSource
from desired.source import Fleet
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.loops.registry import built_in, camel_case
from reconciler.own.found import Found, OwnJob, find
from reconciler.own.handler import run_handler
from reconciler.own.installed import installed
from reconciler.own.process import Child, Cut
from reconciler.own.reads import Reads, hidden
from reconciler.report import Level
from reconciler.secrets import SecretError
from state.api import Json
from state.store import Store

MESSAGE = 500
"""Characters of a message that are kept (FRM-04)."""


def own_loops(fleet: Fleet) -> tuple[tuple[Loop, ...], Found]:
    """Return a fleet's own jobs as loops, and what was found of them."""
    found = find(Path(fleet.folder), fleet.handlers_dir, fleet.jobs, installed(), taken())
    return tuple(_loop(job) for job in found.jobs), found


def known_loops(folder: Path) -> tuple[tuple[Loop, ...], Found]:
    """Return the own jobs of a fleet's folder, of which only `fleet.yaml` is read.

    Raises UnusableSource.
    """
    head = FileSource(folder).head()
    found = find(folder, head.handlers_dir, head.jobs, installed(), taken())
    return tuple(_loop(job) for job in found.jobs), found


def remark_on(
    found: Found, loops: Sequence[Loop], store: Store, remark: Callable[[str, Level], None]
) -> int:
    """Say what is wrong with the own jobs; return how many cannot run (FRM-07, FRM-13)."""
    for text in found.warnings:
        remark(text, "warning")
    for error in found.errors:
        remark(str(error), "error")
    known = {loop.name for loop in loops} | found.broken
    gone = [row.name for row in store.loops.all().values() if row.name not in known]
    for name in gone:
        remark(
            f"{name}: orphaned: its code is not there: bring that back, or remove the job", "error"
        )
    return len(found.errors) + len(gone)


def taken() -> frozenset[str]:
    """The names that mean a built-in job."""
    return frozenset(
        name for one in built_in() for name in (one.name, camel_case(one.name), *one.aliases)
    )


def _loop(job: OwnJob) -> Loop:
    about = job.metadata.description or job.metadata.name
    return Loop(
        job.name,
        about,
        Own(job),
        job.metadata.timetable,
        active=False,
        suspended=job.suspended,
        source="its metadata",
    )


@dataclass(frozen=True, slots=True)
class Own:
    """What a job of a site's own does when it runs."""

    job: OwnJob

    def __call__(self, occasion: Occasion) -> LoopResult:
        """Run the job's code in a child; whatever it does is its own error."""
        if self.job.suspended:
            return LoopResult("skipped", message="its plugin is not active: see its plugin.yaml")
        self._tell_updated(occasion)
        if self.job.metadata.handler:
            return run_handler(self.job, occasion)
        left = (occasion.deadline - occasion.clock.now()).total_seconds()
        seconds = max(1.0, min(self.job.metadata.deadline, left))
        try:
            config, secrets = self._config(occasion)
        except SecretError as error:
            return LoopResult("skipped", message=str(error))
        task: dict[str, Json] = {
            "code": str(self.job.code.resolve()),
            "name": self.job.name,
            "at": occasion.start.isoformat(),
            "dry": occasion.dry,
            "fleet": occasion.opened.fleet.name,
            "config": config,
        }
        reads = Reads(occasion, secrets)
        with Child(reads.answer, occasion.stopped.is_set) as child:
            try:
                frame = child.ask(task, seconds)
            except Cut as error:
                frame = {"result": {"status": "error", "message": str(error), "errors": 1}}
            printed = child.output.decode(errors="replace")
        return result_of(frame, printed, secrets)

    def _tell_updated(self, occasion: Occasion) -> None:
        """Say that code or metadata are others than at the last run (FRM-12)."""
        name, settings = f"job:{self.job.name}", occasion.store.settings
        before = settings.get(name)
        if before not in (None, self.job.digest):
            occasion.note(f"{self.job.name}: its code or metadata were changed since its last run")
        if before != self.job.digest and not occasion.dry:
            settings.put(name, self.job.digest)

    def _config(self, occasion: Occasion) -> tuple[dict[str, Json], tuple[str, ...]]:
        """The values for the child, and those of them that are secret. Raises SecretError."""
        values: dict[str, Json] = {}
        secrets = []
        for name, value in self.job.config.items():
            values[name] = _plain(value)
            if self.job.metadata.config_fields[name].type == "secret" and value is not None:
                values[name] = text = occasion.opened.resolve(str(value)).reveal()
                secrets.append(text)
        return values, tuple(secrets)


def result_of(frame: Mapping[str, Json], printed: str, secrets: tuple[str, ...]) -> LoopResult:
    """Return what a child's last frame says; what is no result is the job's error."""
    said = frame.get("result")
    status = said.get("status") if isinstance(said, dict) else None
    if not isinstance(said, dict) or status not in ("success", "skipped", "error"):
        return LoopResult("error", errors=1, message="it gave no result that can be read")
    kept = frame.get("refused")
    refused = kept if isinstance(kept, list) else []
    lines = hidden(printed, secrets).splitlines()
    if said.get("html"):
        lines += ["preview (HTML):", str(said["html"])]
    lines += [f"refused: {one}" for one in refused]
    return LoopResult(
        status,  # type: ignore[arg-type]
        processed=max(_count(said, "processed"), len(refused)),
        errors=max(_count(said, "errors"), int(status == "error")),
        details=tuple(hidden(line, secrets) for line in lines),
        message=hidden(str(said.get("message") or ""), secrets)[:MESSAGE],
        deactivate=said.get("deactivate") is True,
    )


def _count(said: Mapping[str, Json], name: str) -> int:
    value = said.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _plain(value: object) -> Json:
    if isinstance(value, list | tuple):
        return [str(one) for one in value]
    return value if isinstance(value, str | int | float | bool) else None
