"""How a command answers: `--output`, and the one JSON object that it prints."""

import json

import click

from reconciler.form import SCHEMA_VERSION

OUTPUT = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
OUTPUT_MARKDOWN = click.option(
    "--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True
)
"""The same of a command whose answer may stand in a merge request."""


def document(**parts: object) -> str:
    """Return a command's answer as one JSON object that says which form it has."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **parts}, indent=2, ensure_ascii=False)


def answer(output: str, text: str, **parts: object) -> None:
    """Print a short answer: the text, or the object."""
    click.echo(document(**parts) if output == "json" else text)
