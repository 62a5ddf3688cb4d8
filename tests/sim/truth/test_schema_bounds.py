"""What Proxmox's own schema refuses of a value, the simulator refuses too."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.sim.parameters.schema import Field, Properties, Text
from reconciler.sim.routes import ROUTES

BOUNDS = {
    "minimum": "minimum",
    "maximum": "maximum",
    "min_length": "minLength",
    "max_length": "maxLength",
}
NEWER = {
    "comment: format",  # pve-fw-comment-spec came with 9.x
    "crs.ha: enum",  # `dynamic` came with 9.2
}
"""Rules of the 9.x schema that 8.4 lacks."""
LOOSER = {
    "blocksize: format",
    "compression: enum",  # 8.4 lists the words, 9.x does not
    "content: format",  # an enum of the same words stands beside it
    "migration_network: format",  # only root@pam may say these two when it starts a VM
    "targetstorage: format",
    "node-list: format",  # of /cluster/metrics/export
    "roleid: format",
}
"""Rules that make no difference, or to nobody but root@pam."""

BRIEF = "/cluster/sdn"
"""Zones and virtual networks are there to be read and named, not judged value by value."""


def differences(name: str, field: Field, entry: Mapping[str, Any]) -> Iterator[str]:
    for ours, theirs in BOUNDS.items():
        bound = entry.get(theirs)
        if getattr(field, ours, None) != (None if bound is None else float(bound)):
            yield f"{name}: {theirs}"
    words = {str(one) for one in getattr(field, "enum", ())}
    if words != {str(one) for one in entry.get("enum") or ()}:
        yield f"{name}: enum"
    form = entry.get("format")
    listed = isinstance(field, Text) and field.list_of is not None
    checked = field.format is not None or listed or isinstance(field, Properties)
    if checked != (form is not None):
        yield f"{name}: format"
    if isinstance(field, Properties) and isinstance(form, dict):
        for part, one in field.parts.items():
            if part in form:
                yield from differences(f"{name}.{part}", one, form[part])


def test_bounds_words_and_formats_agree_with_the_schema(shared: Path) -> None:
    paths = json.loads((shared / "pve-schema.json").read_text(encoding="utf-8"))["paths"]
    found: set[str] = set()
    for route in ROUTES:
        if not route.handler.__module__.startswith("reconciler.") or route.path.startswith(BRIEF):
            continue
        entry = paths.get(route.path, {}).get(route.method, {"parameters": {}})
        known = entry["parameters"].get("properties", {})
        for name, field in route.fields.items():
            given = known.get(name) or known.get(f"{name.rstrip('0123456789')}[n]")
            if given is not None:
                found.update(differences(name, field, given))
    assert sorted(found - NEWER - LOOSER) == []
