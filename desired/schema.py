"""JSON Schemas by which an editor checks and completes the files of a fleet.

`desired/fleet/.schema/` holds them as files; the sample files name them in their first line.
"""

import json
import re

from desired.catalog import FleetFile, Pool
from desired.options import NAMES, PREFIXES
from desired.render import GROUP_NAMES
from desired.spec import VMSpec
from desired.zonefiles import ZONE_KEY
from desired.zones import ZONE_HIDDEN, ZoneSpec

Json = dict[str, object]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TEMPLATE: Json = {"type": "string", "pattern": r"\{[{%]", "description": "a jinja2 template"}
_NAME = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"
_INTERNAL = ("key", "name_template", "windows", "copies")
_VM_ONLY = ("state", "was", "adopt")
_GROUPS: Json = {
    "count": {"type": "integer", "minimum": 0, "description": "machines KEY/1 to KEY/N"},
    "for_each": {
        "description": f"machines KEY/ITEM; templates know {', '.join(GROUP_NAMES)}",
        "anyOf": [{"type": "array"}, {"type": "object"}],
    },
}
_BY_WORD = ("Iso", "Pci", "Rng", "Share", "Snippet", "Usb", "Vga")
_OPTIONS: Json = {
    "options": {
        "type": "object",
        "description": "a product's options by their names, as a billing panel gives them",
        "properties": {name: {"type": ["number", "string", "null"]} for name in NAMES},
        "patternProperties": {
            f"^{re.escape(prefix)}": {"type": ["number", "string", "null"]} for prefix in PREFIXES
        },
        "additionalProperties": False,
    }
}
_BOUNDS = {"ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum"}
_VARS: Json = {"vars": {"type": "object", "description": "names that templates may use"}}


def schemas() -> dict[str, Json]:
    """Return the schema of each kind of file: fleet, packages, pools, zones and vms."""
    spec = _spec()
    package = _without(spec, (*_VM_ONLY, "package"))
    vm = _with(spec, {**_GROUPS, **_VARS, **_OPTIONS})
    fleet = FleetFile.model_json_schema()
    fleet["$defs"] = {**_part(fleet, "$defs"), **_part(spec, "$defs")}
    fleet["$defs"]["RolloutRules"] = {"anyOf": [fleet["$defs"]["RolloutRules"], {"const": "off"}]}
    fleet["$defs"]["Prune"] = {"anyOf": [fleet["$defs"]["Prune"], {"type": "boolean"}]}
    defaults = {key: value for key, value in _without(spec, _VM_ONLY).items() if key != "$defs"}
    fleet["properties"]["defaults"] = _with(defaults, _VARS)
    found: dict[str, Json] = {
        "fleet": {"$schema": DRAFT, **fleet},
        "packages": _named(_with(package, _VARS), "Packages by name"),
        "pools": _named(Pool.model_json_schema(), "Address pools by name"),
        "zones": _named(_zone(), "DNS zones by name", ZONE_KEY.pattern),
        "vms": _named(vm, "VMs by key"),
    }
    return {name: _bounded(schema) for name, schema in found.items()}


def schema_files() -> dict[str, str]:
    """Return the text of each schema file by its name."""
    return {
        f"{name}.schema.json": json.dumps(schema, indent=1, sort_keys=True) + "\n"
        for name, schema in schemas().items()
    }


def _bounded(schema: Json) -> Json:
    """Return the schema with its bounds in JSON Schema's words; pydantic has its own under null."""

    def words(part: object) -> object:
        if isinstance(part, dict):
            return {_BOUNDS.get(key, key): words(below) for key, below in part.items()}
        return [words(below) for below in part] if isinstance(part, list) else part

    return {key: words(part) for key, part in schema.items()}


def _spec() -> Json:
    """Return the schema of a spec as written: nothing required, null and templates anywhere."""
    schema = _without(VMSpec.model_json_schema(), _INTERNAL)
    _part(schema, "$defs").pop("Window")
    models = [schema, *_part(schema, "$defs").values()]
    for model in models:
        assert isinstance(model, dict)
        model.pop("required", None)
        model["properties"] = {
            name: _loosened(value) for name, value in _part(model, "properties").items()
        }
    _shorthands(_part(schema, "$defs"))
    return schema


def _shorthands(models: Json) -> None:
    """Add the short forms that the models take beside their maps."""
    short: dict[str, Json] = {
        "Placement": {"type": "string"},
        "Family": {"enum": ["dhcp", "auto", "none"]},
        "Safeguard": {"const": "snapshot"},
        **{key: {"type": ["string", "number"]} for key in ("Asked", "AskedSnapshot")},
        **{name: {"type": "string"} for name in _BY_WORD},
    }
    for name, form in short.items():
        models[name] = {"anyOf": [models[name], form, TEMPLATE]}
    rule = models["Rule"]
    assert isinstance(rule, dict)
    for port in ("sport", "dport"):
        _part(rule, "properties")[port] = {"type": ["string", "integer", "null"]}
    nic = models["Nic"]
    assert isinstance(nic, dict)
    link: Json = {"anyOf": [{"enum": ["up", "down"]}, {"type": ["boolean", "null"]}]}
    _part(nic, "properties")["link"] = {**link, "description": "up or down"}


def _loosened(value: object) -> Json:
    """Return a field's schema that also takes null (drops what is inherited) and a template."""
    assert isinstance(value, dict)
    kept = {key: value[key] for key in ("description", "title") if key in value}
    inner = {key: part for key, part in value.items() if key not in (*kept, "default")}
    choices = list(inner["anyOf"]) if set(inner) == {"anyOf"} else [inner]
    choices = [_below(choice) for choice in choices if choice != {"type": "null"}]
    return {**kept, "anyOf": [*choices, {"type": "null"}, TEMPLATE]}


def _below(choice: Json) -> Json:
    """Return a list's or map's schema with its items loosened alike."""
    inner = {key: choice[key] for key in ("items", "additionalProperties") if key in choice}
    loose: Json = {key: _loosened(part) for key, part in inner.items() if isinstance(part, dict)}
    return {**choice, **loose}


def _zone() -> Json:
    return _without(ZoneSpec.model_json_schema(), tuple(ZONE_HIDDEN))


def _named(schema: Json, title: str, name: str = _NAME) -> Json:
    """Return the schema of a file that maps names to such things; `.names` are hidden."""
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    return {
        "$schema": DRAFT,
        "title": title,
        "type": "object",
        "patternProperties": {name: inner, r"^\.": True},
        "additionalProperties": False,
        "$defs": schema.get("$defs", {}),
    }


def _part(schema: Json, key: str) -> Json:
    part = schema[key]
    assert isinstance(part, dict)
    return part


def _with(schema: Json, more: Json) -> Json:
    return {**schema, "properties": {**_part(schema, "properties"), **more}}


def _without(schema: Json, names: tuple[str, ...]) -> Json:
    kept = {key: v for key, v in _part(schema, "properties").items() if key not in names}
    return {**schema, "properties": kept}
