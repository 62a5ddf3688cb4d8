"""Nodes, storages and what lies on them, as an inventory tells."""

from __future__ import annotations

import re

from reconciler.sim.cluster.inventory import GIB, Bridge, Node, Storage, Volume
from reconciler.sim.copied.answers import Answers, Row, split
from reconciler.sim.samples import fingerprint
from reconciler.sim.world import World

_OWN = frozenset({"storage", "type", "content", "nodes", "shared", "digest"})
_VERSION = re.compile(r"pve-manager/(\d+\.\d+(?:\.\d+)?)")


def add_nodes(world: World, answers: Answers) -> None:
    """Every node that the cluster's status names, with what `/nodes/N/...` tells of it."""
    sizes = {str(row["node"]): row for row in answers.resources("node")}
    known = [row for row in answers.rows("/cluster/status") if row.get("type") == "node"]
    version = str(answers.mapping("/version").get("version") or "8.4.1")
    for position, row in enumerate(sorted(known, key=lambda one: str(one["name"])), start=1):
        name = str(row["name"])
        size, base = sizes.get(name, {}), f"/nodes/{name}"
        status, dns = answers.mapping(f"{base}/status"), answers.mapping(f"{base}/dns")
        found = _VERSION.search(str(status.get("pveversion") or ""))
        world.nodes[name] = Node(
            name,
            int(row.get("nodeid") or position),
            str(row.get("ip") or f"192.0.2.{position}"),
            cpus=int(size.get("maxcpu") or 1),
            memory=int(size.get("maxmem") or GIB),
            root_size=int(size.get("maxdisk") or GIB),
            version=found[1] if found else version,
            started_at=world.now - 86400,
            online=bool(row.get("online")),
            fingerprint=fingerprint(name),
            search=str(dns.get("search") or "example.invalid"),
            nameserver=str(dns.get("dns1") or "192.0.2.53"),
            bridges=[_bridge(one) for one in answers.rows(f"{base}/network")],
        )


def _bridge(row: Row) -> Bridge:
    return Bridge(
        str(row["iface"]),
        str(row.get("type") or "bridge"),
        row.get("cidr"),
        row.get("gateway"),
        str(row.get("bridge_ports") or ""),
        bool(row.get("bridge_vlan_aware")),
    )


def add_storages(world: World, answers: Answers) -> None:
    """Every storage of storage.cfg, its size as the first node that has it shows it."""
    shown: dict[str, Row] = {}
    for row in answers.resources("storage"):
        shown.setdefault(str(row["storage"]), row)
    for row in answers.rows("/storage"):
        name = str(row["storage"])
        seen = shown.get(name, {})
        world.storages[name] = Storage(
            name,
            str(row["type"]),
            split(seen.get("content") or row.get("content")),
            int(seen.get("maxdisk") or 0),
            shared=bool(row.get("shared") or seen.get("shared")),
            nodes=split(row["nodes"]) if row.get("nodes") else None,
            options={str(key): str(value) for key, value in row.items() if key not in _OWN},
        )
    _add_volumes(world, answers)
    for name, storage in world.storages.items():
        _fill(
            world, storage, [row for row in answers.resources("storage") if row["storage"] == name]
        )


def _fill(world: World, storage: Storage, rows: list[Row]) -> None:
    """Let each copy of the storage be as full as it was.

    What all copies hold beside listed volumes is the storage's own; the rest, for some kinds list
    no used bytes, is laid upon the biggest volume.
    """
    held = {str(row["node"]): world.storage_volumes(str(row["node"]), storage.name) for row in rows}
    rest = {
        str(row["node"]): int(row.get("disk") or 0)
        - sum(one.used for one in held[str(row["node"])])
        for row in rows
    }
    storage.used = max(0, min(rest.values(), default=0))
    for node, volumes in held.items():
        biggest = max(volumes, key=lambda one: one.size, default=None)
        if biggest is not None and (storage.shared is False or node == next(iter(held))):
            biggest.used += max(0, rest[node] - storage.used)


def _add_volumes(world: World, answers: Answers) -> None:
    for path in sorted(answers.by_path):
        _, _, node, kind, *rest = (*path.split("/"), "", "", "")
        if kind != "storage" or rest[1:2] != ["content"] or rest[0] not in world.storages:
            continue
        place = "" if world.storages[rest[0]].shared else node
        for row in answers.rows(path):
            volume = _volume(row, place)
            world.volumes[place, volume.volid] = volume


def _volume(row: Row, place: str) -> Volume:
    size, content = int(row.get("size") or 0), str(row.get("content") or "images")
    return Volume(
        str(row["volid"]),
        place,
        content,
        str(row.get("format") or "raw"),
        size,
        vmid=int(row["vmid"]) if row.get("vmid") else None,
        used=int(row.get("used") or 0) if content == "images" else size,
        ctime=int(row.get("ctime") or 0),
        parent=_base(str(row["volid"]), str(row.get("parent") or "")),
        notes=row.get("notes"),
        protected=bool(row.get("protected")),
    )


def _base(volid: str, parent: str) -> str | None:
    """The volid of a linked clone's base, which a listing names without its storage."""
    return f"{volid.partition(':')[0]}:{parent.removeprefix('../')}" if parent else None
