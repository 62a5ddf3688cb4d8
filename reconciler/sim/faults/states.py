"""States and events of the cluster that a fault brings about, and how they end."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity
from reconciler.sim.faults.fault import Fault
from reconciler.sim.ha.book import book
from reconciler.sim.vm.machine import Machine
from reconciler.sim.vm.power import switch_off, switch_on

if TYPE_CHECKING:
    from reconciler.sim.world import World

NOBODY = "daemon@pam"
LINES = 10_000
"""At most so many lines are written to overrun the log."""

Turn = Callable[["World", Fault, bool], None]


def named(where: dict[str, Any], name: str, what: str) -> Any:
    if name not in where:
        raise ValueError(f"there is no {what} {name!r}")
    return where[name]


def turn(world: World, fault: Fault, on: bool) -> None:
    """Begin or end a state, or do what an event does. ValueError when the fault names a VM, node,
    storage or user that is not there."""
    world.touch()
    TURNS[fault.kind](world, fault, on)


def check(world: World, fault: Fault) -> None:
    """Raises the ValueError of `turn` without doing anything."""
    if (
        fault.kind in ("lock", "stubborn-guest", "ha-move", "guest-off")
        and fault.vmid not in world.vms
    ):
        raise ValueError(f"there is no VM {fault.vmid}")
    if fault.kind in ("node-down", "node-dead", "slow-node", "node-maintenance", "ha-move"):
        named(world.nodes, fault.node, "node")
    if fault.kind == "broadcast-frozen" and fault.node:
        named(world.nodes, fault.node, "node")
    if fault.kind == "storage-full":
        named(world.storages, fault.storage, "storage")
    if fault.kind == "rights-withdrawn":
        named(world.access.users, Identity.parse(fault.user).user, "user")


def _down(world: World, fault: Fault, on: bool) -> None:
    node = world.nodes.get(fault.node)
    if node is not None:
        node.online, node.silent = not on, on and fault.silent
        _vote(world)


def _vote(world: World) -> None:
    """A cluster has quorum while more than half of its nodes see each other, and nothing else is
    said."""
    living = sum(node.online for node in world.nodes.values())
    split = any(one.kind == "quorum-lost" and one.on for one in world.faults)
    world.quorate = not split and 2 * living > len(world.nodes)


def _dead(world: World, fault: Fault, on: bool) -> None:
    """Power fails: the node's guests and workers are gone. When it is back it has booted, and has
    started the guests that are to start with it."""
    _down(world, fault, on)
    guests = [one for one in world.vms.values() if one.node == fault.node]
    if on:
        world.tasks.abandon(fault.node)
        for guest in guests:
            guest.status, guest.pid = "stopped", 0
    elif fault.node in world.nodes:
        world.nodes[fault.node].started_at = world.now
        for guest in guests:
            if guest.config.get("onboot") == 1 and not guest.template and guest.lock is None:
                switch_on(world, guest, 1000 + guest.vmid)


def _slow(world: World, fault: Fault, on: bool) -> None:
    """Calls look at the fault itself."""


def _quorum(world: World, fault: Fault, on: bool) -> None:
    if on:
        world.quorate = False
    else:
        _vote(world)


def _full(world: World, fault: Fault, on: bool) -> None:
    store = world.storages.get(fault.storage)
    if store is not None:
        store.full = on


def _lock(world: World, fault: Fault, on: bool) -> None:
    machine = world.vms.get(fault.vmid or 0)
    if machine is not None and on:
        machine.config["lock"] = fault.text
    elif machine is not None and machine.config.get("lock") == fault.text:
        del machine.config["lock"]


def _stubborn(world: World, fault: Fault, on: bool) -> None:
    machine = world.vms.get(fault.vmid or 0)
    if machine is not None:
        machine.stubborn = on


def _frozen(world: World, fault: Fault, on: bool) -> None:
    for name in [fault.node] if fault.node else list(world.nodes):
        if on:
            world.frozen.setdefault(name, world.seen_at)
        else:
            world.frozen.pop(name, None)
            world.vms.all_moved = True


def _rights(world: World, fault: Fault, on: bool) -> None:
    """Every grant of the user or token itself, at the ACL paths that match `text` (all without)."""
    access, who = world.access, fault.user
    if not on:
        access.grants += fault.kept
        fault.kept = []
    else:
        paths = "*" if fault.text == Fault("rights-withdrawn").text else fault.text
        fault.kept = [
            one for one in access.grants if one.who == who and fnmatch.fnmatchcase(one.path, paths)
        ]
        access.grants = [one for one in access.grants if one not in fault.kept]
    access.changed()


def _clock(world: World, fault: Fault, on: bool) -> None:
    world.skew += fault.seconds if on else -fault.seconds


def _ha_move(world: World, fault: Fault, on: bool) -> None:
    """HA recovers the VM on another node: a migration that nobody of ours asked for."""
    machine = world.vms.get(fault.vmid or 0)
    if on and machine is not None and machine.node != fault.node:
        world.tasks.start(machine.node, "qmigrate", machine.vmid, Identity("root@pam"), [])
        carry(world, machine, fault.node)


def carry(world: World, machine: Machine, node: str) -> None:
    """Move a VM with its local volumes; a running one is started anew."""
    local = [(at, one) for at, one in world.volumes.items() if at[0] == machine.node]
    for at, volume in local:
        if volume.vmid == machine.vmid:
            volume.node = node
            world.volumes[node, volume.volid] = world.volumes.pop(at)
    machine.node = node
    if machine.running:
        switch_on(world, machine, machine.pid + 1)


def _maintenance(world: World, fault: Fault, on: bool) -> None:
    """What `ha-manager crm-command node-maintenance enable NODE` does."""
    resting = book(world).maintenance
    if on and fault.node not in resting:
        resting.append(fault.node)
    elif not on and fault.node in resting:
        resting.remove(fault.node)


def _guest_off(world: World, fault: Fault, on: bool) -> None:
    """The guest powers off by itself."""
    machine = world.vms.get(fault.vmid or 0)
    if on and machine is not None and machine.running:
        switch_off(world, machine, Identity("root@pam"))


def _overrun(world: World, fault: Fault, on: bool) -> None:
    """Somebody else's lines push everything out of the ring."""
    last = world.next_uid - 1
    node = next(iter(world.nodes))
    for _ in range(LINES):
        if not world.logbook or world.logbook[0].uid > last or not on:
            return
        world.log(node, NOBODY, "pvedaemon", "successful auth for user 'root@pam'")


TURNS: dict[str, Turn] = {
    "lock": _lock,
    "stubborn-guest": _stubborn,
    "storage-full": _full,
    "node-down": _down,
    "node-dead": _dead,
    "slow-node": _slow,
    "node-maintenance": _maintenance,
    "quorum-lost": _quorum,
    "broadcast-frozen": _frozen,
    "rights-withdrawn": _rights,
    "clock-jump": _clock,
    "ha-move": _ha_move,
    "guest-off": _guest_off,
    "log-overrun": _overrun,
}
