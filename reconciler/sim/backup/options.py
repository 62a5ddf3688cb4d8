"""The options of a backup: their forms, what they exclude, and Proxmox's defaults.

Sources: pve-guest-common PVE/VZDump/Common.pm, pve-manager PVE/VZDump.pm
(verify_vzdump_parameters) and PVE/API2/Backup.pm (assert_param_permission_common).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, check
from reconciler.sim.backup.retention import PRUNE, parse_retention
from reconciler.sim.errors import bad_parameters
from reconciler.sim.parameters.formats import config_id, node_name, storage_id, vm_id
from reconciler.sim.parameters.schema import (
    Array,
    Boolean,
    Field,
    FormatError,
    Integer,
    Properties,
    Text,
    parse_properties,
    split_list,
)

if TYPE_CHECKING:
    from reconciler.sim.world import World

MODES = ("snapshot", "suspend", "stop")
COMPRESSIONS = ("0", "1", "gzip", "lzo", "zstd")
USER = r"[\w+\-~]+(?:\.[\w+\-~]+)*"
MAIL = re.compile(rf"{USER}(?:@[a-zA-Z0-9\-]+(?:\.[a-zA-Z0-9\-]+)*)?\Z")
VARIABLES = ("cluster", "guestname", "node", "vmid")
ROOT_ONLY = ("tmpdir", "dumpdir", "script", "job-id")
SETTINGS_OF_THE_HOST = ("bwlimit", "ionice", "performance")


def mail_address(text: str) -> str:
    if not MAIL.match(text):
        raise FormatError("value does not look like a valid email address or user name")
    return text


VM_LIST = Text(optional=True, list_of=vm_id)
FLEECING = Properties(
    optional=True,
    parts={
        "enabled": Boolean(optional=True, default_key=True),
        "storage": Text(optional=True, format=storage_id),
    },
)
PERFORMANCE = Properties(
    optional=True,
    parts={
        "max-workers": Integer(optional=True, minimum=1, maximum=256),
        "pbs-entries-max": Integer(optional=True, minimum=1),
    },
)
OPTIONS: dict[str, Field] = {
    "all": Boolean(optional=True),
    "bwlimit": Integer(optional=True, minimum=0),
    "compress": Text(optional=True, enum=COMPRESSIONS),
    "dumpdir": Text(optional=True),
    "exclude": VM_LIST,
    "exclude-path": Array(optional=True),
    "fleecing": FLEECING,
    "ionice": Integer(optional=True, minimum=0, maximum=8),
    "lockwait": Integer(optional=True, minimum=0),
    "mailnotification": Text(optional=True, enum=("always", "failure")),
    "mailto": Text(optional=True, list_of=mail_address),
    "maxfiles": Integer(optional=True, minimum=1),
    "mode": Text(optional=True, enum=MODES),
    "node": Text(optional=True, format=node_name),
    "notes-template": Text(optional=True, max_length=1024, requires="storage"),
    "notification-mode": Text(
        optional=True, enum=("auto", "legacy-sendmail", "notification-system")
    ),
    "notification-policy": Text(optional=True, enum=("always", "failure", "never")),
    "notification-target": Text(optional=True, format=config_id),
    "pbs-change-detection-mode": Text(optional=True, enum=("legacy", "data", "metadata")),
    "performance": PERFORMANCE,
    "pigz": Integer(optional=True),
    "pool": Text(optional=True),
    "protected": Boolean(optional=True, requires="storage"),
    "prune-backups": PRUNE,
    "quiet": Boolean(optional=True),
    "remove": Boolean(optional=True),
    "script": Text(optional=True),
    "stdexcludes": Boolean(optional=True),
    "stop": Boolean(optional=True),
    "stopwait": Integer(optional=True, minimum=0),
    "storage": Text(optional=True, format=storage_id),
    "tmpdir": Text(optional=True),
    "vmid": VM_LIST,
    "zstd": Integer(optional=True),
}
DEFAULTS: dict[str, Any] = {
    "all": 0,
    "bwlimit": 0,
    "compress": "0",
    "fleecing": {"enabled": 0},
    "ionice": 7,
    "lockwait": 180,
    "mailnotification": "always",
    "mode": "snapshot",
    "notification-mode": "auto",
    "notification-policy": "always",
    "performance": {"max-workers": 16, "pbs-entries-max": 1048576},
    "pigz": 0,
    "prune-backups": "keep-all=1",
    "quiet": 0,
    "remove": 1,
    "stdexcludes": 1,
    "stop": 0,
    "stopwait": 10,
    "zstd": 1,
}
"""What holds where neither the call nor the storage says otherwise (no /etc/vzdump.conf)."""


def target_storage(params: Mapping[str, Any]) -> str | None:
    """Where the archives go; None for a plain directory."""
    return None if params.get("dumpdir") else str(params.get("storage") or "local")


def check_restricted(
    world: World, identity: Identity, params: Mapping[str, Any], removal: bool = False
) -> None:
    """Options that only root@pam, or who may change the hosts, can set (or remove)."""
    if identity.root:
        return
    for key in ROOT_ONLY:
        if key in params:
            raise bad_parameters({key: "Only root may set this option."})
    if any(params.get(key) is not None for key in SETTINGS_OF_THE_HOST):
        check(world, identity, "/", ["Sys.Modify"])
    if params.get("fleecing") and not removal:
        place = properties(FLEECING, "backup-fleecing", params["fleecing"]).get("storage")
        if place:
            check(world, identity, f"/storage/{place}", ["Datastore.AllocateSpace"])


def properties(form: Properties, name: str, value: Any) -> dict[str, Any]:
    """A property string as a mapping; what was read before is left as it is."""
    return dict(value) if isinstance(value, Mapping) else parse_properties(form, str(value), name)


def verify(params: dict[str, Any], whole: bool) -> None:
    """Reads property strings in place and refuses what contradicts itself; `whole` also asks
    which guests are meant. Raises 400."""
    for key in ("all", "exclude", "pool"):
        if params.get(key) and params.get("vmid"):
            raise bad_parameters({key: "option conflicts with option 'vmid'"})
    _read_retention(params)
    if params.get("fleecing") is not None:
        params["fleecing"] = properties(FLEECING, "backup-fleecing", params["fleecing"])
    if params.get("performance") is not None:
        params["performance"] = properties(PERFORMANCE, "backup-performance", params["performance"])
    if params.get("notes-template"):
        fault = template_fault(str(params["notes-template"]))
        if fault is not None:
            raise bad_parameters({"notes-template": f"{fault}\n"})
    if params.get("exclude") is not None and not params.get("pool"):
        params["all"] = 1
    if whole and not any(params.get(key) for key in ("all", "stop", "pool", "vmid")):
        raise bad_parameters({"vmid": "property is missing"})


def _read_retention(params: dict[str, Any]) -> None:
    """`maxfiles` is the older word for keeping the last few."""
    most = params.pop("maxfiles", None)
    if most is not None and params.get("prune-backups") is not None:
        raise bad_parameters({"prune-backups": "option conflicts with option 'maxfiles'"})
    if most is not None:
        params["prune-backups"] = {"keep-last": str(most)}
    elif params.get("prune-backups") is not None:
        params["prune-backups"] = parse_retention(params["prune-backups"])


def template_fault(text: str) -> str | None:
    """What is wrong with a notes template, in Proxmox's words."""
    if "\n" in text:
        return "contains a line feed"
    wrong = [
        f"escape sequence '\\{found[1]}' at char {found.start()}"
        for found in re.finditer(r"\\(.)", text)
        if found[1] not in ("n", "\\")
    ]
    wrong += [
        f"variable '{found[1]}' at char {found.end() - len(found[1])}"
        for found in re.finditer(r"\{\{([^\s{}]+)\}\}", text)
        if found[1] not in VARIABLES
    ]
    return f"found unknown: {', '.join(wrong)}" if wrong else None


def notes(template: str, values: Mapping[str, str]) -> str:
    """A backup's notes: escapes first, then the variables, as generate_notes does."""
    plain = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], template)
    names = "|".join(VARIABLES)
    return re.sub(rf"\{{\{{({names})\}}\}}", lambda found: values[found[1]], plain)


def command_line(params: Mapping[str, Any]) -> str:
    """`vzdump 100 --mode stop --storage local`, the first line of the task's log."""
    parts = ["vzdump", *split_list(str(params.get("vmid") or ""))]
    for key in sorted(params):
        value = params[key]
        if key not in OPTIONS or key == "vmid" or value in (None, ""):
            continue
        for one in value if isinstance(value, list) else [value]:
            parts += [f"--{key}", shlex.quote(_printed(one))]
    return " ".join(parts)


def _printed(value: Any) -> str:
    if isinstance(value, Mapping):
        return print_properties(value.items())
    return str(value)


def print_properties(parts: Iterable[tuple[str, Any]]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(parts))
