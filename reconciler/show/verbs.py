"""What was asked of a VM by a word, as `log` tells it."""

from collections.abc import Iterable, Iterator

from state.verbs import VerbRow

MOST = 20


def verb_lines(rows: Iterable[VerbRow]) -> Iterator[str]:
    """A line for each of the newest verbs: when, what, by whom, and what came of it."""
    for row in list(rows)[:MOST]:
        result = row.result or "open"
        about = f": {row.message}" if row.message else ""
        yield (
            f"{row.asked_at.astimezone():%Y-%m-%d %H:%M:%S}  {row.verb} asked by {row.by} "
            f"({row.token}): {result}{about}"
        )
