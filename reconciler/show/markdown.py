"""The dry run as markdown for a merge request: a table, what is behind each line folded away.

Names and values come from specs and clusters, so each stands in a code span: no mention, link,
picture or HTML in it comes to life.
"""

import html
import re
from collections.abc import Iterable, Sequence

from reconciler.git import short
from reconciler.report import DryRun, PlannedVM
from reconciler.show.plan import MARKS, headline, plan_line, shown_notes, unapproved, worth_a_line
from reconciler.show.text import count_of, show_change
from state.change import Change

MOST = 60_000
"""Letters of a whole text: a comment on GitHub may have 65,536."""


def code(text: str) -> str:
    """Return the text as a code span that may stand in a table's cell; empty for no text."""
    plain = " ".join(text.split()).replace("\\|", "\\ |").replace("|", "\\|")
    if not plain:
        return ""
    longest = max((len(run) for run in re.findall("`+", plain)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if plain.startswith("`") or plain.endswith("`") else ""
    # A backslash at the end would take the cell's own bar for its letter.
    padding = padding or (" " if plain.endswith("\\") else "")
    return f"{fence}{padding}{plain}{padding}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table; cells are markdown already."""
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def render_markdown(dry: DryRun) -> str:
    """Return the plan: its counts, a table of the VMs, the details, and what needs approval."""
    shown = [vm for vm in dry.vms if worth_a_line(vm)]
    plain = plan_line(dry).removeprefix("Plan: ").partition(".")[0]
    lines = [f"### Plan: {plain}", ""]
    if dry.commit:
        lines += [f"Specs at commit {code(short(dry.commit))}.", ""]
    lines += [f"- :x: {code(text)}" for text in (*dry.problems, *dry.errors)]
    lines += [""] if dry.problems or dry.errors else []
    if dry.digest:
        held = count_of(sum(len(unapproved(vm)) for vm in dry.vms), "change")
        lines += [f"**{held} to approve:** {code(f'reconcile approve {dry.digest}')}", ""]
    if shown:
        lines += [*within(_overview(shown), MOST // 2, "line"), ""]
    left = MOST - sum(len(line) + 1 for line in lines)
    folded = [block for vm in shown if (block := _details(vm))]
    return "\n".join([*lines, *within(folded, left, "VM")]).rstrip()


def within(blocks: Sequence[str], room: int, noun: str) -> list[str]:
    """Return as many blocks as there is room for, and how many are left out."""
    kept: list[str] = []
    used = 0
    for block in blocks:
        used += len(block) + 1
        if used > room:
            left = count_of(len(blocks) - len(kept), f"more {noun}")
            return [*kept, "", f"... and {left}; the job's own output has all."]
        kept.append(block)
    return kept


def _overview(vms: Sequence[PlannedVM]) -> list[str]:
    rows = [
        (code(MARKS[vm.kind]), code(vm.key), code(_where(vm)), code(headline(vm))) for vm in vms
    ]
    return table(("", "VM", "where", "what"), rows)


def _where(vm: PlannedVM) -> str:
    if vm.kind == "create":
        return ", ".join(filter(None, ("new", vm.package, vm.node)))
    return f"{vm.node}/{vm.vmid}" if vm.vmid is not None else ""


def _details(vm: PlannedVM) -> str:
    """Return what is changed or said of one VM, folded; empty when the overview says it all."""
    changes = vm.changes if vm.kind == "change" else ()
    rows = [_change(change, str(change.effect)) for change in changes]
    rows += [_change(change, f"{change.effect}, needs approval") for change in unapproved(vm)]
    rows += [
        (code(note.field), code(note.reason), code(note.condition or ""))
        for note in shown_notes(vm, False)
    ]
    if not rows:
        return ""
    title = f"<code>{html.escape(f'{MARKS[vm.kind]} {vm.key}')}</code>"
    said = html.escape(" ".join(headline(vm).split())) if vm.kind in ("change", "create") else ""
    head = f"<details><summary>{title} <code>{said}</code></summary>".replace(" <code></code>", "")
    return "\n".join(
        [head, "", *table(("field", "from -> to", "effect"), rows), "", "</details>", ""]
    )


def _change(change: Change, word: str) -> tuple[str, str, str]:
    field, moved = show_change(change)
    return code(field), code(moved), code(word)
