"""A plan as markdown: what it tells, and that nothing in it comes to life."""

import re
from datetime import UTC, datetime

import pytest

from reconciler.report import DryRun, PlannedVM
from reconciler.show.markdown import MOST, code, render_markdown
from state.change import Change, Effect, Note

AT = datetime(2026, 11, 20, tzinfo=UTC)
GROWN = Change("web-2", "memory", "memory", 2 << 30, 4 << 30, effect=Effect.STOP_START)
WEB = PlannedVM("web-2", "change", "pve2", 111, changes=(GROWN,))
NEW = PlannedVM(
    "cache/1", "create", "pve1", package="small", template=9000, addresses=("10.20.0.17",)
)
SAME = PlannedVM("web-1", "unchanged", "pve1", 110)


def test_a_plan_is_its_counts_a_table_and_what_is_folded_away() -> None:
    text = render_markdown(DryRun(AT, (NEW, SAME, WEB), commit="3f9a1c5b7d2e4860aa55"))
    assert text.splitlines() == [
        "### Plan: 1 to create, 1 to change, 0 to destroy, 1 unchanged",
        "",
        "Specs at commit `3f9a1c5b7d2e`.",
        "",
        "|  | VM | where | what |",
        "| --- | --- | --- | --- |",
        "| `+` | `cache/1` | `new, small, pve1` | `clone 9000, 10.20.0.17` |",
        "| `~` | `web-2` | `pve2/111` | `1 change, restart needed` |",
        "",
        "<details><summary><code>~ web-2</code> <code>1 change, restart needed</code></summary>",
        "",
        "| field | from -> to | effect |",
        "| --- | --- | --- |",
        "| `memory` | `2 GiB -> 4 GiB` | `stop-start` |",
        "",
        "</details>",
    ]


def test_a_plan_without_news_is_one_line() -> None:
    text = render_markdown(DryRun(AT, (SAME,)))
    assert text == "### Plan: 0 to create, 0 to change, 0 to destroy, 1 unchanged"


def test_what_needs_approval_and_what_went_wrong_stand_on_top() -> None:
    asks = Change("web-2", "exists", "machine", None, "vm", approval=True)
    vm = PlannedVM("web-2", "change", "pve2", 111, withheld=(asks,))
    note = Note("web-1", "disks", "system.size", "disks only grow", "ShrinkRefused")
    noted = PlannedVM("web-1", "unchanged", "pve1", 110, notes=(note,))
    dry = DryRun(AT, (noted, vm), "ab12", ("a.yaml:1:1: memory: expected a size",), ("lab: gone",))
    text = render_markdown(dry)
    lines = text.splitlines()
    assert lines[2:7] == [
        "- :x: `lab: gone`",
        "- :x: `a.yaml:1:1: memory: expected a size`",
        "",
        "**1 change to approve:** `reconcile approve ab12`",
        "",
    ]
    assert "| `machine` | `(none) -> vm` | `live, needs approval` |" in lines
    assert "| `system.size` | `disks only grow` | `ShrinkRefused` |" in lines
    assert "<details><summary><code>= web-1</code></summary>" in lines


EVIL = [
    "@everyone",
    "![x](http://evil.example/a.png)",
    "a|b",
    "a\\|b",
    "ends with \\",
    "`code` ``more``",
    "<img src=x onerror=alert(1)>",
    "two\nlines\n\n</details>",
    "",
]


@pytest.mark.parametrize("text", EVIL)
def test_a_code_span_holds_whatever_it_is_given(text: str) -> None:
    """As CommonMark reads it: the fence is longer than any run of backticks within."""
    span = code(text)
    fence = re.match("`*", span)
    assert fence is not None
    inner = span[len(fence.group()) : len(span) - len(fence.group())]
    assert "\n" not in span
    assert re.search(r"(?<!\\)\|", inner) is None
    assert not re.search(r"\\\\\|", inner)
    runs = [len(run) for run in re.findall("`+", inner)]
    assert len(fence.group()) not in runs
    read = inner.strip() if inner.strip() != inner else inner
    plain = read.replace("\\|", "|").replace("\\ |", "\\|")
    assert plain.replace(" ", "") == "".join(text.split())


@pytest.mark.parametrize("text", EVIL)
def test_nothing_that_specs_or_clusters_say_comes_to_life(text: str) -> None:
    change = Change("k", "options", text, text, text)
    vm = PlannedVM(f"k{text}", "change", text, 7, changes=(change,), waits=text)
    stuck = PlannedVM(text, "stuck", reason=text)
    whole = render_markdown(DryRun(AT, (vm, stuck), "ab12", (text,), (text,), commit=text[:12]))
    bare = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", whole)
    bare = re.sub(r"<code>[^<>]*</code>", "", bare)
    bare = re.sub(r"</?(details|summary)>", "", bare)
    assert not re.search(r"[<>@!\[\]]|http|onerror", bare.replace("from -> to", ""))
    for line in whole.splitlines():
        if line.startswith("| `"):
            cells = len(re.findall(r"(?<!\\)\|", line)) - 1
            assert cells in (3, 4), line


def test_a_plan_of_many_vms_stays_within_a_comment_and_says_what_is_left_out() -> None:
    many = tuple(PlannedVM(f"web-{n}", "change", "pve2", n, changes=(GROWN,)) for n in range(3000))
    text = render_markdown(DryRun(AT, many))
    assert len(text) <= MOST + 200
    assert re.search(r"\.\.\. and \d+ more lines; the job's own output has all\.", text)
    assert re.search(r"\.\.\. and \d+ more VMs; the job's own output has all\.", text)
