"""A spec that is made of what a VM is has nothing to change about it."""

from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.express.document import expressed
from reconciler.registry import vm_handlers
from state.change import Change
from state.observed import SeenVM
from state.verbs import DO
from tests.casefile import read_case

CASES = Path(__file__).parent.parent.parent / "cases"
NOT_SAID = ("description", "tags", "stop", "scsi1.waiting")
"""The fleet's marks, a restart that was asked for, and a size beside a pending value."""
OURS = {
    "exists": "the clone",
    "firewall": "rules get our id, sets follow the leases",
    "ha": "an HA resource that was not read",
    "placement": "where a clone is still to go stands in the store",
    "safeguard": "a snapshot of ours, which no spec asks for",
}
HANDLERS = {one.name: one for one in vm_handlers() if one.name not in OURS}
FILES = [path for path in sorted(CASES.glob("*/*.yaml")) if path.parent.name in HANDLERS]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_nothing_differs_from_a_spec_made_of_it(path: Path) -> None:
    case = read_case(path)
    if case.seen.config is None:
        pytest.skip("nothing is seen")
    seen = unasked(case.seen)
    made = expressed(seen)
    found = [
        (one.handler, one.field, one.old, one.new)
        for one in HANDLERS[case.handler].diff(made.spec, seen)
        if isinstance(one, Change) and one.field not in NOT_SAID
    ]
    assert found == []
    left_out = [text.partition(":")[0] for text in made.left_out]
    assert left_out == LEFT_OUT.get(f"{path.parent.name}/{path.stem}", [])


def unasked(seen: SeenVM) -> SeenVM:
    """The VM without what was asked of it by verbs: no state of it says that."""
    intents = {kind: one for kind, one in seen.memory.intents.items() if not kind.startswith(DO)}
    return replace(seen, memory=replace(seen.memory, intents=intents))


LEFT_OUT = {
    "devices/mapped-instead": ["pci.hostpci0.romfile"],
    "emptied/at-work": ["disks.scsi3.storage", "disks.scsi4.storage"],
    "firmware/running": ["machine"],
}
