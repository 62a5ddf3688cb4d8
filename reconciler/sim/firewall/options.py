"""Firewall options of a VM and of the cluster, and the small reads beside them."""

from collections.abc import Mapping

from reconciler.sim.accounts.access import all_users, perm
from reconciler.sim.errors import bad_parameters
from reconciler.sim.firewall import macros as firewall_macros
from reconciler.sim.firewall.file import digest
from reconciler.sim.firewall.files import (
    CLUSTER,
    CLUSTER_PREFIX,
    CLUSTER_READ,
    CLUSTER_WRITE,
    VM_PREFIX,
    VM_READ,
    VM_WRITE,
    check_digest,
    editing,
    file_of,
    on_both_levels,
    read,
)
from reconciler.sim.firewall.rules import LOG_LEVELS
from reconciler.sim.parameters.formats import DIGEST, config_id
from reconciler.sim.parameters.schema import Boolean, Field, Integer, Properties, Text, split_list
from reconciler.sim.routes import Envelope, Json, Request, route
from reconciler.sim.world import World

TRIAL_SECONDS = 60

_FLAG = Boolean(optional=True)
_LEVEL = Text(optional=True, enum=LOG_LEVELS)
_POLICY = Text(optional=True, enum=("ACCEPT", "REJECT", "DROP"))
VM_OPTIONS: Mapping[str, Field] = {
    "enable": _FLAG,
    "dhcp": _FLAG,
    "ipfilter": _FLAG,
    "macfilter": _FLAG,
    "ndp": _FLAG,
    "radv": _FLAG,
    "policy_in": _POLICY,
    "policy_out": _POLICY,
    "log_level_in": _LEVEL,
    "log_level_out": _LEVEL,
}
CLUSTER_OPTIONS: Mapping[str, Field] = {
    "enable": Integer(optional=True, minimum=0),
    "ebtables": _FLAG,
    "policy_in": _POLICY,
    "policy_out": _POLICY,
    "policy_forward": Text(optional=True, enum=("ACCEPT", "DROP")),
    "log_ratelimit": Properties(
        optional=True,
        parts={
            "enable": Boolean(default_key=True),
            "rate": Text(optional=True, pattern=r"[1-9][0-9]*\/(second|minute|hour|day)"),
            "burst": Integer(optional=True, minimum=0),
        },
    ),
}
_CHANGE: Mapping[str, Field] = {
    "delete": Text(optional=True, list_of=config_id),
    "digest": DIGEST,
}


def _in_force(world: World, options: dict[str, str | int]) -> dict[str, str | int]:
    """A cluster firewall switched on for a trial (`enable` > 1) is off again after a minute."""
    since = int(options.get("enable", 0))
    if since > 1 and world.now - since > TRIAL_SECONDS:
        return {**options, "enable": 0}
    return options


@route("GET", f"{VM_PREFIX}/options", permission=VM_READ)
@route("GET", f"{CLUSTER_PREFIX}/options", permission=CLUSTER_READ)
def read_options(world: World, request: Request) -> Json:
    """What is set, and its digest."""
    options = _in_force(world, file_of(world, request).options)
    return {**options, "digest": digest([options])}


def _change(world: World, request: Request, known: Mapping[str, Field]) -> None:
    with editing(world, request) as file:
        file.options = _in_force(world, file.options)
        check_digest(request, digest([file.options]))
        for key in split_list(request.params.get("delete") or ""):
            if key not in known:
                raise bad_parameters({"delete": f"no such option '{key}'"})
            file.options.pop(key, None)
        for key in known:
            if (value := request.params.get(key)) is not None:
                file.options[key] = value


@route(
    "PUT",
    f"{VM_PREFIX}/options",
    fields={**VM_OPTIONS, **_CHANGE},
    permission=VM_WRITE,
    protected=True,
)
def change_vm_options(world: World, request: Request) -> Json:
    """Set and delete options of a VM."""
    _change(world, request, VM_OPTIONS)


@route(
    "PUT",
    f"{CLUSTER_PREFIX}/options",
    fields={**CLUSTER_OPTIONS, **_CHANGE},
    permission=CLUSTER_WRITE,
    protected=True,
)
def change_cluster_options(world: World, request: Request) -> Json:
    """Set and delete options of the cluster; `enable` above 1 is remembered as the time of it."""
    if (request.params.get("enable") or 0) > 1:
        request.params["enable"] = int(world.now)
    _change(world, request, CLUSTER_OPTIONS)


@route("GET", VM_PREFIX, permission=all_users, proxy_node=False)
def vm_index(world: World, request: Request) -> Json:
    """What a VM's firewall has."""
    return [{"name": name} for name in ("rules", "aliases", "ipset", "refs", "options")]


@route("GET", CLUSTER_PREFIX, permission=all_users)
def cluster_index(world: World, request: Request) -> Json:
    """What the cluster's firewall has."""
    names = ("aliases", "rules", "options", "groups", "ipset", "macros", "refs")
    return [{"name": name} for name in names]


@route("GET", f"{CLUSTER_PREFIX}/macros", permission=all_users)
def list_macros(world: World, request: Request) -> Json:
    """Names for common services."""
    return firewall_macros.listing()


_NUMBER = Integer(optional=True, minimum=0)


@route(
    "GET",
    f"{VM_PREFIX}/log",
    fields={"limit": _NUMBER, "start": _NUMBER, "since": _NUMBER, "until": _NUMBER},
    permission=perm("/vms/{vmid}", "VM.Console"),
    protected=True,
)
def read_log(world: World, request: Request) -> Json:
    """The node's firewall log lines of one VM: no packet ever meets a rule here."""
    return Envelope([{"n": 1, "t": "no content"}], {"total": 1})


@on_both_levels("GET", "/refs", fields={"type": Text(optional=True, enum=("alias", "ipset"))})
def list_references(world: World, request: Request) -> Json:
    """Sets and aliases that `source` and `dest` may name."""
    wanted = request.params.get("type")
    files = [("dc", read(world, CLUSTER))]
    if "vmid" in request.params:
        files.append(("guest", file_of(world, request)))
    rows: list[dict[str, str]] = []
    for scope, file in files:
        if wanted in (None, "ipset"):
            for name, ipset in file.ipsets.items():
                rows.append(_reference("ipset", name, f"+{name}", scope, ipset.comment))
        if wanted in (None, "alias"):
            for name, alias in file.aliases.items():
                rows.append(_reference("alias", name, name, scope, alias.comment))
    return rows


def _reference(kind: str, name: str, ref: str, scope: str, comment: str) -> dict[str, str]:
    row = {"type": kind, "name": name, "ref": ref, "scope": scope}
    return {**row, "comment": comment} if comment else row
