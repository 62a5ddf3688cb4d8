"""The spec that a pruned VM has for its end: what it last was, with `state: absent`."""

import json

from pydantic import ValidationError

from desired.assemble import ABSENT
from desired.spec import VMSpec
from state.applied import AppliedSpec
from state.memory import Binding

KEPT = (*ABSENT, "windows")
"""What counts of a spec at its VM's end, as where a person writes `state: absent`."""


def absent_spec(binding: Binding, applied: AppliedSpec | None) -> VMSpec:
    """Return the spec under which a VM ends whose own has gone.

    What the last spec said of the end still counts (protection, windows); of a VM that never
    settled nothing is remembered but its binding.
    """
    last: dict[str, object] = {}
    if applied is not None:
        last = {name: one for name, one in json.loads(applied.document).items() if name in KEPT}
    mine = {
        "key": binding.key,
        "cluster": binding.cluster,
        "name": binding.name,
        "state": "absent",
        "was": None,
    }
    try:
        return VMSpec.model_validate_json(json.dumps({**last, **mine}))
    except ValidationError:
        return VMSpec.model_validate(mine)
