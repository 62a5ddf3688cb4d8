"""What the simulator accepts is what Proxmox's own schema describes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import reconciler.sim.api  # noqa: F401 - registers every route
from reconciler.sim.accounts.access import all_users
from reconciler.sim.parameters.schema import Properties
from reconciler.sim.routes import ROUTES, Route, Routes

UNDESCRIBED = {
    "GET /access",
    "GET /access/domains/{realm}",
    "GET /access/openid",
    "GET /access/tfa",
    "GET /access/tfa/{userid}",
    "GET /access/users/{userid}/tfa",
    "DELETE /access/groups/{groupid}",
    "DELETE /access/users/{userid}",
    "GET /access/domains",
    "GET /access/groups",
    "GET /access/groups/{groupid}",
    "GET /access/users",
    "GET /access/users/{userid}",
    "GET /access/users/{userid}/token",
    "GET /cluster/ha",
    "GET /cluster/sdn",
    "GET /nodes/{node}/network/{iface}",
    "GET /nodes/{node}/sdn/zones",
    "GET /nodes/{node}/vzdump/extractconfig",
    "POST /access/groups",
    "POST /nodes/{node}/qemu/{vmid}/monitor",
    "PUT /nodes/{node}/qemu/{vmid}/sendkey",
    "POST /access/users",
    "PUT /access/groups/{groupid}",
    "PUT /access/password",
    "PUT /access/users/{userid}",
    "PUT /cluster/sdn",
}
"""Calls of Proxmox 8.4 that the extract of the 9.x schema does not describe."""

LEFT_OUT = (
    "/cluster/ha/groups",
    "/cluster/ha/rules",
    "/cluster/mapping",
    "/nodes/{node}/capabilities",
    "/nodes/{node}/dns",
    "/nodes/{node}/hardware",
)
"""Whole branches that the extract leaves out, or that only 8.x has."""

OLD_PARTS = {"cyls", "heads", "secs", "trans"}
"""Parts of drive values that 8.4 still takes (qemu-server PVE/QemuServer/Drive.pm)."""

DROPPED = {"maxfiles", "notification-policy", "notification-target"}
"""Options of backups that 8.4 takes (pve-guest-common PVE/VZDump/Common.pm) and 9 does not."""

OURS = [route for route in ROUTES if route.handler.__module__.startswith("reconciler.")]
"""Other tests of the same process may have added routes of their own."""

INDEXED = re.compile(r"(\D+)\d+\Z")


@pytest.fixture(scope="session")
def schema(shared: Path) -> dict[str, Any]:
    with open(shared / "pve-schema.json", encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)["paths"]
        return found


def described(schema: dict[str, Any], route: Route) -> dict[str, Any] | None:
    entry = schema.get(route.path, {}).get(route.method)
    return None if entry is None else entry["parameters"].get("properties", {})


def generic(name: str) -> str:
    """`net12` is `net[n]` in the schema."""
    found = INDEXED.match(name)
    return name if found is None else f"{found.group(1)}[n]"


def test_every_route_is_in_the_schema(schema: dict[str, Any]) -> None:
    unknown = [
        f"{route.method} {route.path}"
        for route in OURS
        if described(schema, route) is None and not route.path.startswith(LEFT_OUT)
    ]
    assert sorted(set(unknown) - UNDESCRIBED) == []


def test_every_parameter_is_in_the_schema(schema: dict[str, Any]) -> None:
    unknown = []
    for route in OURS:
        known = described(schema, route)
        if known is None or route.path.startswith(LEFT_OUT):
            continue
        for name in route.fields:
            if name not in known and generic(name) not in known and name not in DROPPED:
                unknown.append(f"{route.method} {route.path}: {name}")
    assert unknown == []


def test_required_and_optional_agree_with_the_schema(schema: dict[str, Any]) -> None:
    wrong = []
    for route in OURS:
        for name, entry in (described(schema, route) or {}).items():
            field = route.fields.get(name)
            if field is None:
                if not entry.get("optional"):
                    wrong.append(f"{route.method} {route.path}: {name} is missing")
            elif field.optional != bool(entry.get("optional")) and f"{{{name}}}" not in route.path:
                wrong.append(f"{route.method} {route.path}: {name} optional {field.optional}")
    assert wrong == []


def test_kinds_agree_with_the_schema(schema: dict[str, Any]) -> None:
    wrong = []
    for route in OURS:
        known = described(schema, route) or {}
        for name, field in route.fields.items():
            entry = known.get(name) or known.get(generic(name))
            if entry is not None and entry.get("type", "string") != field.kind:
                wrong.append(f"{route.method} {route.path}: {name} is {entry.get('type')}")
            if isinstance(field, Properties) and entry is not None:
                wrong += unknown_parts(f"{route.method} {route.path}: {name}", field, entry)
    assert wrong == []


def unknown_parts(where: str, field: Properties, entry: dict[str, Any]) -> list[str]:
    form = entry.get("format")
    if not isinstance(form, dict):
        return []
    return [f"{where}.{part}" for part in field.parts if part not in form and part not in OLD_PARTS]


def test_proxying_agrees_with_the_schema(schema: dict[str, Any]) -> None:
    wrong = []
    for route in OURS:
        entry = schema.get(route.path, {}).get(route.method)
        if entry is not None and bool(entry.get("proxyto")) != route.proxy_node:
            wrong.append(f"{route.method} {route.path}")
    assert wrong == []


def plain(path: str, method: str = "GET") -> Route:
    return Route(method, path, {}, all_users, False, False, True, lambda world, request: path)


def test_literal_segments_win_over_parameters() -> None:
    routes = Routes()
    routes.add(plain("/a/{x}"))
    routes.add(plain("/a/b"))
    found = routes.match("GET", ["a", "b"])
    assert found is not None and found[0].path == "/a/b"
    found = routes.match("GET", ["a", "c"])
    assert found is not None and found[1] == {"x": "c"}
    assert routes.match("PUT", ["a", "b"]) is None
    assert routes.match("GET", ["nope"]) is None


def test_volume_names_may_hold_slashes() -> None:
    routes = Routes()
    routes.add(plain("/content/{volume}"))
    found = routes.match("GET", ["content", "local:iso", "t.iso"])
    assert found is not None and found[1] == {"volume": "local:iso/t.iso"}


def test_a_route_is_declared_once() -> None:
    routes = Routes()
    routes.add(plain("/a/{x}"))
    with pytest.raises(ValueError, match="twice"):
        routes.add(plain("/a/{x}"))
    with pytest.raises(ValueError, match="is called x"):
        routes.add(plain("/a/{y}", "PUT"))
