"""What a VM is to be, by its spec and by what was asked of it besides."""

import pytest

from reconciler.effective import REMOVED, TERMINATE, asked, effective, has_turn, is_removed
from state.memory import Intent, Memory, Phase
from tests.engine import AT, UUID, binding, spec

BOUND = Memory(binding("web-1", uuid=UUID))


def asks(detail: str = "") -> Memory:
    return Memory(BOUND.binding, intents={TERMINATE: Intent("web-1", TERMINATE, AT, 0, detail)})


def test_a_word_ends_what_the_spec_wants() -> None:
    assert effective(spec(), BOUND).state == "present"
    assert effective(spec(), asks()).state == "absent"
    assert effective(spec(state="absent"), asks()).state == "absent"


def test_only_what_has_a_machine_can_end_and_what_was_ended_is_not_made() -> None:
    ended = Memory(intents={REMOVED: Intent("web-1", REMOVED, AT)})
    assert has_turn(spec(), Memory()) and not has_turn(spec(), ended)
    assert has_turn(spec(state="absent"), BOUND) and not has_turn(spec(state="absent"), Memory())
    assert is_removed(ended) and not is_removed(Memory()) and not is_removed(BOUND)
    assert is_removed(Memory(binding("web-1", phase=Phase.REMOVED)))


@pytest.mark.parametrize(
    ("detail", "by", "token"),
    [
        ('{"by": "ann", "token": "t1"}', "ann", "t1"),
        ("{half", "somebody", AT.isoformat()),
        ("[1, 2]", "somebody", AT.isoformat()),
        ("", "somebody", AT.isoformat()),
    ],
)
def test_a_row_of_another_program_is_read_as_far_as_it_goes(
    detail: str, by: str, token: str
) -> None:
    wish = asked(asks(detail).intents[TERMINATE])
    assert (wish.verb, wish.by, wish.token) == ("terminate", by, token)
