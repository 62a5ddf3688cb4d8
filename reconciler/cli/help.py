"""`reconcile help`: topics that go beyond one command, and any command's own help."""

import difflib
import sys

import click

from reconciler.cli.topics import TOPICS


@click.command(short_help="Explain a topic, or a command.")
@click.argument("words", metavar="[TOPIC | COMMAND]", nargs=-1)
@click.pass_context
def help(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Explain a topic, or a command; without either, list the topics.

    \b
    Examples:
      reconcile help
      reconcile help conditions
      reconcile help spec put
    """
    from reconciler.cli.guidance import page

    if not words:
        width = max(map(len, TOPICS))
        lines = [f"  {name.ljust(width)}  {about}" for name, about in TOPICS.items()]
        click.echo("\n".join(["Topics:", *lines, "", "Commands: reconcile --help"]))
        return
    text = page(words[0]) if words[0] in TOPICS and len(words) == 1 else _of_command(ctx, words)
    if sys.stdout.isatty():
        click.echo_via_pager(text)
    else:
        click.echo(text)


def _of_command(ctx: click.Context, words: tuple[str, ...]) -> str:
    """Return the help of a command by its whole name, or say what may be meant."""
    inner, command = ctx.find_root(), ctx.find_root().command
    for word in words:
        names = command.list_commands(inner) if isinstance(command, click.Group) else []
        found = command.get_command(inner, word) if isinstance(command, click.Group) else None
        if found is None:
            known = [*names, *(TOPICS if command is ctx.find_root().command else ())]
            near = difflib.get_close_matches(word, known, n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"no topic or command {' '.join(words)}{hint}")
        inner, command = click.Context(found, info_name=word, parent=inner), found
    return command.get_help(inner)
