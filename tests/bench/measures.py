"""Measure one thing after another on this machine and print a table of each.

Everything happens in scratch folders; simulated clusters are served on loopback and stopped.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from desired.files import FileSource
from reconciler.pve.inprocess import InProcessApi
from reconciler.sim.api import Simulator
from reconciler.sim.samples import FLEET_TOKEN, FLEET_USER
from reconciler.sim.state import StateFile
from state.store import Store
from tests.bench import serving as served_cluster
from tests.bench.clusters import settled_tick
from tests.bench.dns import lines as zones
from tests.bench.fleets import FIRST_VMID, simulated, write_fleet
from tests.bench.noop import Tick, run_timed, serving, settled_ticks
from tests.bench.quiet_zones import lines as quiet_zones
from tests.bench.settled import Settled, make_settled, roomy_world

Lines = Iterator[str]
DEPLOYED = 300
CLUSTERS, A_CLUSTER = 3, 1_000
RECONCILE = str(Path(sys.executable).with_name("reconcile"))
COUNTED = 5_000
"""Config reads that are timed."""


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        yield Path(folder)


@cache
def _kept() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="bench-")


@cache
def settled(count: int) -> Settled:
    """A settled fleet of that size, made once for all measures."""
    folder = Path(_kept().name) / str(count)
    folder.mkdir()
    return make_settled(folder, count)


def noop(sizes: Sequence[int]) -> Lines:
    """A tick that finds nothing to do, by phase."""
    ticks: dict[int, Tick] = {}
    for size in sizes:
        ticks[size] = min(settled_ticks(settled(size), 3), key=lambda tick: tick.cpu)
    yield "A tick that finds nothing to do (cpu seconds, the best of 3 runs)"
    yield _row("VMs", [f"{size:,}" for size in sizes])
    for phase in sorted(ticks[sizes[-1]].phases, key=lambda name: -ticks[sizes[-1]].phases[name]):
        yield _row(phase, [f"{ticks[size].phases.get(phase, 0):.2f}" for size in sizes])
    yield _row("whole process", [f"{ticks[size].cpu:.2f}" for size in sizes])
    yield _row("by the clock", [f"{ticks[size].wall:.2f}" for size in sizes])
    yield _row("peak MiB", [f"{ticks[size].mebibytes:.0f}" for size in sizes])
    for size in sizes:
        yield f"  {ticks[size].said}"


def clusters(_: Sequence[int]) -> Lines:
    """A tick that finds nothing to do in several clusters, side by side."""
    with scratch() as folder:
        tick = settled_tick(make_settled(folder, CLUSTERS * A_CLUSTER), CLUSTERS)
    yield f"{CLUSTERS} clusters of {A_CLUSTER:,} VMs: {tick.cpu:.2f} s of our processor, "
    yield f"  {tick.wall:.2f} s by the clock, {tick.mebibytes:.0f} MiB ({tick.said})"


def deploy(_: Sequence[int]) -> Lines:
    """New VMs by the real command over HTTPS, the cluster at its fastest."""
    with scratch() as folder:
        made = Settled(folder, DEPLOYED)
        with StateFile(made.world) as file:
            file.save(roomy_world())
        with serving(made, speed=100_000) as fleet:
            tick = run_timed(fleet, made, "--time-limit", "900")
    yield f"Deploying {DEPLOYED} VMs: {DEPLOYED / tick.wall:.1f} VMs/s by the clock, "
    yield f"  {1000 * tick.cpu / DEPLOYED:.0f} ms of our processor each ({tick.said})"


def specs(sizes: Sequence[int]) -> Lines:
    """Loading a folder of YAML in a process that has read none of it."""
    yield "Loading specs cold (cpu seconds)"
    times = []
    for size in sizes:
        with scratch() as folder:
            fleet = write_fleet(folder, size, simulated(), folder / "store.db")
            began = time.process_time()
            loaded = FileSource(fleet).load({}, datetime.now(UTC))
            times.append(time.process_time() - began)
            assert len(loaded.vms) == size, loaded.errors
    yield _row("VMs", [f"{size:,}" for size in sizes])
    yield _row("seconds", [f"{one:.2f}" for one in times])


def memories(sizes: Sequence[int]) -> Lines:
    """Reading everything that the store knows of every VM."""
    yield "Store: memories of all VMs (cpu seconds)"
    times = []
    for size in sizes:
        with Store.preview(str(settled(size).database), at=datetime.now(UTC)) as store:
            began = time.process_time()
            assert len(store.memories()) == size
            times.append(time.process_time() - began)
    yield _row("VMs", [f"{size:,}" for size in sizes])
    yield _row("seconds", [f"{one:.2f}" for one in times])


def simulator(sizes: Sequence[int]) -> Lines:
    """How fast the simulated cluster answers, without HTTP and as a server of the largest size."""
    with StateFile(settled(sizes[0]).world) as file:
        world = file.load()
    assert world is not None
    api = InProcessApi(Simulator(world, time.time), f"{FLEET_USER}!{FLEET_TOKEN}")
    node = world.vms[FIRST_VMID].node
    began = time.process_time()
    for _ in range(COUNTED):
        api.get(f"/nodes/{node}/qemu/{FIRST_VMID}/pending")
    spent = time.process_time() - began
    yield f"Simulator: {COUNTED / spent:,.0f} config reads/s in process"
    size = sizes[-1]
    served = served_cluster.measure(size, served_cluster.SECONDS if size > 100 else 0.2)
    yield f"Simulator as a server of {size:,} VMs, {served_cluster.CLIENTS} clients, limits off"
    yield _row("reads/s of a core", [f"{served.reads:,.0f}"])
    yield _row("peak MiB", [f"{served.mebibytes:.0f}"])
    yield _row("seconds to start", [f"{served.start:.1f}"])
    yield _row("a list of all, ms", [f"{1000 * served.first_list:.0f}"])
    yield _row("the next one, ms", [f"{1000 * served.next_list:.0f}"])


def start(_: Sequence[int]) -> Lines:
    """The command's own start, and a tick of the sample fleet that finds nothing to do."""
    yield f"python alone: {_took([sys.executable, '-c', ''], 9)}"
    yield f"reconcile --version: {_took([RECONCILE, '--version'], 9)}"
    with scratch() as folder:
        command = [RECONCILE, "--fleet", "desired/fleet"]
        command += ["--database", str(folder / "store.db"), "--once", "--quiet"]
        yield f"sample fleet, deployed, with its cluster: {_took(command, 1)}"
        yield f"sample fleet, nothing to do, with its cluster: {_took(command, 5)}"


def _took(command: Sequence[str], runs: int) -> str:
    """The medians by the clock and of the processor, of all its processes."""
    walls, processors = [], []
    for _ in range(runs):
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append(time.perf_counter() - began)
        processors.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    wall, processor = statistics.median(walls), statistics.median(processors)
    return f"{wall * 1000:.0f} ms by the clock, {processor * 1000:.0f} ms of the processor"


def _row(name: str, cells: Sequence[str]) -> str:
    return f"  {name:20}" + "".join(f"{cell:>10}" for cell in cells)


MEASURES: dict[str, Callable[[Sequence[int]], Lines]] = {
    "start": start,
    "noop": noop,
    "clusters": clusters,
    "deploy": deploy,
    "specs": specs,
    "memories": memories,
    "simulator": simulator,
    "dns": zones,
    "zones": quiet_zones,
}
