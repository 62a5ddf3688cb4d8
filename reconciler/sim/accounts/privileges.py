"""What an identity's ACL entries, groups and pools add up to at a path.

Source: pve-access-control PVE/RPCEnvironment.pm (permissions, roles, compile_acl_path).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.sim.accounts.access import Access, Grant, Identity
    from reconciler.sim.world import World

ROOT = "root@pam"
TOP_PATHS = (
    "/",
    "/access",
    "/access/groups",
    "/nodes",
    "/pool",
    "/sdn",
    "/storage",
    "/vms",
)

Privileges = dict[str, int]
"""Privilege -> 1 when it propagates to deeper paths, else 0."""


def normal_path(path: str) -> str | None:
    """An ACL path without double or trailing slashes; None when it has odd characters."""
    path = re.sub(r"/+", "/", path)
    if not path.startswith("/"):
        path = "/" + path
    path = path.rstrip("/") or "/"
    return path if re.fullmatch(r"[a-zA-Z0-9.\-_/]+", path) else None


def prefixes(path: str) -> list[str]:
    """`/a/b` -> `/`, `/a`, `/a/b`."""
    if path == "/":
        return ["/"]
    parts = path.strip("/").split("/")
    return ["/"] + ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]


def _found(grants: Iterable[Grant], final: bool) -> dict[str, int] | None:
    new = {one.role: int(one.propagate) for one in grants if final or one.propagate}
    return new or None


def roles_at(access: Access, identity: Identity, path: str) -> dict[str, int]:
    """Role -> propagate flag at `path`, pools not considered. Deeper entries replace higher ones;
    entries for the user itself win over those of its groups at the same path."""
    if identity.token is not None:
        owner = access.users.get(identity.user)
        token = owner.tokens.get(identity.token) if owner else None
        if token is None:
            return {}
        if not token.privsep:
            return roles_at(access, replace(identity, token=None), path)
    kind = "user" if identity.token is None else "token"
    owner = access.users.get(identity.user)
    groups = owner.groups if owner is not None and identity.token is None else []
    roles: dict[str, int] = {}
    for prefix in prefixes(path):
        here = access.grants_at(prefix)
        final = prefix == path
        own = [one for one in here if one.kind == kind and one.who == str(identity)]
        theirs = [one for one in here if one.kind == "group" and one.who in groups]
        roles = _found(own, final) or _found(theirs, final) or roles
    return {"NoAccess": roles["NoAccess"]} if "NoAccess" in roles else roles


def _pool_roles(world: World, identity: Identity, path: str) -> dict[str, int]:
    """Roles that pools lend to the VM or storage at `path`."""
    _, _, kind = path.partition("/")
    kind, _, name = kind.partition("/")
    lent: dict[str, int] = {}
    if kind not in ("vms", "storage") or not name:
        return lent
    for pool_id, pool in world.pools.items():
        members = [str(vmid) for vmid in pool.vms] if kind == "vms" else pool.storages
        if name in members:
            lent |= dict.fromkeys(roles_at(world.access, identity, f"/pool/{pool_id}"), 1)
    return lent


def _compiled(world: World, identity: Identity, path: str) -> Privileges:
    access = world.access
    roles = dict(roles_at(access, identity, path))
    lent = _pool_roles(world, identity, path)
    if lent and "NoAccess" not in roles:
        roles = {"NoAccess": 0} if "NoAccess" in lent else dict.fromkeys(lent, 0) | roles
    privileges: Privileges = {}
    for role, propagate in roles.items():
        for privilege in access.roles.get(role, ()):
            privileges[privilege] = privileges.get(privilege) or propagate
    if identity.token is not None and identity.user != ROOT:
        owned = privileges_at(world, replace(identity, token=None), path)
        privileges = {
            name: int(bool(flag and owned[name]))
            for name, flag in privileges.items()
            if name in owned
        }
    return privileges


def privileges_at(world: World, identity: Identity, path: str) -> Privileges:
    """What the identity may do at an ACL path: the user's rights, or for a token with separated
    privileges the intersection of its own and its user's."""
    access = world.access
    if identity.root:
        return dict.fromkeys(access.roles["Administrator"], 1)
    if identity.token is not None:
        owner = access.users.get(identity.user)
        token = owner.tokens.get(identity.token) if owner else None
        if token is None:
            return {}
        if not token.privsep:
            return privileges_at(world, replace(identity, token=None), path)
    key = (str(identity), path)
    found = access.cache.get(key)
    if found is None:
        found = access.cache[key] = _compiled(world, identity, path)
    return found


def known_paths(world: World) -> list[str]:
    """Every path that GET /access/permissions lists: the top ones, ACL nodes, pool members."""
    paths = set(TOP_PATHS)
    for grant in world.access.grants:
        paths.update(prefixes(grant.path))
    for pool in world.pools.values():
        paths.update(f"/vms/{vmid}" for vmid in pool.vms)
        paths.update(f"/storage/{name}" for name in pool.storages)
    return sorted(paths)


def effective_permissions(world: World, identity: Identity) -> dict[str, Privileges]:
    """Path -> privileges, without the paths where there are none."""
    found = {path: privileges_at(world, identity, path) for path in known_paths(world)}
    return {path: owned for path, owned in found.items() if owned}
