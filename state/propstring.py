"""Proxmox's property strings: `[default,]key=value,…` read and written as Proxmox does.

Grammar: pve-common `JSONSchema.pm` (parse_property_string, print_property_string).
"""

from collections.abc import Mapping, Sequence


def parse(text: str, default_key: str | None = None) -> dict[str, str]:
    """Return the fields of a property string; blank parts are skipped as Proxmox skips them.

    Raises ValueError for a repeated key, an empty value, or a bare value without `default_key`.
    """
    fields: dict[str, str] = {}
    for part in text.split(","):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        if not equals:
            if default_key is None:
                raise ValueError(f"expected key=value, seen {part!r} in {text!r}")
            name, value = default_key, part
        if not name or not value:
            raise ValueError(f"expected key=value, seen {part!r} in {text!r}")
        if name in fields:
            raise ValueError(f"key {name!r} stands twice in {text!r}")
        fields[name] = value
    return fields


def render(
    fields: Mapping[str, str], default_key: str | None = None, required: Sequence[str] = ()
) -> str:
    """Return the normal form: the default key first and bare, required keys, the rest by name.

    A default value with a `=` in it is written with its key, for it could not be read back bare.
    Raises ValueError for what cannot stand in a property string.
    """
    first = dict.fromkeys(key for key in (default_key or "", *required) if key in fields)
    order = [*first, *sorted(fields.keys() - first)]
    return ",".join(_part(key, fields[key], bare=key == default_key) for key in order)


def _part(key: str, value: str, bare: bool) -> str:
    if not key or not value or set(key) & set("=,") or "," in value:
        raise ValueError(f"{key!r}={value!r} cannot stand in a property string")
    if bare and "=" not in value and value.strip():
        return value
    return f"{key}={value}"


def parse_boolean(text: str) -> bool:
    """Return a Proxmox boolean: 1, on, yes, true or 0, off, no, false in any case."""
    word = text.strip().lower()
    if word in ("1", "on", "yes", "true"):
        return True
    if word in ("0", "off", "no", "false", ""):
        return False
    raise ValueError(f"expected a boolean such as 1 or 0, seen {text!r}")


def render_number(number: float) -> str:
    """Return a number as Proxmox prints it: `12.5`, `100`, never with an exponent."""
    return f"{number:.6f}".rstrip("0").rstrip(".")
