"""The pages of `reconcile help`: texts in reconciler/pages, and what is made from the code."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from textwrap import fill

from reconciler.cli.settings import EXITS
from reconciler.cli.topics import TOPICS
from reconciler.conditions import MEANINGS
from reconciler.why import ADVICE

WIDTH = 100


def page(topic: str) -> str:
    """Return a topic's page; raises KeyError for one that there is not."""
    if topic in MADE:
        return MADE[topic]()
    if topic not in TOPICS:
        raise KeyError(topic)
    return files("reconciler").joinpath("pages", f"{topic}.txt").read_text().rstrip()


def exit_codes() -> str:
    """Return the page of exit statuses."""
    lines = [f"{number:>4}  {words}" for number, words in EXITS]
    more = "A status stays what it is: scripts may build on it."
    return "\n".join([*_head("Exit statuses"), *lines, "", more])


def conditions() -> str:
    """Return the page of conditions: what each means, and what a person can do."""
    lines = _head("Conditions of a VM")
    lines += [
        "`reconcile status` lists them, `reconcile why VM` says since when, and why.",
    ]
    for name, meaning in sorted(MEANINGS.items()):
        lines += ["", name, _indented(f"{meaning}.")]
        if name in ADVICE:
            lines.append(_indented(f"-> {ADVICE[name].format(key='VM')}"))
    return "\n".join(lines)


MADE: Mapping[str, Callable[[], str]] = {"conditions": conditions, "exit-codes": exit_codes}


def _head(title: str) -> list[str]:
    return [title, "=" * len(title)]


def _indented(text: str) -> str:
    return fill(
        text, WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )
