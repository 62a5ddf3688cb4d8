"""Own jobs for the tests, written beside a fleet as a site writes them."""

import json
from collections.abc import Mapping
from pathlib import Path

from reconciler.config import open_live
from reconciler.loops.cycle import Tally, run_due
from reconciler.loops.loop import Loop, LoopResult
from reconciler.loops.registry import built_in
from reconciler.own.found import Found
from reconciler.own.loops import known_loops
from reconciler.report import Remark
from state.store import Store
from tests.lab import Told
from tests.laws.fleets import fleet_files
from tests.reconciler.loops.jobs import ONE, LoopLab

HEAD = "from reconciler.own.job import Job, Result\n\n\ndef run(job: Job) -> Result:\n"


class OwnLab(LoopLab):
    """A lab whose fleet has jobs of its own in `jobs/`."""

    def put(self, name: str, body: str, **metadata: object) -> None:
        """Write a job: the body of its `run`, indented by four, and its metadata."""
        self.code(name, HEAD + body, **metadata)

    def code(self, name: str, code: str, **metadata: object) -> None:
        path = self.fleet / "jobs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".py").write_text(code)
        said = {"name": name, "interval": 3600, **metadata}
        path.with_suffix(".json").write_text(json.dumps(said))

    def given(self, values: Mapping[str, object]) -> None:
        """Say what the jobs are given: `jobs:` of fleet.yaml."""
        file = self.fleet / "fleet.yaml"
        file.write_text(f"{file.read_text()}jobs: {json.dumps(values)}\n")

    def enable(self, *names: str) -> None:
        with Store.open(self.where, at=self.clock.now()) as store:
            for name in names:
                store.loops.activate(name, True)

    def found(self) -> Found:
        return known_loops(self.fleet)[1]

    def own(self, name: str) -> Loop:
        return next(one for one in known_loops(self.fleet)[0] if one.name == name)

    def once(self, **options: object) -> Tally:
        """One `reconcile --once` with every job that is found."""
        self.wire.next_run()
        self.told = Told()
        opening = self._opening(open_live)
        return run_due(self._options(**options), self.told, self.clock, opening)

    def ran(self) -> dict[str, LoopResult]:
        """What one `reconcile --once` made of the own jobs alone."""
        ours = {loop.name for loop in built_in()}
        return {k: one for k, one in self.once().results.items() if k not in ours}

    def said(self) -> list[str]:
        return [one.text for one in self.told.events if isinstance(one, Remark)]


def own_lab(folder: Path, more: str = "") -> OwnLab:
    """A lab with a VM, whose fleet names `jobs/`."""
    files = fleet_files({"vm-0": ONE})
    head = files["fleet.yaml"]
    own = "handlers_dir: jobs\nschedule: {every: {process_vms: 0, collect_statistics: 0}}"
    made = OwnLab(folder, {**files, "fleet.yaml": f"{head}\n{own}\n{more}\n"})
    (made.fleet / "jobs").mkdir()
    return made
