"""How `prune` is written in fleet.yaml."""

import pytest
from pydantic import ValidationError

from desired.catalog import FleetFile
from desired.prune import Prune

DAY = 86400.0


@pytest.mark.parametrize(
    ("written", "enabled", "grace"),
    [
        (True, True, DAY),
        (False, False, DAY),
        ({"grace": "7d"}, True, 7 * DAY),
        ({"enabled": False, "grace": "2h"}, False, 7200.0),
        ({}, False, DAY),
    ],
)
def test_a_word_or_a_map_turns_it_on(written: object, enabled: bool, grace: float) -> None:
    file = FleetFile.model_validate({"fleet": "a", "clusters": {}, "prune": written})
    assert (file.prune.enabled, file.prune.grace) == (enabled, grace)


def test_without_the_key_nothing_is_pruned() -> None:
    assert FleetFile.model_validate({"fleet": "a", "clusters": {}}).prune == Prune()
    assert not Prune().enabled


@pytest.mark.parametrize("written", ["yes", 1, {"grace": 5}, {"after": "1d"}, {"enabled": 1}])
def test_anything_else_is_refused(written: object) -> None:
    with pytest.raises(ValidationError):
        FleetFile.model_validate({"fleet": "a", "clusters": {}, "prune": written})
