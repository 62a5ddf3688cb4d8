"""A notice in words: the fleet's own letters, or those that come with the program."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import TemplateError

from desired.letters import SUBJECT, letter_environment
from desired.notices import KINDS, Kind, Told

BUILT_IN = Path(__file__).parent / "letters"
LONGEST_SUBJECT = 200


class BadLetter(Exception):
    """A letter that cannot be written; says which one and why."""


@dataclass(frozen=True, slots=True)
class Words:
    """What is sent: a subject of one line, the text, and HTML that says the same."""

    subject: str
    text: str
    html: str = ""


def write(name: str, values: Mapping[str, object], own: Mapping[str, str]) -> Words:
    """Write the letter of a name. Raises BadLetter.

    `own` are the fleet's letters by file name. One without HTML of its own has that of all.
    """
    text = own.get(f"{name}.txt.j2") or built_in(f"{name}.txt.j2")
    whole = render(text, values, f"{name}.txt.j2")
    head, _, body = whole.partition("\n")
    subject = one_line(head.removeprefix(SUBJECT))
    page = own.get(f"{name}.html.j2") or built_in("any.html.j2")
    body = body.strip("\n") + "\n"
    more = {**values, "subject": subject, "body": body.strip()}
    return Words(subject, body, render(page, more, f"{name}.html.j2", html=True))


def letter_of(told: Told, kind: Kind, own: Mapping[str, str]) -> str:
    """The name of a kind's letter; the kind's own where the fleet's cannot be read."""
    name = told.templates.get(kind, kind)
    return name if name in KINDS or own.get(f"{name}.txt.j2") else kind


def uses(name: str, variable: str, own: Mapping[str, str]) -> bool:
    """Whether a letter uses a variable."""
    from jinja2.meta import find_undeclared_variables

    pages = [own.get(f"{name}.txt.j2") or built_in(f"{name}.txt.j2"), own.get(f"{name}.html.j2")]
    parse = letter_environment(False).parse
    return any(variable in find_undeclared_variables(parse(page)) for page in pages if page)


def render(text: str, values: Mapping[str, object], name: str, *, html: bool = False) -> str:
    """Return the text with its expressions filled in. Raises BadLetter."""
    try:
        return letter_environment(html).from_string(text).render(values)
    except TemplateError as error:
        raise BadLetter(f"{name}: {error}") from None
    except Exception as error:  # An expression may raise whatever its values do.
        raise BadLetter(f"{name}: {type(error).__name__}: {error}") from None


def one_line(text: str) -> str:
    """Text without line breaks or other characters that are none: it stands in a header."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(plain.split())[:LONGEST_SUBJECT]


@cache
def built_in(name: str) -> str:
    """A letter that comes with the program; empty when there is none. Raises BadLetter."""
    path = BUILT_IN / name
    if not path.is_file():
        raise BadLetter(f"{name}: there is no such letter; put it into notices/ of the fleet")
    return path.read_text(encoding="utf-8")
