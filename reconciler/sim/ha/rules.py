"""/cluster/ha/rules: where resources run and which keep together or apart, from 9.0 on.

Sources: pve-ha-manager PVE/API2/HA/Rules.pm, PVE/HA/Rules/{NodeAffinity,ResourceAffinity}.pm.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from reconciler.sim.errors import Refusal, failed, unknown_method
from reconciler.sim.ha.book import Book, Rule, book, digest
from reconciler.sim.ha.groups import member
from reconciler.sim.ha.placement import APART, NODES, TOGETHER, members, priorities
from reconciler.sim.ha.resources import AUDIT, MANAGE, MODIFIED, resource_id
from reconciler.sim.ha.rounds import wake
from reconciler.sim.parameters.formats import DIGEST, config_id
from reconciler.sim.parameters.schema import Boolean, Field, Text, split_list
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

RULES = "/cluster/ha/rules"
ONE = f"{RULES}/{{rule}}"
RESOURCE = "resource-affinity"
KINDS = (NODES, RESOURCE)
NAME = Text(format=config_id)
SETTINGS: dict[str, Field] = {
    "affinity": Text(optional=True, enum=(TOGETHER, APART)),
    "comment": Text(optional=True, max_length=4096),
    "disable": Boolean(optional=True),
    "nodes": Text(optional=True, list_of=member),
    "resources": Text(optional=True, list_of=resource_id),
    "strict": Boolean(optional=True),
}
REQUIRED = {NODES: ("nodes", "resources"), RESOURCE: ("affinity", "resources")}
OPTIONAL = {
    NODES: ("affinity", "comment", "disable", "strict"),
    RESOURCE: ("comment", "disable"),
}


def _need_rules(world: World, request: Request) -> None:
    """8.x has no such path."""
    if world.major < 9:
        raise unknown_method(request.method, request.raw_path)


def shown(name: str, rule: Rule, held: Book) -> dict[str, Any]:
    row = {key: value for key, value in asdict(rule).items() if value is not None}
    row["type"] = row.pop("kind")
    row["resources"] = ",".join(sorted(members(rule)))
    if rule.nodes is not None:
        given = priorities(rule.nodes)
        row["nodes"] = ",".join(
            f"{node}:{given[node]}" if given[node] else node for node in sorted(given)
        )
    if rule.kind == NODES:
        row = {"affinity": TOGETHER, "strict": 0} | row
    order = list(held.rules).index(name) + 1
    return row | {"rule": name, "order": order, "digest": digest(held.rules)}


@route(
    "GET",
    RULES,
    fields={"resource": Text(optional=True), "type": Text(optional=True, enum=KINDS)},
    permission=AUDIT,
)
def list_rules(world: World, request: Request) -> Json:
    _need_rules(world, request)
    held = book(world)
    kind, sid = request.params.get("type"), request.params.get("resource")
    return [
        shown(name, rule, held)
        for name, rule in held.rules.items()
        if kind in (None, rule.kind) and (sid is None or sid in members(rule))
    ]


@route("GET", ONE, fields={"rule": NAME}, permission=AUDIT)
def get_rule(world: World, request: Request) -> Json:
    _need_rules(world, request)
    held, name = book(world), str(request.params["rule"])
    if name not in held.rules:
        raise failed(f"no such ha rule '{name}'\n")
    return shown(name, held.rules[name], held)


@route(
    "POST",
    RULES,
    fields={"rule": NAME, "type": Text(enum=KINDS), **SETTINGS},
    permission=MANAGE,
    protected=True,
)
def create_rule(world: World, request: Request) -> None:
    _need_rules(world, request)
    params = {key: value for key, value in request.params.items() if value is not None}
    held, name, kind = book(world), str(params.pop("rule")), str(params.pop("type"))
    _check_keys(kind, params)
    for key in REQUIRED[kind]:
        if key not in params:
            raise failed(f"missing value for required option '{key}'\n")
    head = "create ha rule failed: "
    if name in held.rules:
        raise failed(f"{head}HA rule '{name}' already defined\n")
    rule = Rule(kind=kind, **params)
    _check_parties(world, held, rule, head)
    _check_feasible(world, held, name, rule)
    held.rules[name] = rule
    wake(world)


def _check_keys(kind: str, params: dict[str, Any]) -> None:
    for key in sorted(params):
        if key not in (*REQUIRED[kind], *OPTIONAL[kind]):
            raise failed(f"unexpected property '{key}'\n")


def _check_parties(world: World, held: Book, rule: Rule, head: str) -> None:
    strangers = [sid for sid in sorted(members(rule)) if sid not in held.resources]
    if strangers:
        raise failed(f"{head}cannot use unmanaged resource(s) {', '.join(strangers)}.\n")
    nodes = sorted(priorities(rule.nodes or ""))
    missing = [node for node in nodes if node not in world.nodes]
    if missing:
        raise failed(f"{head}cannot use non-existant node(s) {', '.join(missing)}.\n")


def _check_feasible(world: World, held: Book, name: str, rule: Rule) -> None:
    """Raise 400 `Rule 'x' is invalid.` with what contradicts it."""
    if rule.disable:
        return
    others = [one for key, one in held.rules.items() if key != name and not one.disable]
    faults = _node_faults(rule, others) if rule.kind == NODES else _pair_faults(world, rule, others)
    if faults:
        raise Refusal(400, f"Rule '{name}' is invalid.\n", {"resources": ", ".join(faults)})


def _node_faults(rule: Rule, others: list[Rule]) -> list[str]:
    taken = {sid for one in others if one.kind == NODES for sid in members(one)}
    return [
        f"resource '{sid}' is already used in another node affinity rule"
        for sid in sorted(members(rule))
        if sid in taken
    ]


def _pair_faults(world: World, rule: Rule, others: list[Rule]) -> list[str]:
    mine, faults = set(members(rule)), []
    if len(mine) < 2:
        faults.append("rule is ineffective as there are less than two resources")
    if rule.affinity == APART and len(mine) > len(world.nodes):
        faults.append("rule defines more resources than available nodes")
    opposite = TOGETHER if rule.affinity == APART else APART
    for one in others:
        shared = mine & set(members(one))
        if one.kind == RESOURCE and one.affinity == opposite and len(shared) >= 2:
            text = f"rule shares two or more resources with a {opposite} resource affinity rule"
            faults.append(text)
    return faults


@route(
    "PUT",
    ONE,
    fields={
        "rule": NAME,
        "type": Text(optional=True, enum=KINDS),
        "delete": Text(optional=True, list_of=config_id, max_length=4096),
        "digest": DIGEST,
        **SETTINGS,
    },
    permission=MANAGE,
    protected=True,
)
def change_rule(world: World, request: Request) -> None:
    _need_rules(world, request)
    params = {key: value for key, value in request.params.items() if value is not None}
    held, name = book(world), str(params.pop("rule"))
    given, gone = params.pop("digest", None), split_list(str(params.pop("delete", "")))
    head = "update HA rules failed: "
    if given and given != digest(held.rules):
        raise failed(head + MODIFIED)
    rule = held.rules.get(name)
    if rule is None:
        raise failed(f"{head}HA rule '{name}' does not exist\n")
    if params.pop("type", rule.kind) != rule.kind:
        raise failed(f"{head}can't change value of fixed parameter 'type'\n")
    _check_keys(rule.kind, params)
    for key in gone:
        if key in REQUIRED[rule.kind]:
            raise failed(f"{head}unable to delete required option '{key}'\n")
        if key not in OPTIONAL[rule.kind]:
            raise failed(f"{head}no such option '{key}'\n")
    kept = {key: value for key, value in asdict(rule).items() if key not in gone}
    changed = Rule(**(kept | params))
    _check_parties(world, held, changed, head)
    _check_feasible(world, held, name, changed)
    held.rules[name] = changed
    wake(world)


@route("DELETE", ONE, fields={"rule": NAME}, permission=MANAGE, protected=True)
def delete_rule(world: World, request: Request) -> None:
    _need_rules(world, request)
    book(world).rules.pop(str(request.params["rule"]), None)
    wake(world)
