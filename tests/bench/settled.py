"""A settled fleet of any size in seconds: one VM is deployed, the others are stamped from it.

World and store are multiplied alike, then the engine looks at all of it once, in process: only a
fleet in which it finds nothing to write is used.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

from sqlalchemy import insert, select

from reconciler.config import Opened, open_live
from reconciler.loop import run_once
from reconciler.options import RunOptions
from reconciler.pve.inprocess import InProcessApi
from reconciler.report import Event, Summary
from reconciler.sim.api import Simulator
from reconciler.sim.cluster.inventory import Volume
from reconciler.sim.samples import FLEET_TOKEN, FLEET_USER, demo_world
from reconciler.sim.state import StateFile
from reconciler.sim.vm.machine import Machine
from reconciler.sim.world import World
from state import tables
from state.database import Database
from tests.bench.fleets import FIRST_VMID, keys, simulated, write_fleet

ROOMY = 10**17
"""Bytes of a storage and of a node's memory that any fleet fits in."""

COPIED = (tables.bindings, tables.leases, tables.fingerprints, tables.secrets, tables.conditions)


class _Api(InProcessApi):
    trace: Callable[[str, str, float, int], None] | None = None


class _Opened(Opened):
    simulator: Simulator

    def connect(self, name: str) -> _Api:
        return _Api(self.simulator, f"{FLEET_USER}!{FLEET_TOKEN}")


class _Deaf:
    def report(self, *events: Event) -> None:
        """Nobody listens."""


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a settled fleet lies: its specs, its store, the world of its cluster."""

    folder: Path
    count: int

    @property
    def database(self) -> Path:
        return self.folder / "store.db"

    @property
    def world(self) -> Path:
        return self.folder / "world.json"

    def write_specs(self, count: int, cluster: str) -> Path:
        return write_fleet(self.folder, count, cluster, self.database)


def make_settled(folder: Path, count: int) -> Settled:
    """Make a fleet of `count` VMs in an empty folder; AssertionError if it is not settled."""
    made = Settled(folder, count)
    world = roomy_world()
    made.write_specs(1, simulated())
    while not (first := _run(made, world)).ready:
        assert not first.failed, first
    _multiply_world(world, made)
    _multiply_store(made)
    made.write_specs(count, simulated())
    looked = _run(made, world)
    assert (looked.ready, looked.writes) == (count, 0), looked
    with StateFile(made.world) as file:
        file.save(world)
    return made


def roomy_world(speed: float = 100_000) -> World:
    """The demo cluster, with room for any number of VMs."""
    world = demo_world(time.time() - 3600, nodes=3, speed=speed)
    for node in world.nodes.values():
        node.memory = ROOMY
    for storage in world.storages.values():
        storage.size = ROOMY
    return world


def _run(made: Settled, world: World) -> Summary:
    @contextmanager
    def opening(folder: Path, database: str | None, at: datetime | None) -> Iterator[Opened]:
        with open_live(folder, database, at) as real:
            ours = _Opened(real.fleet, real.store, real.database, real.preview, real.stack)
            ours.simulator = Simulator(world, time.time)
            yield ours

    options = RunOptions(made.folder / "fleet", str(made.database), time_limit=3600)
    return run_once(options, _Deaf(), opening=opening)


def _stamp(key: str, number: int) -> dict[str, str]:
    """What differs between the first VM and another, beside its addresses."""
    return {
        keys(1)[0]: key,
        str(FIRST_VMID): str(FIRST_VMID + number),
    }


def _multiply_world(world: World, made: Settled) -> None:
    first = world.vms[FIRST_VMID]
    first.holds = []
    firewall = world.firewall[str(FIRST_VMID)]
    volumes = [(at, one) for at, one in world.volumes.items() if one.vmid == FIRST_VMID]
    text = json.dumps([first.dump(), firewall, [(at, _plain(one)) for at, one in volumes]])
    for number, key in enumerate(keys(made.count)):
        if not number:
            continue
        words = _stamp(key, number) | _identity(text, number)
        machine, rules, copies = json.loads(_replaced(text, words))
        world.vms[FIRST_VMID + number] = Machine.load(machine)
        world.firewall[str(FIRST_VMID + number)] = rules
        for at, volume in copies:
            world.volumes[at[0], at[1]] = Volume(**volume)
    world.touch()


def _plain(volume: Volume) -> dict[str, object]:
    return {name: getattr(volume, name) for name in Volume.__slots__}


def _identity(text: str, number: int) -> dict[str, str]:
    """The first VM's uuid, MAC and addresses, and those of VM `number`."""
    found = re.search(r'"smbios1": "uuid=([0-9a-f-]{36})', text)
    mac = re.search(r"virtio=([0-9A-F:]{17})", text)
    pair = re.search(r"ip=([0-9.]+)/12.*?ip6=([0-9a-f:]+)/64", text)
    assert found and mac and pair, text
    digits = f"{number:06X}"
    return {
        found[1]: _uuid(found[1], number),
        mac[1]: f"BC:24:12:{digits[:2]}:{digits[2:4]}:{digits[4:]}",
        pair[1]: _address(pair[1], number),
        pair[2]: _address(pair[2], number),
    }


def _uuid(first: str, number: int) -> str:
    return f"{first[:-12]}{number:012x}"


def _address(first: str, number: int) -> str:
    return str(ip_address(first) + number)


def _replaced(text: str, words: Mapping[str, str]) -> str:
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.sub(rf"(?<![0-9A-Za-z:])(?:{pattern})(?![0-9A-Za-z:])", lambda m: words[m[0]], text)


def _multiply_store(made: Settled) -> None:
    database = Database.file(made.database)
    with database.writing("stamp a fleet") as link:
        for table in COPIED:
            rows = [row._asdict() for row in link.execute(select(table))]
            copies = [_copy(row, key, n) for n, key in enumerate(keys(made.count)) for row in rows]
            if copies[len(rows) :]:
                link.execute(insert(table), copies[len(rows) :])
    database.close()


def _copy(row: Mapping[str, object], key: str, number: int) -> dict[str, object]:
    fresh = dict(row) | {"key": key}
    if "vmid" in row:
        fresh |= {"vmid": FIRST_VMID + number, "name": key, "uuid": _uuid(str(row["uuid"]), number)}
    if "address" in row:
        fresh["address"] = _address(str(row["address"]), number)
    return fresh
