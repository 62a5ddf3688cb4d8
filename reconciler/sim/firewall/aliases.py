"""Firewall aliases: names for one address or network, on the VM's and the cluster's level.

Names are found in any case and shown in the case they were given in.
"""

from reconciler.sim.errors import bad_parameters
from reconciler.sim.firewall import addresses
from reconciler.sim.firewall.file import Alias, FirewallFile, Row, digest, with_digest
from reconciler.sim.firewall.files import check_digest, editing, file_of, on_both_levels
from reconciler.sim.parameters.formats import DIGEST
from reconciler.sim.parameters.schema import Text
from reconciler.sim.routes import Json, Request
from reconciler.sim.world import World

_NAME = Text(pattern=addresses.NAME, min_length=2, max_length=64)
_RENAME = Text(optional=True, pattern=addresses.NAME, min_length=2, max_length=64)
_CIDR = Text(format=addresses.check_network)
_COMMENT = Text(optional=True)


def _rows(file: FirewallFile) -> list[Row]:
    return [file.aliases[name].row() for name in sorted(file.aliases)]


def _given(request: Request) -> Alias:
    cidr = addresses.without_host_bits(request.params["cidr"])
    return Alias(request.params["name"], cidr, comment=request.params.get("comment") or "")


@on_both_levels("GET", "/aliases")
def list_aliases(world: World, request: Request) -> Json:
    """All aliases of one level."""
    return with_digest(_rows(file_of(world, request)))


@on_both_levels("POST", "/aliases", fields={"name": _NAME, "cidr": _CIDR, "comment": _COMMENT})
def add_alias(world: World, request: Request) -> Json:
    """Add one; the name must be free in every case."""
    with editing(world, request) as file:
        name = request.params["name"]
        if name.lower() in file.aliases:
            raise bad_parameters({"name": f"alias '{name}' already exists"})
        file.aliases[name.lower()] = _given(request)


@on_both_levels("GET", "/aliases/{name}", fields={"name": _NAME})
def read_alias(world: World, request: Request) -> Json:
    """One alias, without a digest."""
    return _existing(file_of(world, request), request).row()


def _existing(file: FirewallFile, request: Request) -> Alias:
    alias = file.aliases.get(request.params["name"].lower())
    if alias is None:
        raise bad_parameters({"name": "no such alias"})
    return alias


@on_both_levels(
    "PUT",
    "/aliases/{name}",
    fields={
        "name": _NAME,
        "cidr": _CIDR,
        "comment": _COMMENT,
        "rename": _RENAME,
        "digest": DIGEST,
    },
)
def change_alias(world: World, request: Request) -> Json:
    """Replace an alias; a comment that is not given again is lost."""
    with editing(world, request) as file:
        check_digest(request, digest(_rows(file)))
        _existing(file, request)
        name = request.params["name"].lower()
        alias = file.aliases[name] = _given(request)
        rename = request.params.get("rename")
        if rename and rename.lower() != name:
            if rename.lower() in file.aliases:
                raise bad_parameters({"name": f"alias '{rename}' already exists"})
            del file.aliases[name]
            alias.name = rename
            file.aliases[rename.lower()] = alias


@on_both_levels("DELETE", "/aliases/{name}", fields={"name": _NAME, "digest": DIGEST})
def remove_alias(world: World, request: Request) -> Json:
    """Remove one; an absent one and one in use are no faults."""
    with editing(world, request) as file:
        check_digest(request, digest(_rows(file)))
        file.aliases.pop(request.params["name"].lower(), None)
