"""Keys of adopted VMs, and the packages that they share: what most of a kind agree on."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from desired.shelf import NAME
from desired.spec import VMSpec
from reconciler.adopt.tree import beyond, leaves
from reconciler.express.patch import Path, put
from reconciler.express.words import Tree

SHARED = frozenset(
    {
        *("cpu", "memory", "balloon", "disks", "nics", "bios", "machine", "ostype", "efi", "tpm"),
        *("scsihw", "vga", "rng", "serials", "boot", "agent", "template", "config"),
    }
)
"""What a package may say of its VMs."""

LEAST = 3
"""So many VMs of one size make a package."""

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Kinds:
    """Packages by name, and each VM's own entry by key; `of` names the package of each key."""

    packages: Mapping[str, Tree]
    entries: Mapping[str, Tree]
    of: Mapping[str, str] = field(default_factory=dict)


def keyed(names: Mapping[Place, str], taken: Collection[str]) -> dict[Place, str]:
    """Return a key for each VM by its Proxmox name, made legal; one that two have gets the vmid."""
    legal = {place: _legal(name) or f"vm-{place[1]}" for place, name in names.items()}
    counts = Counter(name.lower() for name in legal.values())
    held = {key.partition("/")[0].lower() for key in taken}
    found: dict[Place, str] = {}
    for place, name in sorted(legal.items()):
        cluster, vmid = place
        tries = (name, f"{name}-{vmid}", f"{name}-{vmid}-{cluster}", f"vm-{vmid}-{cluster}")
        free = [one for one in tries if one.lower() not in held]
        if counts[name.lower()] > 1:
            free = [one for one in free if one != name]
        key = next((one for one in free if NAME.fullmatch(one)), f"vm-{vmid}-{len(held)}")
        held.add(key.lower())
        found[place] = key
    return found


def _legal(name: str) -> str:
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9]+$", "", re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:80])


def kinds_of(trees: Mapping[str, tuple[str, Tree]], taken: Collection[str]) -> Kinds:
    """Return packages of what VMs of one cluster and size share, and what each VM says beside.

    `trees` are (cluster, whole tree) by key; `taken` are the packages that there are.
    """
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for key, (cluster, tree) in sorted(trees.items()):
        size = json.dumps([tree.get("cpu"), tree.get("memory")], sort_keys=True)
        groups[cluster, size].append(key)
    packages: dict[str, Tree] = {}
    of: dict[str, str] = {}
    for _, keys in sorted(groups.items()):
        if len(keys) < LEAST:
            continue
        name = _named(trees[keys[0]][1], {*taken, *packages})
        packages[name] = in_order(_agreed([trees[key][1] for key in keys]))
        of |= dict.fromkeys(keys, name)
    entries = {key: _entry(tree, of.get(key), packages) for key, (_, tree) in trees.items()}
    return Kinds(packages, entries, of)


def _agreed(trees: Sequence[Tree]) -> Tree:
    """Return what more than half of the trees say of what a package may say."""
    counts: Counter[str] = Counter()
    values: dict[str, tuple[Path, object]] = {}
    for tree in trees:
        for path, value in leaves({name: one for name, one in tree.items() if name in SHARED}):
            if path[0] == "nics" and path[2:3] in (("ipv4",), ("ipv6",)):
                continue
            spelt = json.dumps([path, value])
            counts[spelt] += 1
            values[spelt] = path, value
    found: Tree = {}
    for spelt, count in sorted(counts.items()):
        if count * 2 > len(trees):
            put(found, *values[spelt])
    return _sound(found)


def _sound(package: Tree) -> Tree:
    """Leave out disks of which only a part is shared: a disk without a size is none."""
    disks = package.get("disks")
    if isinstance(disks, dict):
        kept = {
            slot: disk
            for slot, disk in disks.items()
            if slot == "system" or (isinstance(disk, dict) and "size" in disk)
        }
        package = {**package, "disks": kept}
    return {name: value for name, value in package.items() if value != {}}


def _named(tree: Tree, taken: Collection[str]) -> str:
    cpu = tree.get("cpu")
    cpu = cpu if isinstance(cpu, dict) else {}
    cores = int(cpu.get("cores") or 1) * int(cpu.get("sockets") or 1)
    base = f"adopted-{cores}c-{tree.get('memory')}".lower()
    base = re.sub(r"[^a-z0-9.-]+", "-", base).strip("-.")
    number = 1
    while (name := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return name


def _entry(tree: Tree, package: str | None, packages: Mapping[str, Tree]) -> Tree:
    if package is None:
        return in_order(tree)
    return in_order({**beyond(tree, packages[package]), "package": package})


def in_order(tree: Tree) -> Tree:
    """Return the tree with its keys as a spec has them, what says whose VM it is in front."""
    first = ("adopt", "cluster", "package", "drift", "name")
    order = {name: place for place, name in enumerate((*first, *VMSpec.model_fields))}
    for place, name in enumerate(first):
        order[name] = place - len(first)
    return dict(sorted(tree.items(), key=lambda row: (order.get(row[0], len(order)), row[0])))
