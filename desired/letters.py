"""The fleet's own letters, `notices/NAME.txt.j2` and `NAME.html.j2`, checked as they are read."""

import re
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from desired.errors import Place
from desired.notices import KINDS, VARIABLES, Notices, Told, unknown
from desired.report import Fault, Report
from desired.wording import Wrong

SAMPLE: Mapping[str, object] = {
    **dict.fromkeys(VARIABLES, "sample"),
    "vmid": 101,
    **dict.fromkeys(("addresses", "ipv4", "ipv6"), ("192.0.2.1",)),
}
_FILE = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}\.(txt|html)\.j2")
_OTHERS = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
SUBJECT = "Subject:"
"""How the first line of a text begins; an empty line follows."""


def letter_environment(html: bool) -> ImmutableSandboxedEnvironment:
    """Return what renders letters: sandboxed, strict about names; HTML is escaped."""
    made = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=html)
    made.globals = {}
    return made


def read_letters(files: Iterable[tuple[str, bytes]], report: Report) -> dict[str, str]:
    """Return the letters by file name (`ready.txt.j2`); what is wrong is reported, and empty.

    No VM is held back for a letter: the one that comes with the program stands in its place.
    """
    letters: dict[str, str] = {}
    places: dict[str, str] = {}
    for file, content in files:
        name = Path(file).name
        places[name] = file
        try:
            text = content.decode()
            line, wrong = _wrong(name, text)
        except UnicodeDecodeError as error:
            text, line, wrong = "", 1, f"expected UTF-8 text: {error.reason}"
        if wrong:
            report.add(Fault(Place(file, line), "", wrong, shared=True))
        letters[name] = "" if wrong else text
    for name in sorted(letters):
        if name.endswith(".html.j2") and name.replace(".html.", ".txt.") not in letters:
            report.add(Fault(Place(places[name]), "", "no .txt.j2 of this name stands beside it"))
    return letters


def _wrong(name: str, text: str) -> tuple[int, str]:
    """Return the line and what is wrong; empty when nothing is."""
    if not _FILE.fullmatch(name):
        return 1, "expected a name such as ready.txt.j2 or ready.html.j2"
    if name.endswith(".txt.j2") and not text.startswith(SUBJECT):
        return 1, f"expected a first line `{SUBJECT} ...`, then an empty line and the text"
    environment = letter_environment(name.endswith(".html.j2"))
    try:
        tree = environment.parse(text)
        found = _names(tree)
        if found[1]:
            return found
        template = environment.from_string(text)
    except TemplateSyntaxError as error:
        return error.lineno, f"bad template: {error.message}"
    except (RecursionError, MemoryError, SyntaxError):
        return 1, "bad template: nested too deeply"
    try:
        template.render(SAMPLE)
    except Exception as error:
        steps = traceback.extract_tb(error.__traceback__)
        lines = [step.lineno or 1 for step in steps if step.filename == "<template>"]
        return [1, *lines][-1], f"template fails: {error}"
    return 1, ""


def _names(tree: nodes.Template) -> tuple[int, str]:
    """Find a name that no letter knows, or another file that it wants."""
    for other in tree.find_all(_OTHERS):
        return other.lineno, "a letter is one file: no include, import or extends"
    set_here = {one.name for one in tree.find_all(nodes.Name) if one.ctx != "load"}
    set_here |= {one.name for one in tree.find_all(nodes.Macro)} | {"loop", "caller"}
    for name in tree.find_all(nodes.Name):
        if name.ctx == "load" and name.name not in VARIABLES and name.name not in set_here:
            known = ", ".join(VARIABLES)
            return name.lineno, f"{name.name} is not known; a letter knows {known}"
    return 1, ""


def notice_wrongs(told: Told | None, notices: Notices, letters: Collection[str]) -> Iterator[Wrong]:
    """Yield which channels and letters a VM names that the fleet does not have."""
    # Where the fleet has none, its own section may be broken: no VM is held back for that.
    for kind, names in told.send.items() if told and notices.channels else ():
        for name in names:
            if name not in notices.channels:
                yield Wrong(("notices", "send", kind), unknown(name, notices.channels))
    for kind, letter in told.templates.items() if told else ():
        if f"{letter}.txt.j2" not in letters and letter not in KINDS:
            message = f"no letter {letter}.txt.j2 in the folder notices/"
            yield Wrong(("notices", "templates", kind), message)
