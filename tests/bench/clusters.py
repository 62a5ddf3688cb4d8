"""A settled fleet over several clusters: one fleet is dealt out, a part to each of them."""

from contextlib import ExitStack
from pathlib import Path

from sqlalchemy import delete, update

from reconciler.sim.embedded import Embedded
from reconciler.sim.launch import ServeOptions
from reconciler.sim.state import StateFile
from state import tables
from state.database import Database
from tests.bench.fleets import FIRST_VMID, keys, served
from tests.bench.noop import Tick, run_timed
from tests.bench.settled import Settled


def settled_tick(made: Settled, count: int) -> Tick:
    """Deal the fleet out to `count` clusters, run until warm, then once more."""
    with ExitStack() as stack:
        entries = []
        for number in range(count):
            state = _world(made, number, count)
            options = ServeOptions(state=state, http_limits="fast", speed=1)
            child = stack.enter_context(Embedded(options))
            entries.append(f"c{number}: {served(child.url, child.fingerprint)}")
        fleet = _specs(made, entries)
        _store(made, count)
        run_timed(fleet, made, "--time-limit", "600")
        return run_timed(fleet, made)


def _part(made: Settled, number: int, count: int) -> range:
    size = made.count // count
    return range(number * size, (number + 1) * size)


def _world(made: Settled, number: int, count: int) -> Path:
    """The world of one cluster: that of all, without the VMs of the others."""
    with StateFile(made.world) as file:
        world = file.load()
    assert world is not None
    kept = {FIRST_VMID + one for one in _part(made, number, count)}
    for vmid in [one for one in world.vms if one >= FIRST_VMID and one not in kept]:
        del world.vms[vmid]
        world.firewall.pop(str(vmid), None)
    for at, volume in list(world.volumes.items()):
        if volume.vmid is not None and volume.vmid >= FIRST_VMID and volume.vmid not in kept:
            del world.volumes[at]
    world.touch()
    path = made.folder / f"c{number}" / "world.json"
    path.parent.mkdir()
    with StateFile(path) as file:
        file.save(world)
    return path


def _specs(made: Settled, entries: list[str]) -> Path:
    """The same VMs, each in its cluster."""
    fleet = made.write_specs(made.count, "{simulated: {nodes: 3}}")
    head = (fleet / "fleet.yaml").read_text()
    clusters = "\n".join(f"  {entry}" for entry in entries)
    head = head.replace("  demo: {simulated: {nodes: 3}}", clusters).replace("cluster: demo, ", "")
    copies = ", ".join(f"c{number}: [9000, 9001, 9002]" for number in range(len(entries)))
    head = head.replace("demo: [9000, 9001, 9002]", copies)
    (fleet / "fleet.yaml").write_text(head)
    every = keys(made.count)
    for number in range(len(entries)):
        lines = [
            f"{every[one]}: {{cluster: c{number}, package: small, tags: [web]}}\n"
            for one in _part(made, number, len(entries))
        ]
        (fleet / "vms" / f"c{number}.yaml").write_text("".join(lines))
    for old in (fleet / "vms").glob("web-*.yaml"):
        old.unlink()
    return fleet


def _store(made: Settled, count: int) -> None:
    database, every = Database.file(made.database), keys(made.count)
    with database.writing("deal out a fleet") as link:
        link.execute(delete(tables.cache))
        for number in range(count):
            part = _part(made, number, count)
            mine = tables.bindings.c.key.between(every[part[0]], every[part[-1]])
            link.execute(update(tables.bindings).where(mine).values(cluster=f"c{number}"))
    database.close()
