"""/cluster/options: datacenter.cfg.

Sources: pve-cluster PVE/DataCenterConfig.pm, pve-manager PVE/API2/Cluster.pm, pve-guest-common
PVE/GuestHelpers.pm (get_allowed_tags).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, all_users, allowed, perm
from reconciler.sim.errors import failed
from reconciler.sim.parameters.formats import config_id
from reconciler.sim.parameters.schema import (
    Boolean,
    Field,
    FormatError,
    Integer,
    Number,
    Properties,
    Text,
    parse_properties,
    split_list,
)
from reconciler.sim.parameters.values import words
from reconciler.sim.routes import Json, Request, route
from reconciler.sim.vm.migration import network

if TYPE_CHECKING:
    from reconciler.sim.world import World

OPTIONS = "/cluster/options"
DEFAULTS: dict[str, Any] = {"mac_prefix": "BC:24:11", "description": ""}
OPEN = ("allowed-tags", "tag-style", "console")
"""What everybody may read, since it is needed to show tags and consoles."""

MAC_PREFIX = re.compile(r"[a-f0-9][02468ace](?::[a-f0-9]{2}){0,2}:?\Z", re.IGNORECASE)
TAG = r"[a-zA-Z0-9_][a-zA-Z0-9_\-\+\.]*"
COLOR = rf"{TAG}:[0-9a-fA-F]{{6}}(?::[0-9a-fA-F]{{6}})?"
EMAIL = re.compile(r"[^\s@]+@[^\s@]+\Z")
KEYBOARDS = words(
    "de de-ch da en-gb en-us es fi fr fr-be fr-ca fr-ch hu is it ja lt mk nl no pl pt pt-br sv sl "
    "tr"
)
LANGUAGES = words(
    "ar ca da de en es eu fa fr hr he it ja ka kr nb nl nn pl pt_BR ru sl sv tr ukr zh_CN zh_TW"
)


def mac_prefix(text: str) -> None:
    if not MAC_PREFIX.match(text):
        raise FormatError("value is not a valid unicast MAC address prefix")


def email(text: str) -> None:
    if text and not EMAIL.match(text):
        raise FormatError("value does not look like a valid email address")


FORMS: dict[str, Properties] = {
    "bwlimit": Properties(
        optional=True,
        parts={
            name: Number(optional=True, minimum=0)
            for name in ("clone", "default", "migration", "move", "restore")
        },
    ),
    "crs": Properties(
        optional=True,
        parts={
            "ha": Text(optional=True, enum=("basic", "static")),
            "ha-rebalance-on-start": Boolean(optional=True),
        },
    ),
    "ha": Properties(
        optional=True,
        parts={"shutdown_policy": Text(enum=("freeze", "failover", "conditional", "migrate"))},
    ),
    "migration": Properties(
        optional=True,
        parts={
            "type": Text(default_key=True, enum=("secure", "insecure")),
            "network": Text(optional=True, format=network),
        },
    ),
    "next-id": Properties(
        optional=True,
        parts={
            "lower": Integer(optional=True),
            "upper": Integer(optional=True),
        },
    ),
    "notify": Properties(
        optional=True,
        parts={
            "fencing": Text(optional=True, enum=("always", "never")),
            "package-updates": Text(optional=True, enum=("auto", "always", "never")),
            "replication": Text(optional=True, enum=("always", "never")),
            "target-fencing": Text(optional=True),
            "target-package-updates": Text(optional=True),
            "target-replication": Text(optional=True),
        },
    ),
    "tag-style": Properties(
        optional=True,
        parts={
            "case-sensitive": Boolean(optional=True),
            "color-map": Text(optional=True, pattern=f"{COLOR}(?:;{COLOR})*"),
            "ordering": Text(optional=True, enum=("config", "alphabetical")),
            "shape": Text(optional=True, enum=("full", "circle", "dense", "none")),
        },
    ),
    "u2f": Properties(
        optional=True, parts={"appid": Text(optional=True), "origin": Text(optional=True)}
    ),
    "user-tag-access": Properties(
        optional=True,
        parts={
            "user-allow": Text(optional=True, enum=("none", "list", "existing", "free")),
            "user-allow-list": Text(optional=True, pattern=f"{TAG}(?:;{TAG})*"),
        },
    ),
    "webauthn": Properties(
        optional=True,
        parts={
            "allow-subdomains": Boolean(optional=True),
            "id": Text(optional=True),
            "origin": Text(optional=True),
            "rp": Text(optional=True),
        },
    ),
}
"""Options that are property strings; they are read back as objects, save those of WHOLE."""

WHOLE = ("bwlimit",)
RANGE = {"lower": 100, "upper": 1000000}
"""Where free ids are looked for unless `next-id` says otherwise."""

PLAIN: dict[str, Field] = {
    "consent-text": Text(optional=True, max_length=65536),
    "console": Text(optional=True, enum=("applet", "vv", "html5", "xtermjs")),
    "description": Text(optional=True, max_length=65536),
    "email_from": Text(optional=True, format=email),
    "fencing": Text(optional=True, enum=("watchdog", "hardware", "both")),
    "http_proxy": Text(optional=True, pattern="http://.*"),
    "keyboard": Text(optional=True, enum=KEYBOARDS),
    "language": Text(optional=True, enum=LANGUAGES),
    "mac_prefix": Text(optional=True, format=mac_prefix),
    "max_workers": Integer(optional=True, minimum=1),
    "registered-tags": Text(optional=True, pattern=f"(?:{TAG};)*{TAG}"),
}
LISTS = ("registered-tags", "user-allow-list")


def allowed_tags(world: World, identity: Identity) -> list[str]:
    """Tags that the caller is offered: those in use where that is permitted, those listed, and
    the registered ones for administrators."""
    options = world.options
    access: Mapping[str, Any] = options.get("user-tag-access") or {}
    mode, found = access.get("user-allow", "free"), set()
    if allowed(world, identity, "/", ["Sys.Modify"]):
        found |= set(options.get("registered-tags") or ())
        mode = "free"
    if mode != "none":
        found |= set(access.get("user-allow-list") or ())
    if mode in ("free", "existing"):
        for vmid in list(world.vms):
            machine = world.vms.at_rest(vmid)
            tags = machine.text("tags") if machine is not None else None
            if tags and allowed(world, identity, f"/vms/{vmid}", ["VM.Audit"]):
                found |= set(split_list(tags))
    return sorted(found)


@route("GET", OPTIONS, permission=all_users)
def get_options(world: World, request: Request) -> Json:
    """Everything with Sys.Audit on /, else only what shows tags needs."""
    shown = DEFAULTS | world.options
    shown["allowed-tags"] = allowed_tags(world, request.identity)
    if allowed(world, request.identity, "/", ["Sys.Audit"]):
        return shown
    return {key: shown[key] for key in OPEN if key in shown}


@route(
    "PUT",
    OPTIONS,
    fields={
        **PLAIN,
        **FORMS,
        "delete": Text(optional=True, list_of=config_id),
    },
    permission=perm("/", "Sys.Modify"),
    protected=True,
)
def set_options(world: World, request: Request) -> None:
    """What is given is set, then what is listed under `delete` falls back to its default."""
    params, after = request.params, dict(world.options)
    for key, value in params.items():
        if key != "delete" and value is not None:
            after[key] = parsed(key, value)
    for key in split_list(str(params.get("delete") or "")):
        after.pop(key, None)
    bounds = RANGE | after.get("next-id", {})
    lower, upper = int(bounds["lower"]), int(bounds["upper"])
    if lower > upper:
        raise failed(f"lower ({lower}) <= upper ({upper}) boundary rule broken\n")
    world.options.clear()
    world.options.update(after)


def parsed(key: str, value: Any) -> Any:
    """An option as it is kept: property strings as objects, tag lists as lists, lines of the
    description each with their end, everything else as the text in the file."""
    form = FORMS.get(key)
    if form is None and key in LISTS:
        return sorted(set(split_list(str(value))))
    if key == "description":
        return "".join(f"{line}\n" for line in str(value).rstrip("\n").split("\n") if value)
    if form is None or key in WHOLE:
        return "html5" if value == "applet" else str(value)
    found: dict[str, Any] = {}
    for name, text in parse_properties(form, str(value), key).items():
        part = form.parts[name]
        found[name] = split_list(text) if name in LISTS else part.convert(text)
    return found
