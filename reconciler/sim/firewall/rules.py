"""The rule lists of a VM, of the cluster and of a security group: list, read, add, change, remove.

A rule's position is all that names it. Adding ignores `pos` and `digest` and puts on top; `moveto`
ignores every other change.
"""

import re

from reconciler.sim.accounts.access import Permission
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.firewall import addresses
from reconciler.sim.firewall.check import Level, seen, verify
from reconciler.sim.firewall.file import FirewallFile, Row, Rule, digest, with_digest
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
    read,
)
from reconciler.sim.parameters.formats import DIGEST, config_id
from reconciler.sim.parameters.schema import Field, FormatError, Integer, Text, split_list
from reconciler.sim.routes import Handler, Json, Request, route
from reconciler.sim.world import World

LOG_LEVELS = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug", "nolog")
_IFACE = re.compile(r"[a-z][a-z0-9_]{1,20}([:.]\d+)?", re.IGNORECASE)


def _interface(text: str) -> None:
    if not _IFACE.fullmatch(text):
        raise FormatError(f"invalid network interface name '{text}'")


def _destination_ports(text: str) -> None:
    addresses.check_ports(text, destination=True)


def _source_ports(text: str) -> None:
    addresses.check_ports(text, destination=False)


def rule_fields(*, adding: bool) -> dict[str, Field]:
    """What a rule may say; type and action are needed to add one."""
    return {
        "pos": Integer(optional=True, minimum=0),
        "digest": DIGEST,
        "type": Text(optional=not adding, enum=("in", "out", "forward", "group")),
        "action": Text(optional=not adding, pattern=addresses.NAME, min_length=2, max_length=20),
        "macro": Text(optional=True, max_length=128),
        "iface": Text(optional=True, format=_interface, min_length=2, max_length=20),
        "source": Text(optional=True, format=addresses.check_addresses, max_length=512),
        "dest": Text(optional=True, format=addresses.check_addresses, max_length=512),
        "proto": Text(optional=True, format=addresses.check_protocol),
        "enable": Integer(optional=True, minimum=0),
        "log": Text(optional=True, enum=LOG_LEVELS),
        "sport": Text(optional=True, format=_source_ports),
        "dport": Text(optional=True, format=_destination_ports),
        "comment": Text(optional=True),
        "icmp-type": Text(optional=True, format=addresses.check_icmp_type),
    }


RULE_KEYS = tuple(rule_fields(adding=True))
SECURITY_GROUP = Text(pattern=addresses.NAME, min_length=2, max_length=18)


def level_of(request: Request) -> Level:
    """Whose list a call is about."""
    if "group" in request.params:
        return "group"
    return "vm" if "vmid" in request.params else "cluster"


def rules_of(file: FirewallFile, request: Request) -> list[Rule]:
    """The list that a call is about; 500 for a missing security group."""
    if "group" not in request.params:
        return file.rules
    name = request.params["group"]
    if name not in file.groups:
        raise failed(f"no such security group '{name}'")
    return file.groups[name].rules


def _context(world: World, request: Request) -> tuple[Level, FirewallFile, FirewallFile | None]:
    level = level_of(request)
    own = file_of(world, request) if level == "vm" else None
    return level, read(world, CLUSTER), own


def shown(world: World, request: Request, rules: list[Rule]) -> list[Row]:
    """The rules as they are read now, without positions and digest."""
    level, cluster, own = _context(world, request)
    rows: list[Row] = []
    for rule in rules:
        check = seen(rule, level, cluster, own)
        row: Row = dict(check.rule)
        if check.ip_version:
            row["ipversion"] = check.ip_version
        if check.errors:
            row["errors"] = check.errors
        rows.append(row)
    return rows


def list_rules(world: World, request: Request) -> Json:
    """`GET rules`."""
    rows = with_digest(shown(world, request, rules_of(file_of(world, request), request)))
    return [{**row, "pos": position} for position, row in enumerate(rows)]


def read_rule(world: World, request: Request) -> Json:
    """`GET rules/{pos}`; the position is answered as the text it was asked with."""
    rows = with_digest(shown(world, request, rules_of(file_of(world, request), request)))
    position = _position(request, len(rows))
    return {**rows[position], "pos": str(position)}


def _position(request: Request, count: int) -> int:
    position = int(request.params["pos"])
    if position >= count:
        raise failed(f"no rule at position {position}")
    return position


def _take(rule: Rule, request: Request) -> None:
    """Lay the given fields over the rule; an empty one or a dash removes."""
    for key in RULE_KEYS:
        value = request.params.get(key)
        if value is None:
            continue
        if value in ("", "-"):
            rule.pop(key, None)
        else:
            rule[key] = value


def _take_away(rule: Rule, keys: list[str]) -> None:
    for key in keys:
        if key not in RULE_KEYS:
            raise bad_parameters({"delete": f"no such property ('{key}')"})
        if key in ("type", "action"):
            raise bad_parameters({"delete": f"unable to delete required property '{key}'"})
        rule.pop(key, None)


def add_rule(world: World, request: Request) -> Json:
    """`POST rules`: on top, off unless `enable` says otherwise."""
    with editing(world, request) as file:
        rules = rules_of(file, request)
        rule: Rule = {}
        _take(rule, request)
        verify(rule, *_context(world, request))
        rule.setdefault("enable", 0)
        rules.insert(0, rule)


def change_rule(world: World, request: Request) -> Json:
    """`PUT rules/{pos}`: move, or change and delete fields."""
    with editing(world, request) as file:
        rules = rules_of(file, request)
        check_digest(request, digest(shown(world, request, rules)))
        position = _position(request, len(rules))
        target = request.params.get("moveto")
        if target is not None and target != position:
            _move(rules, position, int(target))
            return None
        _take(rules[position], request)
        _take_away(rules[position], split_list(request.params.get("delete") or ""))
        verify(rules[position], *_context(world, request))
    return None


def _move(rules: list[Rule], position: int, target: int) -> None:
    """Put the rule before the one that stands at `target` now; beyond the end is the end."""
    rule = rules.pop(position)
    rules.insert(target - 1 if target > position and target <= len(rules) else target, rule)


def remove_rule(world: World, request: Request) -> Json:
    """`DELETE rules/{pos}`."""
    with editing(world, request) as file:
        rules = rules_of(file, request)
        check_digest(request, digest(shown(world, request, rules)))
        del rules[_position(request, len(rules))]


def _register(prefix: str, audit: Permission, modify: Permission) -> None:
    extra: dict[str, Field] = {"group": SECURITY_GROUP} if "{group}" in prefix else {}
    one = {**extra, "pos": Integer(minimum=0)}
    changing = {
        **rule_fields(adding=False),
        **one,
        "moveto": Integer(optional=True, minimum=0),
        "delete": Text(optional=True, list_of=config_id),
    }
    entries: list[tuple[str, str, dict[str, Field], Handler]] = [
        ("GET", "", extra, list_rules),
        ("POST", "", {**extra, **rule_fields(adding=True)}, add_rule),
        ("GET", "/{pos}", one, read_rule),
        ("PUT", "/{pos}", changing, change_rule),
        ("DELETE", "/{pos}", {**one, "digest": DIGEST}, remove_rule),
    ]
    for method, tail, fields, handler in entries:
        reading = method == "GET"
        route(
            method,
            prefix + tail,
            fields=fields,
            permission=audit if reading else modify,
            proxy_node=False,
            protected=not reading,
        )(handler)


_register(f"{VM_PREFIX}/rules", VM_READ, VM_WRITE)
_register(f"{CLUSTER_PREFIX}/rules", CLUSTER_READ, CLUSTER_WRITE)
_register(f"{CLUSTER_PREFIX}/groups/{{group}}", CLUSTER_READ, CLUSTER_WRITE)
