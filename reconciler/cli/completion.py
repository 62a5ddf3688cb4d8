"""Shell completion: `reconcile completion bash|zsh|fish` prints what the shell is to load."""

import click
from click.shell_completion import get_completion_class


@click.command(short_help="Print a shell's completion script.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Examples:
      reconcile completion bash > ~/.local/share/bash-completion/completions/reconcile
      reconcile completion zsh > ~/.zfunc/_reconcile
      reconcile completion fish > ~/.config/fish/completions/reconcile.fish
    """
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"no completion for {shell}")
    root = ctx.find_root()
    click.echo(found(root.command, {}, "reconcile", "_RECONCILE_COMPLETE").source())
