"""Rollouts as a person reads them."""

from dataclasses import replace

from reconciler.show.rollout import bar, batch_lines, preview_lines, render_list, render_one
from reconciler.show.text import Paint
from tests.reconciler.rollout.test_renewal import TWO, out

ONE = out({TWO}, a="done", b="working", c="waiting", d="left")


def test_a_bar_counts_what_is_done_and_half_of_what_is_at_work() -> None:
    assert bar(ONE) == "[##########..........] 1/3"
    assert bar(out({TWO}, a="left")) == "[####################] 0/0"


def test_a_paused_rollout_says_why() -> None:
    paused = replace(ONE, state="paused", why="b: no room")
    assert "b: no room" in render_list([paused], Paint())
    text = render_one(paused, [("c",)], Paint())
    assert text.splitlines()[2] == "b: no room" and text.endswith("next: c")


def test_many_batches_and_many_vms_are_not_all_named() -> None:
    lines = batch_lines([tuple("abcdefgh")] * 7)
    assert lines[0] == "next: a, b, c, d, e, f and 2 more"
    assert lines[-1] == "then 2 batches more"
    assert batch_lines([("a",)] * 6)[-1] == "then 1 batch more"


def test_a_preview_names_what_is_at_work_and_what_stands_still() -> None:
    assert preview_lines(replace(ONE, id=0), [("c",)]) == [
        "rollout (new): x for 2 VMs, 1 batch to come",
        "  at work: b",
        "  next: c",
    ]
    assert preview_lines(replace(ONE, state="aborted"), [])[0].endswith(", aborted: by a person")
