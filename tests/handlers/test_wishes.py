"""What the intents ask of a VM: read, or told to be unclear."""

from datetime import UTC, datetime

import pytest

from handlers.wishes import (
    Unclear,
    asks_off,
    is_asked,
    is_renewed,
    kept_macs,
    read_wish,
    unclear,
    wish_of,
    wishes_of,
)
from state.memory import Intent, Memory

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def memory(**details: str) -> Memory:
    kinds = {f"do.{verb.replace('_', '-')}": detail for verb, detail in details.items()}
    return Memory(intents={kind: Intent("web-1", kind, AT, 0, d) for kind, d in kinds.items()})


def test_a_row_says_who_asks_by_which_token_and_what_besides() -> None:
    wish = wish_of(memory(rollback='{"by": "ann", "token": "t1", "name": "gold"}'), "rollback")
    assert wish is not None
    assert (wish.by, wish.token, wish.params) == ("ann", "t1", {"name": "gold"})


def test_a_row_without_a_token_is_known_by_its_moment() -> None:
    wish = wish_of(memory(suspend=""), "suspend")
    assert wish is not None
    assert (wish.by, wish.token) == ("outside", AT.isoformat())


@pytest.mark.parametrize(
    ("verb", "detail", "why"),
    [
        ("explode", "{}", "do.explode names no verb"),
        ("suspend", "now", "do.suspend: its detail is no JSON"),
        ("suspend", "[1]", "do.suspend: its detail is no JSON object"),
    ],
)
def test_odd_rows_ask_nothing_and_are_told(verb: str, detail: str, why: str) -> None:
    odd = memory(**{verb: detail})
    assert list(wishes_of(odd)) == []
    ((kind, reason),) = unclear(odd)
    assert kind == f"do.{verb}"
    assert reason.startswith(why)
    with pytest.raises(Unclear, match=why):
        read_wish(odd.intents[kind])


def test_clear_rows_are_no_trouble() -> None:
    clear = memory(suspend="{}", snapshot='{"token": "t"}')
    assert [wish.verb for wish in wishes_of(clear)] == ["snapshot", "suspend"]
    assert list(unclear(clear)) == []
    assert list(unclear(Memory(intents={"stop": Intent("web-1", "stop", AT)}))) == []


def test_power_and_onboot_follow_from_a_suspend_and_from_its_end() -> None:
    assert asks_off(memory(suspend="{}"))
    assert not asks_off(memory(resume="{}"))
    for asked in (memory(suspend="{}"), memory(resume="{}")):
        assert is_asked(asked, "power", "stop.off")
        assert is_asked(asked, "options", "onboot")
        assert not is_asked(asked, "options", "name")
    assert not is_asked(Memory(), "power", "power")


def test_a_machine_is_to_end_for_another_one_until_it_is_gone() -> None:
    """DEP-28, DEP-09."""
    assert is_renewed(memory(redeploy="{}"))
    assert is_renewed(memory(reinstall='{"macs": {"net0": "AA"}}'))
    made = memory(reinstall='{"stage": "made", "macs": {"net0": "AA"}}')
    assert not is_renewed(made)
    assert not is_renewed(Memory())
    assert kept_macs(made) == {"net0": "AA"}
    assert kept_macs(memory(reinstall="{}")) == kept_macs(Memory()) == {}
