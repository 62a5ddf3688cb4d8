"""Put a world together from an inventory (`reconcile simulate --from FILE`).

Users, roles and tokens are not in an inventory: the copy has those of a demo cluster.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.sim.accounts.access import Pool
from reconciler.sim.cluster import broadcast
from reconciler.sim.cluster.mapped import KINDS, Mapping, mappings
from reconciler.sim.cluster.networks import Section, networks
from reconciler.sim.copied.answers import Answers, picked
from reconciler.sim.copied.ground import add_nodes, add_storages
from reconciler.sim.copied.guests import add_guests
from reconciler.sim.ha.book import Group, Resource, Rule, Service, book, sid_of
from reconciler.sim.launch import DEMO_SECRET
from reconciler.sim.samples import add_fleet_user, empty_world
from reconciler.sim.world import World


def copied_world(file: Path, now: float, speed: float = 60.0, seed: int = 0) -> World:
    """The cluster that the inventory tells of. Raises ValueError for a file that is none."""
    answers = Answers.read(file)
    world = empty_world(now, seed, DEMO_SECRET)
    world.speed = speed
    add_fleet_user(world)
    for row in answers.rows("/cluster/status"):
        if row.get("type") == "cluster":
            world.name, world.quorate = str(row["name"]), bool(row.get("quorate", 1))
    world.options = dict(answers.mapping("/cluster/options"))
    add_nodes(world, answers)
    if not world.nodes:
        raise ValueError(f"{file}: it names no node")
    add_storages(world, answers)
    add_guests(world, answers)
    _add_pools(world, answers)
    _add_mappings(world, answers)
    _add_networks(world, answers)
    _add_ha(world, answers)
    world.touch()
    broadcast.announce(world)
    return world


def _add_pools(world: World, answers: Answers) -> None:
    for row in answers.rows("/pools"):
        world.pools[str(row["poolid"])] = Pool(row.get("comment"))
    for row in answers.rows("/cluster/resources"):
        pool = world.pools.get(str(row.get("pool") or ""))
        if pool is not None and row.get("type") == "qemu":
            pool.vms.append(int(row["vmid"]))
        elif pool is not None and row.get("type") == "storage":
            pool.storages.append(str(row["storage"]))


def _add_mappings(world: World, answers: Answers) -> None:
    held = mappings(world)
    for kind in KINDS:
        for row in answers.rows(f"/cluster/mapping/{kind}"):
            held.of(kind)[str(row["id"])] = Mapping(
                [str(one) for one in row.get("map") or ()],
                row.get("description"),
                row.get("mdev"),
                row.get("live-migration-capable"),
            )


def _add_networks(world: World, answers: Answers) -> None:
    held = networks(world)
    for kind, id_key in (("zones", "zone"), ("vnets", "vnet")):
        for row in answers.rows(f"/cluster/sdn/{kind}"):
            section: Section = {
                key: value for key, value in row.items() if key not in (id_key, "digest", "state")
            }
            held.written.of(kind)[str(row[id_key])] = section
            held.running.of(kind)[str(row[id_key])] = dict(section)


def _add_ha(world: World, answers: Answers) -> None:
    held = book(world)
    for row in answers.rows("/cluster/ha/groups"):
        fields = picked(row, ("restricted", "nofailback", "comment"))
        held.groups[str(row["group"])] = Group(str(row["nodes"]), **fields)
    for row in answers.rows("/cluster/ha/rules"):
        fields = picked(row, ("nodes", "strict", "affinity", "disable", "comment"))
        held.rules[str(row["rule"])] = Rule(str(row["type"]), str(row["resources"]), **fields)
    for row in answers.rows("/cluster/ha/resources"):
        names = ("state", "group", "max_restart", "max_relocate", "failback", "comment")
        held.resources[str(row["sid"])] = Resource(**picked(row, names))
    held.maintenance = [
        str(row["node"]) for row in answers.resources("node") if row.get("hastate") == "maintenance"
    ]
    for row in answers.resources("qemu"):
        if row.get("hastate"):
            sid = sid_of(int(row["vmid"]))
            held.services[sid] = Service(str(row["hastate"]), str(row["node"]), settled=True)
