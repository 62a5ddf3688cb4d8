"""Firewall IP sets and their entries, on the VM's and the cluster's level."""

import re

from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.firewall import addresses
from reconciler.sim.firewall.file import Entry, FirewallFile, IpSet, Row, digest, with_digest
from reconciler.sim.firewall.files import (
    CLUSTER,
    check_digest,
    editing,
    file_of,
    on_both_levels,
    read,
)
from reconciler.sim.parameters.formats import DIGEST
from reconciler.sim.parameters.schema import Boolean, Text
from reconciler.sim.routes import Json, Request
from reconciler.sim.world import World

NAME = Text(pattern=addresses.NAME, min_length=2, max_length=64)
_RENAME = Text(optional=True, pattern=addresses.NAME, min_length=2, max_length=64)
_CIDR = Text(format=addresses.check_network_or_alias)
_COMMENT = Text(optional=True)
_NOMATCH = Boolean(optional=True)


def _set_rows(file: FirewallFile) -> list[Row]:
    rows: list[Row] = []
    for name in sorted(file.ipsets):
        comment = file.ipsets[name].comment
        rows.append({"name": name, "comment": comment} if comment else {"name": name})
    return rows


def _existing(file: FirewallFile, request: Request) -> IpSet:
    name = request.params["name"]
    if name not in file.ipsets:
        raise failed(f"no such IPSet '{name}'")
    return file.ipsets[name]


def _known(world: World, file: FirewallFile, cidr: str) -> bool:
    """Whether an entry's alias is there; addresses always are."""
    match = addresses.ALIAS.fullmatch(cidr)
    if match is None:
        return True
    name = match["name"].lower()
    near = match["scope"] != "dc/" and name in file.aliases
    return near or (match["scope"] != "guest/" and name in read(world, CLUSTER).aliases)


def _entry_rows(world: World, file: FirewallFile, ipset: IpSet) -> list[Row]:
    rows = []
    for entry in ipset.entries:
        row = entry.row()
        if not _known(world, file, entry.cidr):
            row["errors"] = {"cidr": f"no such alias '{entry.cidr}'"}
        rows.append(row)
    return rows


@on_both_levels("GET", "/ipset")
def list_sets(world: World, request: Request) -> Json:
    """All sets of one level, without their entries."""
    return with_digest(_set_rows(file_of(world, request)))


@on_both_levels(
    "POST",
    "/ipset",
    fields={"name": NAME, "comment": _COMMENT, "rename": _RENAME, "digest": DIGEST},
)
def add_set(world: World, request: Request) -> Json:
    """Add an empty set, or rename one (`rename` is the old name; the same name: comment only)."""
    name, old = request.params["name"], request.params.get("rename")
    comment = request.params.get("comment")
    with editing(world, request) as file:
        if not old:
            if name in file.ipsets:
                raise bad_parameters({"name": f"IPSet '{name}' already exists"})
            file.ipsets[name] = IpSet(comment=comment or "")
            return None
        check_digest(request, digest(_set_rows(file)))
        if old not in file.ipsets:
            raise bad_parameters({"name": f"IPSet '{old}' does not exists"})
        if name in file.ipsets and name != old:
            raise bad_parameters({"name": f"IPSet '{name}' does already exist"})
        ipset = file.ipsets[name] = file.ipsets.pop(old)
        if comment is not None:
            ipset.comment = comment
    return None


@on_both_levels("GET", "/ipset/{name}", fields={"name": NAME})
def list_entries(world: World, request: Request) -> Json:
    """The entries of one set."""
    file = file_of(world, request)
    return with_digest(_entry_rows(world, file, _existing(file, request)))


@on_both_levels("DELETE", "/ipset/{name}", fields={"name": NAME, "force": Boolean(optional=True)})
def remove_set(world: World, request: Request) -> Json:
    """Remove a set; one with entries needs `force`."""
    with editing(world, request) as file:
        if _existing(file, request).entries and not request.params.get("force"):
            raise failed(f"IPSet '{request.params['name']}' is not empty")
        del file.ipsets[request.params["name"]]


@on_both_levels(
    "POST",
    "/ipset/{name}",
    fields={"name": NAME, "cidr": _CIDR, "nomatch": _NOMATCH, "comment": _COMMENT},
)
def add_entry(world: World, request: Request) -> Json:
    """Add an address, a network (host bits are masked off) or an existing alias."""
    with editing(world, request) as file:
        ipset = _existing(file, request)
        cidr = request.params["cidr"]
        if not _known(world, file, cidr):
            raise failed(f"no such alias '{cidr}'")
        if not addresses.ALIAS.fullmatch(cidr):
            cidr, _ = addresses.stored_address(addresses.without_host_bits(cidr))
        if any(entry.cidr == cidr for entry in ipset.entries):
            raise bad_parameters({"cidr": f"address '{cidr}' already exists"})
        if re.search(r"/0+$", cidr):
            text = "a zero prefix is not allowed in ipset entries"
            raise bad_parameters({"cidr": text})
        nomatch, comment = request.params.get("nomatch"), request.params.get("comment")
        ipset.entries.append(Entry(cidr, bool(nomatch), comment or ""))


@on_both_levels("GET", "/ipset/{name}/{cidr}", fields={"name": NAME, "cidr": _CIDR}, protected=True)
def read_entry(world: World, request: Request) -> Json:
    """One entry."""
    for row in list_entries(world, request):
        if row["cidr"] == request.params["cidr"]:
            return row
    raise bad_parameters({"cidr": "no such IP/Network"})


@on_both_levels(
    "PUT",
    "/ipset/{name}/{cidr}",
    fields={
        "name": NAME,
        "cidr": _CIDR,
        "nomatch": _NOMATCH,
        "comment": _COMMENT,
        "digest": DIGEST,
    },
)
def change_entry(world: World, request: Request) -> Json:
    """Replace an entry's flag and comment; what is not given again is lost."""
    with editing(world, request) as file:
        ipset = _existing(file, request)
        check_digest(request, digest(_entry_rows(world, file, ipset)))
        for entry in ipset.entries:
            if entry.cidr == request.params["cidr"]:
                entry.nomatch = bool(request.params.get("nomatch"))
                entry.comment = request.params.get("comment") or ""
                return None
        raise bad_parameters({"cidr": "no such IP/Network"})


@on_both_levels(
    "DELETE", "/ipset/{name}/{cidr}", fields={"name": NAME, "cidr": _CIDR, "digest": DIGEST}
)
def remove_entry(world: World, request: Request) -> Json:
    """Remove an entry; an absent one is no fault."""
    with editing(world, request) as file:
        ipset = _existing(file, request)
        check_digest(request, digest(_entry_rows(world, file, ipset)))
        ipset.entries = [one for one in ipset.entries if one.cidr != request.params["cidr"]]
