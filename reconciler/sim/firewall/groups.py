"""Security groups: named rule lists of the cluster that rules of type `group` include."""

from reconciler.sim.accounts.access import all_users
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.firewall.file import FirewallFile, Group, Row, digest, with_digest
from reconciler.sim.firewall.files import (
    CLUSTER_PREFIX,
    CLUSTER_WRITE,
    check_digest,
    editing,
    file_of,
)
from reconciler.sim.firewall.rules import SECURITY_GROUP, rules_of
from reconciler.sim.parameters.formats import DIGEST
from reconciler.sim.parameters.schema import Text
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.world import World

_RENAME = Text(
    optional=True,
    pattern=SECURITY_GROUP.pattern,
    min_length=SECURITY_GROUP.min_length,
    max_length=SECURITY_GROUP.max_length,
)


def _rows(file: FirewallFile) -> list[Row]:
    rows: list[Row] = []
    for name in sorted(file.groups):
        comment = file.groups[name].comment
        rows.append({"group": name, "comment": comment} if comment else {"group": name})
    return rows


@route("GET", f"{CLUSTER_PREFIX}/groups", permission=all_users)
def list_groups(world: World, request: Request) -> Json:
    """All groups, without their rules."""
    return with_digest(_rows(file_of(world, request)))


@route(
    "POST",
    f"{CLUSTER_PREFIX}/groups",
    fields={
        "group": SECURITY_GROUP,
        "comment": Text(optional=True),
        "rename": _RENAME,
        "digest": DIGEST,
    },
    permission=CLUSTER_WRITE,
    protected=True,
)
def add_group(world: World, request: Request) -> Json:
    """Add an empty group, or rename one (`rename` is the old name; the same name: comment only)."""
    name, old = request.params["group"], request.params.get("rename")
    comment = request.params.get("comment")
    with editing(world, request) as file:
        if not old:
            if name in file.groups:
                raise bad_parameters({"group": f"Security group '{name}' already exists"})
            file.groups[name] = Group(comment=comment or "")
            return None
        check_digest(request, digest(_rows(file)))
        if old not in file.groups:
            raise bad_parameters({"group": f"Security group '{old}' does not exists"})
        if name in file.groups and name != old:
            raise bad_parameters({"group": f"Security group '{name}' does already exist"})
        group = file.groups[name] = file.groups.pop(old)
        if comment is not None:
            group.comment = comment
    return None


@route(
    "DELETE",
    f"{CLUSTER_PREFIX}/groups/{{group}}",
    fields={"group": SECURITY_GROUP},
    permission=CLUSTER_WRITE,
    protected=True,
)
def remove_group(world: World, request: Request) -> Json:
    """Remove an empty group; rules that name it stay as they are."""
    with editing(world, request) as file:
        if rules_of(file, request):
            raise failed(f"Security group '{request.params['group']}' is not empty")
        del file.groups[request.params["group"]]
