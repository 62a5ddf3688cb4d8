"""How `rollout:` is written."""

import pytest
from pydantic import ValidationError

from desired.rollout import RolloutRules


def test_the_most_is_a_number_or_a_share_of_at_least_one() -> None:
    share = RolloutRules.model_validate({"max_unavailable": "10%"})
    assert [share.most(size) for size in (1, 19, 20, 30)] == [1, 1, 2, 3]
    assert RolloutRules.model_validate({"max_unavailable": 4}).most(100) == 4
    assert RolloutRules().most(100) == 10


@pytest.mark.parametrize("value", ["0%", "101%", "ten", 0, -1, True, 0.5, None])
def test_what_is_no_number_and_no_share_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="expected a number of VMs or a share such as 10%"):
        RolloutRules.model_validate({"max_unavailable": value})


def test_off_is_never_and_the_default_is_over_ten() -> None:
    assert RolloutRules.model_validate("off").over is None
    assert RolloutRules().over == 10
    assert RolloutRules.model_validate({"pause": "90s"}).pause == 90.0
