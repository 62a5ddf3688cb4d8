"""The sample fleet, its schemas, and that the two fit."""

import re
from pathlib import Path

import pytest

from desired.document import read_document
from desired.files import FileSource
from desired.schema import Json, schema_files, schemas
from tests.desired.fleets import AT

FLEET = Path(__file__).parents[2] / "desired" / "fleet"
FILES = sorted(FLEET.rglob("*.yaml"))


def test_the_sample_fleet_is_sound() -> None:
    fleet = FileSource(FLEET).load({}, AT)
    assert not fleet.errors
    assert len(fleet.vms) == 12
    assert {vm.package for vm in fleet.vms.values()} == {"small", "large"}
    assert {vm.clone for vm in fleet.vms.values()} == {"linked", "full"}
    assert {vm.node.name for vm in fleet.vms.values() if vm.node} == {"pve1", "pve2", "pve3"}
    assert set(fleet.pools) == {"public-v4", "public-v6", "private-v4"}
    router = fleet.vms["router"]
    assert [nic.ipv4 and nic.ipv4.pool for nic in router.nics.values()] == ["public-v4"] * 2


def test_the_schema_files_are_those_of_the_code() -> None:
    stored = {path.name: path.read_text() for path in (FLEET / ".schema").iterdir()}
    assert stored == schema_files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_sample_file_names_its_schema_and_fits_it(path: Path) -> None:
    text = path.read_text()
    match = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert match
    schema = path.parent / match[1]
    assert schema.resolve().is_file()
    document = schemas()[schema.name.split(".")[0]]
    assert misfits(dict(read_document(path.name, text).entries), document, document) == []


@pytest.mark.parametrize(
    ("kind", "text", "where"),
    [
        ("vms", "a: {memmory: 1GiB}", "/a/memmory"),
        ("vms", "a: {key: x}", "/a/key"),
        ("vms", "a: {disks: {scsi1: {size: 5}}}", "/a/disks"),
        ("packages", "a: {state: absent}", "/a/state"),
        ("packages", "a: {count: 3}", "/a/count"),
        ("vms", "a: {cpu: {cores: 1000}}", "/a/cpu"),
        ("pools", "a: {network: 10.0.0.0/24, vlan: 4095}", "/a/vlan"),
        ("fleet", "fleet: t\nclusters: {}\nguard: {restarts: 30}", "/guard/restarts"),
        ("fleet", "fleet: t\nclusters: {}\ndefaults: {memory: 5}", "/defaults/memory"),
        ("fleet", "fleet: t", "/clusters"),
    ],
)
def test_the_schemas_refuse_what_the_code_refuses(kind: str, text: str, where: str) -> None:
    schema = schemas()[kind]
    assert misfits(dict(read_document("f", text).entries), schema, schema) == [where]


@pytest.mark.parametrize(
    "text",
    [
        "a: {count: 3, vars: {x: 1}, cpu: {cores: '{{ index }}'}, disks: {scsi1: null}}",
        "a: {for_each: {x: {}}, tags: ['{{ item }}'], node: pve1, state: absent, was: b}",
        "a: {nics: {net0: {link: up, ipv4: dhcp, ipv6: {pool: auto}}}, firewall: null}",
        "a: {firewall: {rules: [{in: ACCEPT, proto: tcp, dport: 22}]}, memory: 0}",
        "a: {options: {RAM: 8, CPU Cores: '4', OS|x: debian-12, Backups: null}}",
        "a: {bios: ovmf, efi: {}, vga: serial0, rng: none, iso: 'local:iso/a.iso'}",
        "a: {pci: {hostpci0: gpu}, usb: {usb0: {mapping: b1}}, serials: {serial0: socket}}",
        "a: {cloudinit: {custom: {user: 'local:snippets/u', meta: {volume: 'local:snippets/m'}}}}",
        ".shared: [anything]",
    ],
)
def test_the_schemas_take_what_the_code_takes(text: str) -> None:
    schema = schemas()["vms"]
    assert misfits(dict(read_document("f", text).entries), schema, schema) == []


TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def misfits(value: object, schema: object, root: Json, path: str = "") -> list[str]:
    """Return the paths at which a value does not fit: the part of JSON Schema that we use."""
    if schema is True:
        return []
    if not isinstance(schema, dict):
        return [path]
    if "$ref" in schema:
        definitions = root["$defs"]
        assert isinstance(definitions, dict)
        return misfits(value, definitions[schema["$ref"].rpartition("/")[2]], root, path)
    if "anyOf" in schema:
        tries = [misfits(value, choice, root, path) for choice in schema["anyOf"]]
        return [] if [] in tries else [path]
    kinds = schema.get("type", list(TYPES))
    allowed = [t for kind in ([kinds] if isinstance(kinds, str) else kinds) for t in TYPES[kind]]
    if type(value) not in allowed:
        return [path]
    return _scalar_misfits(value, schema, path) + _inner_misfits(value, schema, root, path)


def _scalar_misfits(value: object, schema: Json, path: str) -> list[str]:
    choices = schema.get("enum", [schema["const"]] if "const" in schema else [value])
    assert isinstance(choices, list)
    fits = value in choices
    if isinstance(value, str):
        fits &= re.search(str(schema.get("pattern", "")), value) is not None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        bounds = schema.get("minimum", value), schema.get("maximum", value)
        fits &= float(str(bounds[0])) <= value <= float(str(bounds[1]))
    return [] if fits else [path]


def _inner_misfits(value: object, schema: Json, root: Json, path: str) -> list[str]:
    if isinstance(value, list):
        items = schema.get("items", True)
        return [
            p for i, item in enumerate(value) for p in misfits(item, items, root, f"{path}/{i}")
        ]
    if not isinstance(value, dict):
        return []
    required, named = schema.get("required", []), schema.get("properties", {})
    patterns = schema.get("patternProperties", {})
    assert isinstance(required, list) and isinstance(named, dict) and isinstance(patterns, dict)
    found = [f"{path}/{name}" for name in required if name not in value]
    for name, part in value.items():
        hits = [s for pattern, s in patterns.items() if re.search(pattern, name)]
        below = [named[name]] if name in named else hits
        below = below or [schema.get("additionalProperties", True)]
        found += [p for s in below for p in misfits(part, s, root, f"{path}/{name}")]
    return found
