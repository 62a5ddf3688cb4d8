"""`reconcile adopt`: VMs that others made, written down as specs and taken over."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, document
from reconciler.cli.settings import EXIT_FAILED, Settings

if TYPE_CHECKING:
    from reconciler.adopt.folder import AdoptedFile
    from reconciler.adopt.found import Selection
    from reconciler.adopt.propose import Proposal


@click.command(short_help="Take VMs that others made into the fleet.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Those with this tag.")
@click.option("--pool", "pools", multiple=True, metavar="POOL", help="Those in this pool.")
@click.option("--vmid", "vmids", multiple=True, type=int, metavar="N", help="This one.")
@click.option("--all", "everything", is_flag=True, help="Every VM that is nobody's yet.")
@click.option("--cluster", "clusters", multiple=True, metavar="NAME", help="Only in this cluster.")
@click.option(
    "--write",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write the specs below DIR; the fleet's own folder puts them to use.",
)
@click.option("--force", is_flag=True, help="With --write: replace files that say something else.")
@click.option("--apply", "applies", is_flag=True, help="Bind and mark what the specs name.")
@OUTPUT
@click.pass_context
def adopt(
    ctx: click.Context,
    tags: tuple[str, ...],
    pools: tuple[str, ...],
    vmids: tuple[int, ...],
    everything: bool,
    clusters: tuple[str, ...],
    folder: Path | None,
    force: bool,
    applies: bool,
    output: str,
) -> None:
    """Take running VMs of other hands into the fleet, as they are.

    Shows the specs that it would write: what VMs of one size share is a package, and a VM is left
    out unless a plan of its spec changes nothing. --write writes them; --apply binds the VMs that
    the fleet's specs name by `adopt:` and marks them in Proxmox, which is all that is written to
    them while `drift: alert` stands in their specs.

    \b
    Examples:
      reconcile adopt --all                        what would it write? writes nothing
      reconcile adopt --tag shop --write .         specs into this fleet; look at them
      reconcile adopt --tag shop --apply           take those VMs over
    """
    from reconciler.adopt.found import Selection

    settings: Settings = ctx.obj
    selection = Selection(tags, pools, vmids, everything, clusters)
    _check(settings.fleet, selection, folder, force, applies)
    failed = False
    answers: dict[str, object] = {}
    if folder is not None or not applies:
        failed = _propose(settings, selection, folder, force, output, answers)
    if applies:
        failed = _apply(settings, selection, output, answers) or failed
    if output == "json":
        click.echo(document(**answers))
    if failed:
        ctx.exit(EXIT_FAILED)


def _check(
    fleet: Path, selection: "Selection", folder: Path | None, force: bool, applies: bool
) -> None:
    """Refuse what makes no sense."""
    from desired.files import FileSource

    if not (selection.tags or selection.pools or selection.vmids or selection.everything):
        raise click.UsageError("say which VMs: --tag, --pool, --vmid or --all")
    if force and folder is None:
        raise click.UsageError("--force goes with --write")
    if applies and folder is not None and folder.resolve() != fleet.resolve():
        raise click.UsageError("--apply takes what stands in the fleet: write into its folder")
    there = FileSource(fleet).head().clusters
    for name in selection.clusters:
        if name not in there:
            raise click.UsageError(f"unknown cluster {name}; there are {', '.join(sorted(there))}")


def _propose(
    settings: Settings,
    selection: "Selection",
    folder: Path | None,
    force: bool,
    output: str,
    answers: dict[str, object],
) -> bool:
    """Show what would be written, and write it if asked to; True if something went wrong."""
    from reconciler.adopt.folder import compared, write
    from reconciler.adopt.propose import propose
    from reconciler.cli.output import busy, notes_aside, paint
    from reconciler.options import RunOptions
    from reconciler.show.adopt import proposal_json, render_proposal

    with busy("reading clusters"):
        options = RunOptions(settings.fleet, settings.database)
        proposal = propose(options, selection, notes_aside())
    files = compared(folder or settings.fleet, proposal.texts, proposal.batch)
    if folder is not None:
        _insist(files, force, proposal)
        write(folder, files)
    answers |= proposal_json(proposal, files)
    if output == "text":
        click.echo(render_proposal(proposal, files, paint()))
    return bool(proposal.problems) or any(not one.expected for one in proposal.left_out)


def _insist(files: "list[AdoptedFile]", force: bool, proposal: "Proposal") -> None:
    """Refuse to lose what stands there."""
    edited = [one for one in files if one.mark in ("~", "-")]
    if proposal.problems:
        told = "\n".join(proposal.problems)
        raise click.ClickException(f"nothing was written, for not all was seen:\n{told}")
    if edited and not force:
        listed = "\n".join(f"  {one.mark} {one.inner}" for one in edited)
        raise click.ClickException(
            "these say something else, so nothing was written (--force replaces `~` and removes"
            f" `-`):\n{listed}"
        )


def _apply(
    settings: Settings, selection: "Selection", output: str, answers: dict[str, object]
) -> bool:
    """Take over what the specs name; True if something went wrong."""
    from reconciler.adopt.apply import apply
    from reconciler.cli.opening import person
    from reconciler.cli.output import busy, notes_aside, paint
    from reconciler.options import RunOptions
    from reconciler.show.adopt import adoption_json, render_adoption

    options = RunOptions(settings.fleet, settings.database, by=person())
    with busy("adopting"):
        adoption = apply(options, selection, notes_aside())
    answers |= adoption_json(adoption)
    if output == "text":
        click.echo(render_adoption(adoption, paint()))
    marked = adoption.run is None or adoption.run.failed == 0
    return bool(adoption.problems) or not marked or any(not o.expected for o in adoption.left_out)
