"""Each path and parameter of the firewall, pools and ACLs is declared as Proxmox declares it."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.sim.accounts import acls, custom_roles, pools, tokens
from reconciler.sim.firewall import aliases, ipsets
from reconciler.sim.firewall import groups as firewall_groups
from reconciler.sim.firewall import options as firewall_options
from reconciler.sim.firewall import rules as firewall_rules
from reconciler.sim.parameters.schema import Boolean, Field, Integer, Properties, Text
from reconciler.sim.routes import ROUTES, Route

MODULES = {
    module.__name__
    for module in (
        acls,
        aliases,
        custom_roles,
        firewall_groups,
        firewall_options,
        firewall_rules,
        ipsets,
        pools,
        tokens,
    )
}
LATER = {("PUT", "/access/users/{userid}/token/{tokenid}", key) for key in ("delete", "regenerate")}
"""What the schema file has from releases after 8.4."""

KINDS = {Integer: "integer", Boolean: "boolean", Text: "string", Properties: "string"}
LIMITS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
    "requires": "requires",
}


@pytest.fixture(scope="module")
def schema(shared: Path) -> Mapping[str, Any]:
    paths: Mapping[str, Any] = json.loads((shared / "pve-schema.json").read_text())["paths"]
    return paths


def ours() -> Iterator[Route]:
    return (route for route in ROUTES if route.handler.__module__ in MODULES)


def wanted(schema: Mapping[str, Any], route: Route) -> dict[str, dict[str, Any]]:
    method = schema[route.path][route.method]
    properties = (method.get("parameters") or {}).get("properties", {})
    return {
        key: one for key, one in properties.items() if (route.method, route.path, key) not in LATER
    }


def declared(field: Field) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": KINDS[type(field)], "optional": field.optional}
    for name, key in LIMITS.items():
        value = getattr(field, name, None)
        if value is not None:
            facts[key] = value
    enum = getattr(field, "enum", ())
    if enum:
        facts["enum"] = list(enum)
    return facts


def stated(entry: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {"type": entry["type"], "optional": bool(entry.get("optional"))}
    facts |= {key: entry[key] for key in LIMITS.values() if key in entry}
    return facts | ({"enum": entry["enum"]} if "enum" in entry else {})


def test_all_of_the_firewall_and_the_pools_is_there(schema: Mapping[str, Any]) -> None:
    paths = [
        path
        for path in schema
        if path.startswith(("/cluster/firewall", "/nodes/{node}/qemu/{vmid}/firewall", "/pools"))
    ]
    missing = {(method, path) for path in paths for method in schema[path]} - {
        (route.method, route.path) for route in ours()
    }
    assert missing == set()


def test_every_call_takes_the_parameters_that_proxmox_takes(schema: Mapping[str, Any]) -> None:
    for route in ours():
        if route.path in schema and route.method in schema[route.path]:
            assert set(route.fields) == set(wanted(schema, route)), (route.method, route.path)


def test_every_parameter_is_declared_alike(schema: Mapping[str, Any]) -> None:
    for route in ours():
        if route.path not in schema or route.method not in schema[route.path]:
            continue
        for key, entry in wanted(schema, route).items():
            if f"{{{key}}}" in route.path and key == "pos":
                # optional by name, but always there
                continue
            seen = declared(route.fields[key])
            assert seen == stated(entry), (route.method, route.path, key)


def test_patterns_and_formats_are_checked_where_proxmox_checks(schema: Mapping[str, Any]) -> None:
    for route in ours():
        if route.path not in schema or route.method not in schema[route.path]:
            continue
        for key, entry in wanted(schema, route).items():
            field = route.fields[key]
            checks = [getattr(field, name, None) for name in ("format", "list_of", "pattern")]
            expects = {"format", "pattern"} & set(entry)
            if expects and entry.get("format") != "pve-fw-comment-spec":
                assert any(checks) or isinstance(field, Properties), (route.path, key)
            assert bool(getattr(field, "pattern", None)) == ("pattern" in entry), (route.path, key)


def test_protection_and_node_are_as_declared(schema: Mapping[str, Any]) -> None:
    for route in ours():
        method = schema.get(route.path, {}).get(route.method)
        if method is not None:
            assert route.protected == bool(method.get("protected")), route.path
            assert route.proxy_node == (method.get("proxyto") == "node"), route.path
            assert route.allow_token == bool(method.get("allowtoken", 1)), route.path
