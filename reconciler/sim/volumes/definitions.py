"""/storage: what storages there are, as storage.cfg defines them.

Sources: pve-storage PVE/API2/Storage/Config.pm, PVE/Storage/Plugin.pm, pve-common
PVE/SectionConfig.pm (check_config).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import all_users, perm
from reconciler.sim.cluster.inventory import GIB, Storage
from reconciler.sim.errors import Refusal, failed
from reconciler.sim.parameters.formats import DIGEST, config_id, storage_id
from reconciler.sim.parameters.schema import Field, Text, split_list
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.volumes.kinds import KINDS, OTHERS
from reconciler.sim.volumes.settings import FLAGS, NUMBERS, setting
from reconciler.sim.volumes.storages import find, sees

if TYPE_CHECKING:
    from reconciler.sim.world import World

ALLOCATE = perm("/storage", "Datastore.Allocate")
ONE = "/storage/{storage}"
MODIFIED = "detected modified configuration - file changed by other user? Try again.\n"
NEW_SIZE = 1024 * GIB
"""Bytes of a storage that was added by a call: the cluster has no disks to look at."""

HIDDEN = ("password", "keyring", "encryption-key", "master-pubkey")
"""They are kept in files of their own and never shown."""


NAMES = sorted({name for kind in KINDS.values() for name in (*kind.required, *kind.optional)})
FIELDS: dict[str, Field] = {name: setting(name) for name in NAMES}
FREE = {
    name
    for kind in KINDS.values()
    for name in (*kind.required, *kind.optional)
    if name not in kind.fixed
}
CHANGES: dict[str, Field] = {
    name: one for name, one in FIELDS.items() if name in FREE or name == "server"
}
"""What some kind lets an update change; `server` only kinds that are not simulated."""
KIND_NAMES = tuple(sorted((*KINDS, *OTHERS)))


def config_digest(world: World) -> str:
    """SHA-1 of storage.cfg."""
    text = "".join(f"{definition(one)}\n" for one in world.storages.values())
    return hashlib.sha1(text.encode()).hexdigest()


def definition(storage: Storage) -> dict[str, Any]:
    """One section as the API shows it."""
    shown = {
        key: int(value) if key in (*FLAGS, *NUMBERS) else value
        for key, value in storage.options.items()
        if key not in HIDDEN
    }
    row: dict[str, Any] = {
        "storage": storage.name,
        "type": storage.kind,
        "content": ",".join(storage.content),
        **shown,
    }
    if storage.path is not None:
        row["path"] = storage.path
    if storage.shared:
        row["shared"] = 1
    if storage.nodes is not None:
        row["nodes"] = ",".join(storage.nodes)
    return row


@route(
    "GET",
    "/storage",
    fields={"type": Text(optional=True, enum=KIND_NAMES)},
    permission=all_users,
)
def list_definitions(world: World, request: Request) -> Json:
    wanted, digest = request.params.get("type"), config_digest(world)
    return [
        definition(storage) | {"digest": digest}
        for storage in world.storages.values()
        if sees(world, request.identity, storage.name) and wanted in (None, storage.kind)
    ]


@route("GET", ONE, permission=perm("/storage/{storage}", "Datastore.Allocate"))
def get_definition(world: World, request: Request) -> Json:
    storage = find(world, request.params["storage"])
    return definition(storage) | {"digest": config_digest(world)}


@route(
    "POST",
    "/storage",
    fields={
        "storage": Text(format=storage_id),
        "type": Text(enum=KIND_NAMES),
        **FIELDS,
    },
    permission=ALLOCATE,
    protected=True,
)
def create(world: World, request: Request) -> Json:
    params = {key: value for key, value in request.params.items() if value is not None}
    name, kind = str(params.pop("storage")), str(params.pop("type"))
    if kind in OTHERS:
        raise failed(f"create storage failed: storage type '{kind}' is not simulated\n")
    if not params.get("nodes"):
        params.pop("nodes", None)
    _check_keys(kind, params)
    for key in KINDS[kind].required:
        if key not in params:
            raise failed(f"missing value for required option '{key}'\n")
    if name in world.storages:
        raise failed(f"create storage failed: storage ID '{name}' already defined\n")
    storage = Storage(name, kind, list(KINDS[kind].default), NEW_SIZE)
    storage.shared = KINDS[kind].shared
    _take(storage, params)
    world.storages[name] = storage
    return {"storage": name, "type": kind}


def _check_keys(kind: str, params: dict[str, Any]) -> None:
    known = (*KINDS[kind].required, *KINDS[kind].optional)
    for key in sorted(params):
        if key not in known:
            raise failed(f"unexpected property '{key}'\n")
    if "content" in params:
        _contents(kind, str(params["content"]))


def _contents(kind: str, text: str) -> list[str]:
    """The content types that the kind knows; others are dropped without an error."""
    wanted = split_list(text)
    found = [one for one in wanted if one in KINDS[kind].content]
    if "none" in wanted and found:
        raise failed("unable to combine 'none' with other content types\n")
    return found or ["none"]


def _take(storage: Storage, params: dict[str, Any]) -> None:
    for key, value in sorted(params.items()):
        if key == "content":
            storage.content = _contents(storage.kind, str(value))
        elif key == "nodes":
            storage.nodes = split_list(str(value)) or None
        elif key == "shared":
            storage.shared = bool(value) or KINDS[storage.kind].shared
        elif key != "format" or value in KINDS[storage.kind].shown:
            # A default format that the kind does not know is dropped without an error.
            storage.options[key] = str(value)


@route(
    "PUT",
    ONE,
    fields={
        **CHANGES,
        "delete": Text(optional=True, max_length=4096, list_of=config_id),
        "digest": DIGEST,
    },
    permission=ALLOCATE,
    protected=True,
)
def update(world: World, request: Request) -> Json:
    params = {key: value for key, value in request.params.items() if value is not None}
    name, digest = str(params.pop("storage")), params.pop("digest", None)
    gone = split_list(str(params.pop("delete", "")))
    head = "update storage failed: "
    if digest and digest != config_digest(world):
        raise failed(head + MODIFIED)
    storage = world.storages.get(name)
    if storage is None:
        raise failed(f"{head}storage '{name}' does not exist\n")
    kind = KINDS[storage.kind]
    for key in sorted(params):
        if key in kind.fixed:
            raise failed(f"{head}can't change value of fixed parameter '{key}'\n")
    try:
        _check_keys(storage.kind, params)
    except Refusal as refusal:
        raise failed(f"{head}{refusal}") from refusal
    for key in gone:
        _check_deletion(storage, key, params)
    for key in gone:
        _forget(storage, key)
    _take(storage, params)
    return {"storage": name, "type": storage.kind}


def _check_deletion(storage: Storage, key: str, params: dict[str, Any]) -> None:
    kind, head = KINDS[storage.kind], "update storage failed: "
    if key in kind.required:
        raise failed(f"{head}unable to delete required option '{key}'\n")
    if key not in kind.optional:
        raise failed(f"{head}no such option '{key}'\n")
    if key in kind.fixed:
        raise failed(f"{head}unable to delete fixed option '{key}'\n")
    if key in params:
        raise failed(f"{head}cannot set and delete property '{key}' at the same time!\n")


def _forget(storage: Storage, key: str) -> None:
    if key == "content":
        storage.content = list(KINDS[storage.kind].default)
    elif key == "nodes":
        storage.nodes = None
    elif key == "shared":
        storage.shared = KINDS[storage.kind].shared
    else:
        storage.options.pop(key, None)


@route("DELETE", ONE, permission=ALLOCATE, protected=True)
def remove(world: World, request: Request) -> None:
    """Only the definition goes, with the rights on it; what lies there stays."""
    name = str(request.params["storage"])
    head = "delete storage failed: "
    if name not in world.storages:
        raise failed(f"{head}storage '{name}' does not exist\n")
    bases = [one.options.get("base", "").partition(":")[0] for one in world.storages.values()]
    if name in bases:
        text = "can't remove storage - storage is used as base of another storage\n"
        raise failed(head + text)
    del world.storages[name]
    access = world.access
    access.grants[:] = [one for one in access.grants if one.path != f"/storage/{name}"]
    access.changed()
