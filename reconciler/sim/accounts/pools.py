"""Pools: named sets of VMs and storages that rights can be given on; `a/b` lies in `a`.

The `/pools/{poolid}` forms are the older ones and cannot name nested pools.
"""

from collections.abc import Callable

from reconciler.sim.accounts.access import ROOT, Identity, Pool, allowed, check, perm
from reconciler.sim.accounts.access import all_users as everyone
from reconciler.sim.accounts.rights import modify_permissions
from reconciler.sim.accounts.user_config import writing
from reconciler.sim.cluster import broadcast, resources
from reconciler.sim.errors import failed
from reconciler.sim.parameters.formats import pool_id, storage_id, vm_id
from reconciler.sim.parameters.schema import Boolean, Field, Text, split_list
from reconciler.sim.routes import Handler, Json, Request, route
from reconciler.sim.world import World

_POOL = Text(format=pool_id)
_TYPES = ("qemu", "lxc", "storage")
_CHANGE: dict[str, Field] = {
    "poolid": _POOL,
    "comment": Text(optional=True),
    "vms": Text(optional=True, list_of=vm_id),
    "storage": Text(optional=True, list_of=storage_id),
    "delete": Boolean(optional=True),
    "allow-move": Boolean(optional=True),
}
_MAY_WRITE = perm("/pool/{poolid}", "Pool.Allocate")


def _existing(world: World, name: str) -> Pool:
    if name not in world.pools:
        raise failed(f"pool '{name}' does not exist")
    return world.pools[name]


def _row(name: str, pool: Pool) -> dict[str, Json]:
    row: dict[str, Json] = {"poolid": name}
    return row if pool.comment is None else {**row, "comment": pool.comment}


def _vm_member(world: World, vmid: int) -> dict[str, Json]:
    row = resources.vm_row(world, world.vms[vmid])
    return {key: value for key, value in row.items() if key not in ("lock", "tags")}


def members(world: World, pool: Pool, kind: str | None) -> list[dict[str, Json]]:
    """The pool's VMs and storages that exist, as rows of /cluster/resources."""
    broadcast.catch_up(world)
    rows = []
    if kind in (None, "qemu"):
        rows += [_vm_member(world, vmid) for vmid in pool.vms if vmid in world.vms]
    if kind in (None, "storage"):
        found = {row["storage"]: row for row in _storage_rows(world)}
        rows += [found[name] for name in pool.storages if name in found]
    return rows


def _storage_rows(world: World) -> list[dict[str, Json]]:
    """One row per storage, that of the first node last."""
    return list(reversed(resources.storage_rows(world, Identity(ROOT))))


@route(
    "GET",
    "/pools",
    fields={
        "poolid": Text(optional=True, format=pool_id),
        "type": Text(optional=True, enum=_TYPES, requires="poolid"),
    },
    permission=everyone,
)
def list_pools(world: World, request: Request) -> Json:
    """The pools that the caller may audit; one named pool comes with its members."""
    name = request.params.get("poolid")
    if name is not None:
        check(world, request.identity, f"/pool/{name}", ["Pool.Audit"])
        pool = _existing(world, name)
        kind = request.params.get("type")
        return [{**_row(name, pool), "members": members(world, pool, kind)}]
    return [
        _row(name, world.pools[name])
        for name in sorted(world.pools)
        if allowed(world, request.identity, f"/pool/{name}", ["Pool.Audit"])
    ]


@route(
    "GET",
    "/pools/{poolid}",
    fields={"poolid": _POOL, "type": Text(optional=True, enum=_TYPES)},
    permission=perm("/pool/{poolid}", "Pool.Audit"),
)
def read_pool(world: World, request: Request) -> Json:
    """One pool with its members."""
    name = request.params["poolid"]
    pool = _existing(world, name)
    return {**_row(name, pool), "members": members(world, pool, request.params.get("type"))}


@route(
    "POST",
    "/pools",
    fields={"poolid": _POOL, "comment": Text(optional=True)},
    permission=_MAY_WRITE,
    protected=True,
)
def add_pool(world: World, request: Request) -> Json:
    """Add an empty pool; the pool it is to lie in must be there."""
    name = request.params["poolid"]
    parent, nested, _ = name.rpartition("/")
    with writing(world, "create pool failed"):
        if name in world.pools:
            raise failed(f"pool '{name}' already exists")
        if nested and parent not in world.pools:
            raise failed(f"parent '{parent}' of pool '{name}' does not exist")
        world.pools[name] = Pool(request.params.get("comment") or None)


def _on_both_forms(method: str, fields: dict[str, Field]) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for path in ("/pools", "/pools/{poolid}"):
            route(method, path, fields=fields, permission=_MAY_WRITE, protected=True)(handler)
        return handler

    return register


@_on_both_forms("PUT", _CHANGE)
def change_pool(world: World, request: Request) -> Json:
    """Add or remove members, all of them or none; ids of VMs that do not exist are taken too."""
    name, given = request.params["poolid"], request.params
    with writing(world, "update pools failed"):
        pool = _existing(world, name)
        vms, storages = list(pool.vms), list(pool.storages)
        leaving: list[tuple[Pool, int]] = []
        for vmid in map(int, split_list(given.get("vms") or "")):
            modify_permissions(world, request.identity, f"/vms/{vmid}")
            leaving += _change_vms(world, request, vms, vmid)
        for storage in split_list(given.get("storage") or ""):
            modify_permissions(world, request.identity, f"/storage/{storage}")
            _change_storages(request, storages, storage)
        if given.get("comment") is not None:
            pool.comment = given["comment"] or None
        for other, vmid in leaving:
            other.vms.remove(vmid)
        pool.vms, pool.storages = vms, storages


def _change_vms(
    world: World, request: Request, vms: list[int], vmid: int
) -> list[tuple[Pool, int]]:
    """Change the list; returns the other pool that the VM moves out of, if any."""
    if request.params.get("delete"):
        if vmid not in vms:
            raise failed(f"VM {vmid} is not a pool member")
        vms.remove(vmid)
        return []
    if vmid in vms:
        raise failed(f"VM {vmid} is already a pool member")
    vms.append(vmid)
    elsewhere = world.pool_of(vmid)
    if elsewhere is None:
        return []
    if not request.params.get("allow-move"):
        text = f"VM {vmid} belongs already to pool '{elsewhere}' and 'allow-move' is not set"
        raise failed(text)
    check(world, request.identity, f"/pool/{elsewhere}", ["Pool.Allocate"])
    return [(world.pools[elsewhere], vmid)]


def _change_storages(request: Request, storages: list[str], storage: str) -> None:
    if request.params.get("delete"):
        if storage not in storages:
            raise failed(f"Storage '{storage}' is not a pool member")
        storages.remove(storage)
        return
    if storage in storages:
        raise failed(f"Storage '{storage}' is already a pool member")
    storages.append(storage)


@_on_both_forms("DELETE", {"poolid": _POOL})
def remove_pool(world: World, request: Request) -> Json:
    """Remove an empty pool and the ACL entries on it; members that are gone do not count."""
    name = request.params["poolid"]
    with writing(world, "delete pool failed"):
        pool = _existing(world, name)
        content = [f"pool {one}" for one in sorted(world.pools) if one.startswith(f"{name}/")]
        content += [f"VM {vmid}" for vmid in pool.vms if vmid in world.vms]
        content += [f"storage '{one}'" for one in pool.storages if one in world.storages]
        if content:
            raise failed(f"pool '{name}' is not empty (contains {content[0]})")
        del world.pools[name]
        grants = world.access.grants
        grants[:] = [grant for grant in grants if grant.path != f"/pool/{name}"]


def join_pool(world: World, vmid: int, name: str) -> None:
    """What create and clone with `pool` do; the VM leaves the pool it was in."""
    for pool in world.pools.values():
        pool.vms = [one for one in pool.vms if one != vmid]
    world.pools[name].vms.append(vmid)
    world.access.changed()


def forget_vm(world: World, vmid: int) -> None:
    """What a destroy does: the VM leaves its pool, and the ACL entries on it go."""
    for pool in world.pools.values():
        pool.vms = [one for one in pool.vms if one != vmid]
    grants = world.access.grants
    grants[:] = [grant for grant in grants if grant.path != f"/vms/{vmid}"]
    world.access.changed()
