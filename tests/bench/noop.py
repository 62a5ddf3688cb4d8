"""A tick that finds nothing to do: the real command, over HTTPS, on a settled fleet."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.sim.embedded import Embedded
from reconciler.sim.launch import ServeOptions
from reconciler.sim.samples import DEMO_SECRET
from tests.bench.fleets import served
from tests.bench.settled import Settled


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick's figures: processor seconds by phase, the whole process, and the last line."""

    phases: dict[str, float]
    cpu: float
    wall: float
    mebibytes: float
    said: str


@contextmanager
def serving(made: Settled, specs: int | None = None, speed: float = 1) -> Iterator[Path]:
    """Serve the fleet's cluster; yield the folder of the specs that name it."""
    options = ServeOptions(state=made.world, http_limits="fast", speed=speed)
    with Embedded(options) as child:
        count = made.count if specs is None else specs
        yield made.write_specs(count, served(child.url, child.fingerprint))


def run_timed(fleet: Path, made: Settled, *arguments: str) -> Tick:
    """One `reconcile --once` in a process of its own."""
    figures = made.folder / "figures.json"
    command = [sys.executable, "-m", "tests.bench.phases", str(figures), "--fleet", str(fleet)]
    environment = {**os.environ, "BENCH_TOKEN": DEMO_SECRET}
    child = subprocess.run(
        [*command, "--once", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stdout
    read = json.loads(figures.read_text())
    phases: dict[str, float] = read["phases"]
    last = child.stdout.strip().splitlines()[-1]
    return Tick(phases, read["cpu"], read["wall"], read["mebibytes"], last)


def settled_ticks(made: Settled, runs: int = 2) -> list[Tick]:
    """Run until warm, then `runs` times."""
    with serving(made) as fleet:
        run_timed(fleet, made, "--time-limit", "600")
        return [run_timed(fleet, made) for _ in range(runs)]
