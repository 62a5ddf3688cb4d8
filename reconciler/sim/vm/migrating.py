"""The qmigrate task: its checks, the copies of local volumes, and the change of node.

Sources: qemu-server PVE/QemuMigrate.pm (prepare, scan_local_volumes, phases 1 to 3),
pve-guest-common PVE/AbstractMigrate.pm.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from reconciler.sim.cluster.networks import bridges_of
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.cluster.traffic import keep_run
from reconciler.sim.errors import Refusal, TaskFailed
from reconciler.sim.parameters import options
from reconciler.sim.parameters.net import parse_net
from reconciler.sim.vm.carriage import copy_volumes, drop_copies, hand_over, scan
from reconciler.sim.vm.locks import load, take_flock
from reconciler.sim.vm.machine import Machine, check_lock
from reconciler.sim.vm.migration import (
    StorageMap,
    devices_of,
    need_content,
    on_storages,
)
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

MIB = 1 << 20
CONNECT_SECONDS = 3.0
MOVE_SECONDS = 2.0
START_SECONDS = 4.0
MEMORY_RATE = 1000 * MIB
DISK_RATE = 110 * MIB
"""Bytes a second over the simulated network: memory of a live migration, volumes."""

ABORTED = "migration aborted"
PROBLEMS = "migration problems"


def note(world: World, task: Task, text: str) -> None:
    """A log line as migrations write it, with date and time."""
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(world.now))
    for line in text.splitlines():
        task.say(f"{at} {line}")


def duration(world: World, task: Task) -> str:
    seconds = int(world.now - task.starttime)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def aborted(world: World, task: Task, text: str) -> TaskFailed:
    """The end of a migration that moved nothing."""
    line = text.rstrip("\n")
    note(world, task, f"ERROR: {ABORTED} (duration {duration(world, task)}): {line}")
    return TaskFailed(ABORTED)


@step("migrate.begin")
def begin(
    world: World,
    task: Task,
    vmid: int,
    target: str,
    places: dict[str, Any],
    local_disks: bool,
    force: bool,
    limit: int | None,
    address: str | None,
) -> list[Step]:
    """Every check before anything is copied; then the lock `migrate`."""
    machine = load(world, task.node, vmid)
    take_flock(world, machine, task)
    where = StorageMap(**places)
    try:
        prepare(world, task, machine, target, where, force)
    except Refusal as refusal:
        raise aborted(world, task, refusal.reason) from refusal
    if not world.nodes[target].online:
        return [Step("migrate.unreachable", {"target": target}, CONNECT_SECONDS)]
    if address is not None:
        text = f"use dedicated network address for sending migration traffic ({address})"
        note(world, task, text)
    node = world.nodes[target]
    note(world, task, f"starting migration of VM {vmid} to node '{target}' ({node.ip})")
    found = scan(world, machine, where, local_disks)
    for line in found.lines:
        note(world, task, line)
    if found.problem is not None:
        _clean_up(world, task, found.problem)
    machine.config["lock"] = "migrate"
    args = {"vmid": vmid, "target": target, "moves": found.moves, "limit": limit}
    task.on_fail = Step("migrate.undo", {"vmid": vmid, "target": target, "moves": found.moves})
    task.interrupted = ABORTED
    return [Step("migrate.copy", args)]


def prepare(
    world: World, task: Task, machine: Machine, target: str, where: StorageMap, force: bool
) -> None:
    """Raises Refusal with the reason why the VM cannot go."""
    check_lock(machine)
    devices = devices_of(world, machine)
    if devices.blocking:
        if machine.running or not force:
            names = ", ".join(devices.blocking)
            raise Refusal(500, f"can't migrate VM which uses local devices: {names}\n")
        note(world, task, "migrating VM which uses local devices")
    if devices.mapped:
        missing = ", ".join(devices.missing[target])
        if missing:
            raise Refusal(500, f"can't migrate to '{target}': missing mapped devices {missing}\n")
        if machine.running and devices.not_live:
            names = ", ".join(devices.not_live)
            text = f"can't live migrate running VM which uses following mapped devices: {names}\n"
            raise Refusal(500, text)
        note(world, task, "migrating VM which uses mapped local devices")
    for name, volid in on_storages(machine):
        store = storage.enabled_storage(world, name, machine.node)
        place = name if store.shared else where.target(name)
        content = storage.enabled_storage(world, place, target).content
        need_content(world, place, volid, content)


def _clean_up(world: World, task: Task, problem: str) -> None:
    note(world, task, f"ERROR: {problem}")
    note(world, task, "aborting phase 1 - cleanup resources")
    raise aborted(world, task, problem)


@step("migrate.unreachable")
def unreachable(world: World, task: Task, target: str) -> None:
    ip = world.nodes[target].ip
    command = "/usr/bin/ssh -e none -o 'BatchMode=yes'"
    note(world, task, f"# {command} -o 'HostKeyAlias={target}' root@{ip} /bin/true")
    note(world, task, f"ssh: connect to host {ip} port 22: No route to host")
    raise aborted(world, task, "Can't connect to destination address using public key")


@step("migrate.undo")
def undo(world: World, task: Task, vmid: int, target: str, moves: list[dict[str, Any]]) -> None:
    """What a failed migration leaves: the VM where it was, without lock, no copies."""
    machine = world.vm(vmid, task.node)
    if machine is not None and machine.lock == "migrate":
        del machine.config["lock"]
        drop_copies(world, target, moves)


@step("migrate.copy")
def copy(
    world: World,
    task: Task,
    vmid: int,
    target: str,
    moves: list[dict[str, Any]],
    limit: int | None,
) -> list[Step]:
    """Reserve the volumes on the target; how long the transfer takes follows from their size."""
    machine = load(world, task.node, vmid)
    try:
        copy_volumes(world, machine, target, moves)
    except Refusal as refusal:
        undo(world, task, vmid, target, moves)
        problem = refusal.reason.rstrip("\n")
        note(world, task, f"ERROR: {problem}")
        note(world, task, "aborting phase 1 - cleanup resources")
        raise aborted(world, task, problem) from refusal
    if moves:
        note(world, task, "copying local disk images")
    for one in moves:
        said = f"volume '{one['volid']}' is '{one['copy']}' on the target"
        note(world, task, said)
    rate = min(limit or DISK_RATE, DISK_RATE)
    seconds = MOVE_SECONDS + sum(int(one["bytes"]) for one in moves) / rate
    args: dict[str, Any] = {"vmid": vmid, "target": target, "moves": moves, "started": 0.0}
    if not machine.running:
        return [Step("migrate.finish", args, seconds)]
    note(world, task, f"starting VM {vmid} on remote node '{target}'")
    absent = missing_bridge(world, machine, target)
    if absent is not None:
        note(world, task, f"[{target}] bridge '{absent}' does not exist")
        return [Step("migrate.stuck", {"vmid": vmid, "target": target, "moves": moves}, 3.0)]
    memory = options.memory_of(machine.config.get("memory")) * MIB
    args["started"] = world.now + START_SECONDS / world.speed
    seconds += START_SECONDS + memory / min(limit or MEMORY_RATE, MEMORY_RATE)
    return [Step("migrate.finish", args, seconds)]


def missing_bridge(world: World, machine: Machine, target: str) -> str | None:
    """The first bridge of the VM that the target does not have."""
    there = bridges_of(world, target)
    for key in sorted(machine.config):
        if key in options.NET_KEYS:
            bridge = parse_net(str(machine.config[key])).options.get("bridge")
            if bridge is not None and bridge not in there:
                return bridge
    return None


@step("migrate.stuck")
def stuck(world: World, task: Task, vmid: int, target: str, moves: list[dict[str, Any]]) -> None:
    """The target could not start the VM: it runs on where it was."""
    text = "online migrate failure - remote command failed with exit code 255"
    note(world, task, f"ERROR: {text}")
    for line in ("aborting phase 2 - cleanup resources", "migrate_cancel"):
        note(world, task, line)
    undo(world, task, vmid, target, moves)
    ended = f"migration finished with problems (duration {duration(world, task)})"
    note(world, task, f"ERROR: {ended}")
    raise TaskFailed(PROBLEMS)


@step("migrate.finish")
def finish(
    world: World,
    task: Task,
    vmid: int,
    target: str,
    moves: list[dict[str, Any]],
    started: float,
) -> None:
    """The config file changes its node; a running VM goes on in a new process, whose counters
    and uptime begin anew."""
    machine = load(world, task.node, vmid)
    live = machine.running and started > 0
    if not world.nodes[target].online:
        undo(world, task, vmid, target, moves)
        raise aborted(world, task, "aborting")
    if live:
        note(world, task, "migration status: completed")
    hand_over(world, machine, target, moves)
    del machine.config["lock"]
    if live:
        started = min(started, world.now)
        keep_run(machine, started)
        machine.started_at = started
        machine.pid = task.pid + 30
        machine.taps.clear()
    text = f"migration finished successfully (duration {duration(world, task)})"
    note(world, task, text)
