"""`reconcile job new` and `job check`: a site's own jobs, as files."""

import click

from reconciler.cli.answer import OUTPUT, answer
from reconciler.cli.settings import EXIT_FAILED, Settings

JOBS_DIR = "jobs"
"""Where `job new` writes if fleet.yaml names no `handlers_dir`."""


@click.command(short_help="Write the files of a job of your own.")
@click.argument("name")
@click.option("--handler", is_flag=True, help="One that changes VMs, by a diff.")
@OUTPUT
@click.pass_obj
def new(settings: Settings, name: str, handler: bool, output: str) -> None:
    """Write the code, the metadata and a test of a job of your own. It is off until enabled.

    \b
    Examples:
      reconcile job new weekly_digest
      reconcile job new keyboard --handler
      python -m pytest jobs/test_keyboard.py --rootdir jobs
    """
    from desired.files import FileSource
    from reconciler.own.found import NAME
    from reconciler.own.loops import taken
    from reconciler.own.scaffold import scaffold

    if not NAME.fullmatch(name) or "@" in name or name in taken():
        raise click.BadParameter(
            f"expected lower-case letters, digits and _ and no built-in job, seen {name!r}",
            param_hint="NAME",
        )
    named = FileSource(settings.fleet).head().handlers_dir
    try:
        paths = scaffold(settings.fleet / (named or JOBS_DIR), name, handler=handler)
    except FileExistsError as error:
        raise click.ClickException(str(error)) from None
    lines = [f"wrote {path}" for path in paths]
    if named is None:
        lines.append(f"add to fleet.yaml:  handlers_dir: {JOBS_DIR}")
    lines.append(f"try it with reconcile job dry-run {name}, then reconcile job enable {name}")
    files = [str(path) for path in paths]
    answer(output, "\n".join(lines), job=name, files=files, handlers_dir=named or JOBS_DIR)


@click.command(short_help="Check the files of your own jobs.")
@OUTPUT
@click.pass_context
def check(ctx: click.Context, output: str) -> None:
    """Check the metadata of your own jobs and what fleet.yaml gives them. Runs none of them.

    \b
    Examples:
      reconcile job check
    """
    from reconciler.own.loops import known_loops
    from reconciler.show.text import count_of

    settings: Settings = ctx.obj
    loops, found = known_loops(settings.fleet)
    errors, warnings = [str(one) for one in found.errors], list(found.warnings)
    lines = [*errors, *(f"warning: {one}" for one in warnings)]
    lines.append(f"{count_of(len(loops), 'job')} found, {count_of(len(errors), 'error')}")
    names = [loop.name for loop in loops]
    answer(output, "\n".join(lines), jobs=names, errors=errors, warnings=warnings)
    ctx.exit(EXIT_FAILED if errors else 0)
