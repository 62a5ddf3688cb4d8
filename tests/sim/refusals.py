"""The index of every refusal of the simulated cluster: `python -m tests.sim.refusals [--write]`.

Texts are read from the places where the code raises them, so the index knows every room without
being told; what varies is shown as …. Each is looked up in the recorded flows, where those lie
beside this repository.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ROOT / "reconciler" / "sim"
PAGE = ROOT / "docs" / "refusals.md"
FLOWS = ROOT.parent / "shared" / "pve-transcripts"
VARIES = "…"
TELLING = 8
"""A text with fewer letters of its own is not looked up: it would be found anywhere."""

RAISED: Mapping[str, tuple[str, int]] = {
    "failed": ("500", 0),
    "forbidden": ("403", 0),
    "bad_parameters": ("400", 0),
    "FormatError": ("400", 0),
    "unauthorized": ("401", 0),
    "unknown_method": ("501", 1),
    "root_only": ("500", 1),
    "TaskFailed": ("task", 0),
    "aborted": ("task", 2),
    "Refusal": ("", 1),
}
"""What makes a refusal: its status, and which argument is the text."""

HEAD = """\
# Every refusal of the simulated cluster

Made by `make refusals` from the code; a test compares. *task* is what a task ends with, after the
call was answered with 200. The last column has the recorded flows of Proxmox VE 8.4.1 in which the
same words were heard; refusals without one follow Proxmox's sources or `pve-api.md`.
"""


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One text: the file and function that decide it, its status, and its words."""

    file: str
    text: str
    status: str
    rule: str


@dataclass(slots=True)
class Reader(ast.NodeVisitor):
    """Collects the rows of one file."""

    file: str
    constants: Mapping[str, ast.expr]
    rows: set[Row] = field(default_factory=set)
    functions: list[ast.FunctionDef] = field(default_factory=list)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.functions.append(node)
        self.generic_visit(node)
        self.functions.pop()

    def visit_Call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name in RAISED and self.functions:
            status, position = RAISED[name]
            if not status and node.args:
                status = next(self._texts(node.args[0], 0), VARIES)
            if len(node.args) > position:
                self._add(status, node.args[position])
            for errors in node.args[position + 1 :] if name == "Refusal" else ():
                self._add(status, errors)
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        """`errors[key] = text` counts as raised."""
        (target, *_) = node.targets
        held = target.value if isinstance(target, ast.Subscript) else None
        if isinstance(held, ast.Name) and held.id == "errors" and self.functions:
            self._add("400", node.value)
        self.generic_visit(node)

    def _add(self, status: str, node: ast.expr) -> None:
        for text in self._texts(node, 0):
            line = text.partition("\n")[0]
            if re.search(r"[a-z]{3}", line):
                self.rows.add(Row(self.file, line, status, self.functions[-1].name))

    def _texts(self, node: ast.expr, depth: int) -> Iterator[str]:
        """Every text that an expression may be."""
        if isinstance(node, ast.Constant):
            yield str(node.value)
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else VARIES
                for part in node.values
            )
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            for left in self._texts(node.left, depth):
                yield from (left + right for right in self._texts(node.right, depth))
        elif isinstance(node, ast.IfExp):
            yield from self._texts(node.body, depth)
            yield from self._texts(node.orelse, depth)
        elif isinstance(node, ast.Dict):
            for one in node.values:
                yield from self._texts(one, depth)
        elif isinstance(node, ast.DictComp):
            yield from self._texts(node.value, depth)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "dict.fromkeys":
            yield from self._texts(node.args[1], depth)
        elif isinstance(node, ast.Name) and depth < 2 and (found := list(self._values(node.id))):
            for one in found:
                yield from self._texts(one, depth + 1)
        else:
            yield VARIES

    def _values(self, name: str) -> Iterator[ast.expr]:
        """What a name is given in the function at hand, or in the file."""
        within = [
            one.value
            for one in ast.walk(self.functions[-1])
            if isinstance(one, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == name for target in one.targets)
        ]
        yield from within or ([self.constants[name]] if name in self.constants else [])


def constants(tree: ast.Module) -> dict[str, ast.expr]:
    found: dict[str, ast.expr] = {}
    for one in tree.body:
        if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
            found[one.targets[0].id] = one.value
    return found


def rows_of(path: Path) -> set[Row]:
    tree = ast.parse(path.read_text())
    reader = Reader(str(path.relative_to(ROOMS)), constants(tree))
    reader.visit(tree)
    return reader.rows


Heard = Mapping[str, set[str]]
"""By the number of the flow: every line that Proxmox said in it."""


def heard(folder: Path = FLOWS) -> dict[str, set[str]]:
    said: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*.json")):
        lines = said.setdefault(path.name[:2], set())
        for call in json.loads(path.read_text())["calls"]:
            _listen(call["response"], lines)
    return said


def _listen(value: object, lines: set[str]) -> None:
    if isinstance(value, str):
        with suppress(ValueError):
            _listen(json.loads(value) if value.startswith("{") else None, lines)
        lines.update(value.splitlines())
    elif isinstance(value, dict):
        for one in value.values():
            _listen(one, lines)
    elif isinstance(value, list):
        for one in value:
            _listen(one, lines)


def recorded(text: str, said: Heard) -> str:
    """The flows in which these words were heard."""
    parts = text.split(VARIES)
    if sum(map(len, parts)) < TELLING:
        return ""
    longest, words = max(parts, key=len), re.compile(".*?".join(map(re.escape, parts)))
    return " ".join(
        flow
        for flow, lines in said.items()
        if any(longest in one and words.search(one) for one in lines)
    )


def page(said: Heard) -> str:
    """The whole page."""
    parts = [HEAD]
    for path in sorted(ROOMS.rglob("*.py")):
        rows = sorted(rows_of(path))
        if rows:
            parts.append(f"## {rows[0].file}\n")
            parts.append("| status | text | rule | recorded |\n| --- | --- | --- | --- |")
            parts += [line(row, said) for row in rows]
            parts.append("")
    return "\n".join(parts)


def line(row: Row, said: Heard) -> str:
    text = row.text.replace("|", "\\|").replace("`", "'")
    found = recorded(row.text, said)
    return f"| {row.status} | `{text}` | {row.rule} | {found} |"


def main() -> int:
    text = page(heard())
    if "--write" in sys.argv:
        PAGE.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
