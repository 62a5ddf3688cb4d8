"""Who asks and what they may do: users, groups, roles, ACLs, tokens, pools and the checks.

Sources: pve-access-control PVE/AccessControl.pm (roles), PVE/RPCEnvironment.pm (permissions,
exec_api2_perm_check).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.privileges import ROOT as ROOT
from reconciler.sim.accounts.privileges import Privileges, normal_path, privileges_at
from reconciler.sim.errors import Refusal, failed, forbidden
from reconciler.sim.record import DERIVED

if TYPE_CHECKING:
    from reconciler.sim.world import World


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, or one of its API tokens. `str()` is the name Proxmox logs and checks."""

    user: str
    token: str | None = None

    def __str__(self) -> str:
        return self.user if self.token is None else f"{self.user}!{self.token}"

    @property
    def root(self) -> bool:
        """root@pam with a ticket; its tokens are not root."""
        return self.token is None and self.user == ROOT

    @classmethod
    def parse(cls, text: str) -> Identity:
        user, mark, token = text.partition("!")
        return cls(user, token if mark else None)


@dataclass(slots=True)
class Token:
    """An API token; `secret` is what PVEAPIToken carries after the equals sign."""

    secret: str
    privsep: bool = True
    expire: int = 0
    comment: str | None = None


@dataclass(slots=True)
class User:
    """A user; `password` only for realm pve and for root@pam. Unset texts are None."""

    password: str | None = None
    enable: bool = True
    expire: int = 0
    firstname: str | None = None
    lastname: str | None = None
    email: str | None = None
    comment: str | None = None
    keys: str | None = None
    groups: list[str] = field(default_factory=list)
    tokens: dict[str, Token] = field(default_factory=dict)


@dataclass(slots=True)
class Group:
    """A group of users; membership is kept with the users."""

    comment: str | None = None


@dataclass(slots=True)
class Grant:
    """One ACL entry: `kind` is user, group or token, `who` its name without the leading @."""

    path: str
    kind: str
    who: str
    role: str
    propagate: bool = True


@dataclass(slots=True)
class Pool:
    """A pool with its VMs and storages."""

    comment: str | None = None
    vms: list[int] = field(default_factory=list)
    storages: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Access:
    """Everything of user.cfg but the pools. Call `changed()` after every write."""

    users: dict[str, User] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    roles: dict[str, list[str]] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)
    generation: int = 0
    cache: dict[tuple[str, str], Privileges] = field(default_factory=dict, metadata=DERIVED)

    def changed(self) -> None:
        """Forget what was computed; also to be called when pool membership changes."""
        self.generation += 1
        self.cache.clear()

    def grants_at(self, path: str) -> list[Grant]:
        return [grant for grant in self.grants if grant.path == path]

    def members(self, group: str) -> list[str]:
        return sorted(name for name, user in self.users.items() if group in user.groups)


def check(
    world: World,
    identity: Identity,
    path: str,
    privileges: Iterable[str],
    any: bool = False,
) -> None:
    """Raise 403 in Proxmox's words unless the identity has all (or any) privileges at `path`."""
    if identity.root:
        return
    owned = privileges_at(world, identity, path)
    if any:
        wanted = list(privileges)
        if not [one for one in wanted if one in owned]:
            raise forbidden(f"{path}, {'|'.join(wanted)}")
        return
    for privilege in privileges:
        if privilege not in owned:
            raise forbidden(f"{path}, {privilege}")


def allowed(
    world: World,
    identity: Identity,
    path: str,
    privileges: Iterable[str],
    any: bool = False,
) -> bool:
    """The same as a question."""
    try:
        check(world, identity, path, privileges, any)
    except Refusal:
        return False
    return True


def root_only(identity: Identity, what: str) -> None:
    """Raise 500 `only root can set 'lock' config` and the like; `what` is that text."""
    if not identity.root:
        raise failed(what)


def check_pool(world: World, pool: str) -> None:
    """A missing pool is a 403, not a 500."""
    if pool not in world.pools:
        raise forbidden(f"pool '{pool}' does not exist")


Permission = Callable[["World", Identity, Mapping[str, Any]], None]
"""A route's permission entry: raises 403 unless the call may go on. It sees raw parameters."""


def _template(path: str, params: Mapping[str, Any]) -> str:
    filled = re.sub(r"\{(\w+)\}", lambda match: str(params.get(match.group(1), "")), path)
    return normal_path(filled) or filled


def perm(path: str, *privileges: str, any: bool = False, require: str = "") -> Permission:
    """`check => ['perm', path, [privileges], any => 1, require_param => ...]`."""

    def verify(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
        if require and params.get(require) is None:
            raise forbidden()
        check(world, identity, _template(path, params), privileges, any)

    return verify


def both(*parts: Permission) -> Permission:
    """`['and', ...]`: the first that fails words the refusal."""

    def verify(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
        for part in parts:
            part(world, identity, params)

    return verify


def either(*parts: Permission) -> Permission:
    """`['or', ...]`: refused without a reason."""

    def verify(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
        for part in parts:
            try:
                part(world, identity, params)
            except Refusal:
                continue
            return
        raise forbidden()

    return verify


def all_users(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
    """`user => 'all'`: everyone with a ticket or token; the handler may check more."""


def open_to_world(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
    """`user => 'world'`: no ticket needed."""


def own_user(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
    """`['userid-param', 'self']`: the user itself. A token is not its user."""
    if params.get("userid") != str(identity):
        raise forbidden()
