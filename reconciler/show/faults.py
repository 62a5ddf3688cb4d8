"""What `validate` found in the specs: as text, as JSON, and as markdown for a merge request."""

from desired.source import Fleet
from reconciler.show.markdown import MOST, code, within
from reconciler.show.text import count_of
from state.api import Json


def render_faults(fleet: Fleet, *, markdown: bool) -> str:
    """Return each error with its place, and what they come to."""
    if not fleet.errors and not fleet.broken:
        return f"fleet {fleet.name}: {count_of(len(fleet.vms), 'VM')}, no errors"
    errors, vms = count_of(len(fleet.errors), "error"), count_of(len(fleet.broken), "VM")
    counted = f"{errors}; {vms} of {len(fleet.vms) + len(fleet.broken)} cannot be used"
    if not markdown:
        return "\n".join([*map(str, fleet.errors), counted])
    listed = [f"- :x: {code(str(error))}" for error in fleet.errors]
    return "\n".join([f"### {counted}", "", *within(listed, MOST, "error")])


def faults_json(fleet: Fleet) -> dict[str, Json]:
    """`{fleet, vms, broken: [key], errors: [{file, line, column, field, message, vm}]}`."""
    return {
        "fleet": fleet.name,
        "vms": len(fleet.vms),
        "broken": list[Json](sorted(fleet.broken)),
        "errors": [
            {
                "file": error.place.file,
                "line": error.place.line,
                "column": error.place.column,
                "field": error.field,
                "message": error.message,
                "vm": error.vm,
            }
            for error in fleet.errors
        ],
    }
