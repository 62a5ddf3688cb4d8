"""How property strings fall apart.

Source: pve-common PVE/JSONSchema.pm (parse_property_string).
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.sim.parameters.faults import FALSE, TRUE, FormatError
from reconciler.sim.parameters.field import Field


def split_properties(known: Mapping[str, Field], text: str) -> dict[str, str]:
    """The parts of a property string by key, aliases resolved; the values are not checked."""
    parts: dict[str, str] = {}
    default_seen = False
    for part in text.split(","):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        if not equals:
            default = next((name for name, one in known.items() if one.default_key), None)
            if default is None:
                raise FormatError("value without key, but schema does not define a default key")
            if default_seen or parts.get(default):
                raise FormatError(f"duplicate key in comma-separated list property: {default}")
            default_seen = True
            parts[default] = part
        elif not key or not value:
            raise FormatError("missing key in comma-separated list property")
        else:
            _put_property(known, parts, key, value)
    return parts


def _put_property(known: Mapping[str, Field], parts: dict[str, str], key: str, value: str) -> None:
    if key in parts:
        raise FormatError(f"duplicate key in comma-separated list property: {key}")
    form = known.get(key)
    if form is not None and form.alias is not None:
        if form.key_alias is not None:
            if form.key_alias in parts:
                raise FormatError(f"key alias '{form.key_alias}' is already defined")
            parts[form.key_alias] = key
        key = form.alias
        form = known.get(key)
    if form is not None and form.kind == "boolean":
        value = "1" if value.lower() in TRUE else "0" if value.lower() in FALSE else value
    parts[key] = value
