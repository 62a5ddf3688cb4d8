"""The command `reconcile`: its options, its exit statuses, and where each sub-command stands.

Only click is loaded here. Every command loads what it needs when it runs, so that `--version` and
completion answer at once.
"""

import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from reconciler import VERSION
from reconciler.cli.keys import Named, completing, vm_keys
from reconciler.cli.settings import (
    EXIT_FAILED,
    EXIT_STOPPED,
    EXIT_USAGE,
    EXITS,
    Settings,
    default_fleet,
)

EPILOG = "\n".join(["\b", "Exit status:", *(f"{number:>4}  {words}" for number, words in EXITS)])

COMMANDS = {
    "init": "init",
    "run": "run",
    "validate": "inspect",
    "schema": "inspect",
    "status": "inspect",
    "show": "show",
    "log": "inspect",
    "why": "inspect",
    "doctor": "inspect",
    "drift": "drift",
    "adopt-drift": "drift",
    "hold": "act",
    "unhold": "act",
    "restart": "restart",
    "terminate": "terminate",
    "suspend": "verbs",
    "resume": "verbs",
    "move": "verbs",
    "snapshot": "snapshots",
    "rollback": "snapshots",
    "snapshots": "snapshots",
    "restore": "restore",
    "backup": "backup",
    "reinstall": "verbs",
    "redeploy": "verbs",
    "reset": "reset",
    "forget": "reset",
    "debt": "debt",
    "dns": "dns",
    "orphans": "orphans",
    "zombies": "zombies",
    "usage": "usage",
    "notices": "notices",
    "rollout": "rollout",
    "approve": "act",
    "password": "password",
    "redo": "redo",
    "adopt": "adopt",
    "rebuild-state": "act",
    "db": "db",
    "job": "job",
    "list-tasks": "job",
    "scheduled-tasks": "job",
    "locks": "locks",
    "health": "health",
    "queue": "queue",
    "process-queue": "queue",
    "verify": "verify",
    "spec": "spec",
    "ip": "ip",
    "iso": "iso",
    "template": "template",
    "simulate": "simulate",
    "export-inventory": "inventory",
    "completion": "completion",
    "help": "help",
}
"""Each sub-command and the module that holds it."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found = getattr(
            importlib.import_module(f"reconciler.cli.{module}"), cmd_name.replace("-", "_")
        )
        if not isinstance(found, click.Command):
            return None
        return completing(found)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
@click.version_option(VERSION, prog_name="reconcile")
@click.option(
    "--fleet",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="RECONCILE_FLEET",
    show_envvar=True,
    help="The folder with fleet.yaml. Default: here, or ./desired/fleet.",
)
@click.option(
    "--database",
    envvar="RECONCILE_DATABASE",
    show_envvar=True,
    metavar="URL",
    help="A path or a postgresql:// URL; goes before `database:` in fleet.yaml.",
)
@click.option("--once", is_flag=True, help="Make the fleet what its specs say, and end.")
@click.option("--dry-run", is_flag=True, help="With --once: show what would change; write nothing.")
@click.option(
    "--only",
    multiple=True,
    type=Named(vm_keys),
    metavar="GLOB",
    help="With --once: only VMs of these keys.",
)
@click.option(
    "--output",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="With --once: for people, as JSON lines, or (a dry run) as markdown.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=1),
    default=50.0,
    show_default=True,
    metavar="SECONDS",
    help="With --once: end by then; the next run goes on.",
)
@click.option("--approve", metavar="DIGEST", help="With --once: approve this plan as it runs.")
@click.option("--strict", is_flag=True, help="With --once: do nothing while any spec is broken.")
@click.option(
    "--pull", is_flag=True, help="With --once: fast-forward the fleet's git branch first."
)
@click.option("--as-of", metavar="COMMIT", help="With --once --dry-run: the fleet at that commit.")
@click.option(
    "--inventory",
    "inventories",
    multiple=True,
    metavar="CLUSTER=FILE",
    help="With --once --dry-run: against a simulated copy of the cluster.",
)
@click.option("-v", "--verbose", is_flag=True, help="With --once: also skips and API requests.")
@click.option("-q", "--quiet", is_flag=True, help="With --once: only what is wrong.")
@click.option("--run-task", "--run", metavar="NAME", help="The same as `job run NAME`.")
@click.option("--list", "list_jobs", is_flag=True, help="The same as `job list`.")
@click.option("--clear-locks", is_flag=True, help="The same as `locks clear`.")
@click.option(
    "--no-lock", is_flag=True, help="With --once: keep no other run away; to look for a fault."
)
@click.pass_context
def cli(
    ctx: click.Context,
    fleet: Path | None,
    database: str | None,
    once: bool,
    dry_run: bool,
    only: tuple[str, ...],
    output: str,
    time_limit: float,
    approve: str | None,
    strict: bool,
    pull: bool,
    as_of: str | None,
    inventories: tuple[str, ...],
    verbose: bool,
    quiet: bool,
    run_task: str | None,
    list_jobs: bool,
    clear_locks: bool,
    no_lock: bool,
) -> None:
    """Make a Proxmox VE fleet what its YAML files say, and keep it so.

    \b
    Examples:
      reconcile validate                      are the specs sound?
      reconcile --once --dry-run              what would change?
      reconcile --once                        change it
      reconcile --once --only 'web-*' -v      a few VMs, with every API request
      reconcile status                        where does each VM stand?
      reconcile why web-1                     why is it not ready, and what can I do?
      * * * * * reconcile --fleet /etc/fleet --once --quiet       (a cron line)
    """
    ctx.obj = Settings(fleet or default_fleet(), database)
    asked = [once, run_task is not None, list_jobs, clear_locks, bool(ctx.invoked_subcommand)]
    if sum(asked) > 1:
        raise click.UsageError("give one of --once, --run-task, --list, --clear-locks or a command")
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet exclude each other")
    if dry_run and approve:
        raise click.UsageError("--approve has no place in a dry run")
    if dry_run and pull:
        raise click.UsageError("--pull changes the fleet's folder, a dry run nothing; see --as-of")
    if as_of is not None and not dry_run:
        raise click.UsageError("--as-of is for looking: it goes with --once --dry-run only")
    if inventories and not dry_run:
        raise click.UsageError("--inventory is for looking: it goes with --once --dry-run only")
    if output == "markdown" and not dry_run:
        raise click.UsageError(
            "--output markdown is for a plan: it goes with --once --dry-run only"
        )
    if list_jobs or clear_locks:
        from reconciler.cli.job import list_jobs as listed
        from reconciler.cli.locks import clear

        ctx.invoke(listed if list_jobs else clear, output=output)
    elif once or run_task is not None:
        from reconciler.cli.once import Once, once_or_dry

        asked_for = Once(dry_run, only, output, time_limit, approve, strict, verbose, quiet)
        asked_for = replace(
            asked_for, pull=pull, as_of=as_of, inventories=inventories, no_lock=no_lock
        )
        if run_task is not None:
            from reconciler.cli.job import run_named

            ctx.exit(run_named(ctx.obj, run_task, asked_for))
        ctx.exit(once_or_dry(ctx.obj, asked_for))
    elif dry_run or only or approve or strict or pull or no_lock or verbose or quiet:
        raise click.UsageError(f"this belongs to --once: {_options_of_once(ctx)}")
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit(EXIT_USAGE)


def _options_of_once(ctx: click.Context) -> str:
    names = ("dry_run", "only", "approve", "strict", "pull", "no_lock", "verbose", "quiet")
    return ", ".join(f"--{name.replace('_', '-')}" for name in names if ctx.params[name])


def main() -> int:
    """Run the command line; return its exit status. Errors a person can mend are one line each."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    if "GATEWAY_INTERFACE" in os.environ or "REQUEST_METHOD" in os.environ:
        click.echo("reconcile is for a command line; a web server may not run it (CGI)", err=True)
        return EXIT_USAGE
    try:
        status = cli.main(prog_name="reconcile", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        error.show()
        return EXIT_FAILED
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; the next run goes on from here", err=True)
        return EXIT_STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:
        from reconciler.cli.errors import status_and_words

        known = status_and_words(error)
        if known is None:
            raise
        click.echo(known[1], err=True)
        return known[0]
