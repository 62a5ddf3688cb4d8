"""Our block of firewall rules: on top, contiguous, in order, by few steps."""

from hypothesis import given
from hypothesis import strategies as st

from desired.firewall import Rule
from handlers.rules import (
    Edit,
    Fields,
    Move,
    Post,
    Remove,
    Step,
    mark,
    normal,
    own_id,
    plan_rules,
    shown,
    wanted_rules,
)


def rules(*ports: int) -> list[Fields]:
    asked = [{"in": "ACCEPT", "proto": "tcp", "dport": port} for port in ports]
    return wanted_rules(Rule.model_validate(one) for one in asked)


def foreign(number: int) -> Fields:
    return {"type": "in", "action": "DROP", "source": f"10.0.0.{number}", "enable": "1"}


def carried_out(steps: list[Step], seen: list[Fields]) -> list[Fields]:
    """Do to a list what Proxmox does: a rule is put on top; `moveto` counts before the move."""
    rows = list(seen)
    for step in steps:
        if isinstance(step, Post):
            rows.insert(0, step.fields)
            continue
        assert normal(rows[step.position]) == normal(step.fields)
        row = rows.pop(step.position)
        if isinstance(step, Edit):
            rows.insert(step.position, step.new)
        elif isinstance(step, Move):
            assert step.target != step.position
            rows.insert(step.target - (step.target > step.position), row)
    return rows


ports = st.lists(st.integers(1, 6), max_size=6)
rows = st.lists(
    st.one_of(
        st.integers(1, 6).map(lambda port: rules(port)[0]),
        st.integers(1, 3).map(foreign),
        st.integers(1, 6).map(lambda port: {**rules(port)[0], "dport": "99"}),
    ),
    max_size=8,
)


@given(ports, rows)
def test_our_block_ends_on_top_and_the_rest_keeps_its_order(
    wanted: list[int], seen: list[Fields]
) -> None:
    ours = rules(*wanted)
    others = [row for row in seen if own_id(row) is None]
    steps = plan_rules(ours, seen)
    done = carried_out(steps, seen)
    assert [normal(row) for row in done] == [normal(row) for row in [*ours, *others]]
    assert not plan_rules(ours, done)


def test_a_rule_added_to_the_front_is_one_call() -> None:
    steps = plan_rules(rules(1, 2, 3), [*rules(2, 3), foreign(1)])
    assert [type(step) for step in steps] == [Post]


def test_a_rule_added_in_the_middle_is_an_addition_and_a_move() -> None:
    steps = plan_rules(rules(1, 2, 3), rules(1, 3))
    assert [type(step) for step in steps] == [Post, Move]


def test_two_rules_that_change_places_are_one_move() -> None:
    assert len(plan_rules(rules(2, 1, 3), rules(1, 2, 3))) == 1


def test_a_rule_that_leaves_is_one_call() -> None:
    assert [type(step) for step in plan_rules(rules(1, 3), rules(1, 2, 3))] == [Remove]


def test_a_copied_id_is_removed_once() -> None:
    steps = plan_rules(rules(1), [*rules(1), *rules(1)])
    assert [type(step) for step in steps] == [Remove]


def test_equal_rules_have_ids_of_their_own() -> None:
    assert len({own_id(rule) for rule in rules(1, 1, 1)}) == 3


def test_an_id_survives_another_place_in_the_list() -> None:
    assert own_id(rules(1, 2)[1]) == own_id(rules(2)[0])


def test_a_comment_keeps_its_first_line_after_the_id() -> None:
    rule = Rule.model_validate({"in": "ACCEPT", "comment": "ssh\nand more"})
    assert wanted_rules([rule])[0]["comment"].endswith(" ssh")


def test_a_foreign_rule_is_known_by_what_it_means() -> None:
    shown_now = {**foreign(1), "ipversion": "4", "digest": "d", "pos": "7", "log": "nolog"}
    assert mark(shown_now) == mark({**foreign(1), "source": "10.0.0.1/32"})
    assert mark(foreign(1)) != mark(foreign(2))


def test_a_rule_reads_in_a_few_words() -> None:
    assert shown({"type": "out", "action": "DROP", "proto": "udp"}) == "out DROP udp (off)"
