"""What `template check` and `template build` print: text, markdown for a merge request, JSON."""

from collections.abc import Iterator, Sequence

from desired.source import Fleet
from reconciler.show.text import Paint, count_of
from reconciler.template.check import Checked, Finding
from state.api import Json

MARKS = {"wrong": "!", "warning": "~", "ask": "?", "ok": " "}


def render_checks(checks: Sequence[Checked], paint: Paint, *, verbose: bool = False) -> str:
    """A head for each copy, then what is to be said of it; sound things only with `verbose`."""
    lines: list[str] = []
    for checked in checks:
        wrong = any(one.level == "wrong" for _, group in _groups(checked) for one in group)
        for head, findings in _groups(checked):
            told = [one for one in findings if verbose or one.level != "ok"]
            unfit = wrong and findings is checked.whole
            lines.append(paint.bold(head) + ("" if told or unfit else ": fit"))
            lines += [_line(one, paint) for one in told]
    return "\n".join([*lines, paint.bold(_sum(checks))])


def _groups(checked: Checked) -> Iterator[tuple[str, tuple[Finding, ...]]]:
    template = checked.template
    of = f"{template.alias} in {template.cluster}"
    for copy, findings in zip(template.copies, checked.copies, strict=True):
        what = f"vm {copy.source}" if isinstance(copy.source, int) else f"image {copy.source}"
        on = f" on {', '.join(copy.nodes)}" if copy.nodes else ""
        yield f"{of}, {what}{on}", findings
    yield f"{of}, used by {count_of(len(template.users), 'VM')}", checked.whole


def _line(one: Finding, paint: Paint) -> str:
    colour = {"wrong": paint.bad, "warning": paint.warn, "ask": paint.dim, "ok": paint.good}
    text = f"  {MARKS[one.level]} {one.what}: {one.says}"
    return colour[one.level](text) + (f"\n      {one.advice}" if one.advice else "")


def _sum(checks: Sequence[Checked]) -> str:
    levels = [one.level for checked in checks for _, group in _groups(checked) for one in group]
    number = sum(len(checked.copies) for checked in checks)
    copies = f"{number} {'copy' if number == 1 else 'copies'}"
    wrong, warnings = levels.count("wrong"), levels.count("warning")
    asked = count_of(levels.count("ask"), "question")
    return (
        f"{count_of(len(checks), 'template')}, {copies}: {wrong} wrong, "
        f"{count_of(warnings, 'warning')}, {asked} that only a look inside answers."
    )


def render_markdown(checks: Sequence[Checked]) -> str:
    """A table of all that is not simply sound."""
    lines = ["| template | | what | seen | to do |", "|" + " --- |" * 5]
    for checked in checks:
        for head, findings in _groups(checked):
            for one in findings:
                if one.level != "ok":
                    cells = (head, one.level, one.what, one.says, one.advice)
                    lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join([*lines, "", _sum(checks)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def checks_json(checks: Sequence[Checked]) -> list[Json]:
    """`[{template, cluster, users, copies: [{source, nodes, findings}], findings}]`."""
    return [
        {
            "template": checked.template.alias,
            "cluster": checked.template.cluster,
            "users": [spec.key for spec in checked.template.users],
            "copies": [
                {
                    "source": copy.source,
                    "nodes": list(copy.nodes),
                    "size": copy.size,
                    "findings": [_finding_json(one) for one in findings],
                }
                for copy, findings in zip(checked.template.copies, checked.copies, strict=True)
            ],
            "findings": [_finding_json(one) for one in checked.whole],
        }
        for checked in checks
    ]


def _finding_json(one: Finding) -> Json:
    return {"level": one.level, "what": one.what, "seen": one.says, "advice": one.advice or None}


def render_built(fleet: Fleet, alias: str, cluster: str, vmid: int) -> str:
    """The line of fleet.yaml that names a new copy, and what else is to be thought of."""
    old = [one for one in fleet.templates.get(alias, {}).get(cluster, ()) if one != vmid]
    lines = ["in fleet.yaml:", "templates:", f"  {alias}: {{{cluster}: [{vmid}]}}"]
    if old:
        every = ", ".join(map(str, [*old, vmid]))
        lines[-1] += f"   # [{every}] if the others are copies of the same image"
    if fleet.images.get(alias, {}).get(cluster):
        lines.append(f"and take {alias}: {{{cluster}: ...}} out of images:")
    return "\n".join(lines)
