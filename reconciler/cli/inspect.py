"""Commands that only look: validate, schema, status, log, why, doctor."""

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, OUTPUT_MARKDOWN, document
from reconciler.cli.settings import EXIT_FAILED, Settings

if TYPE_CHECKING:
    from reconciler.config import Opened
    from reconciler.pve.preflight import Finding


@click.command(short_help="Check every file; all errors at once.")
@click.option("--show", metavar="VM", help="Print this VM's spec as merged, rendered and checked.")
@OUTPUT_MARKDOWN
@click.pass_context
def validate(ctx: click.Context, show: str | None, output: str) -> None:
    """Check every file of the fleet; all errors at once, each with file, line and column.

    Asks no cluster, and the database only if `sources:` names it. Exit status 1 when anything is
    wrong.

    \b
    Examples:
      reconcile validate
      reconcile --fleet /etc/fleet validate --show web-1
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.own.loops import own_loops
    from reconciler.show.faults import faults_json, render_faults
    from reconciler.specs import read_fleet

    settings: Settings = ctx.obj
    fleet = read_fleet(settings.fleet, settings.database, now())
    fleet = replace(fleet, errors=(*fleet.errors, *own_loops(fleet)[1].errors))
    if show is not None:
        key = known_key(show, fleet, ())
        if key in fleet.vms:
            whole = fleet.vms[key].model_dump(mode="json", exclude_none=True, by_alias=True)
            click.echo(document(**whole))
    if output == "json" and show is None:
        click.echo(document(**faults_json(fleet)))
    elif show is None or fleet.errors:
        click.echo(render_faults(fleet, markdown=output == "markdown"))
    if fleet.errors or fleet.broken:
        ctx.exit(EXIT_FAILED)


@click.command(short_help="Print JSON Schemas for editors.")
@click.argument(
    "kind", type=click.Choice(["fleet", "packages", "pools", "vms", "zones"]), required=False
)
@click.option("--write", type=click.Path(file_okay=False), help="Write all of them to this folder.")
def schema(kind: str | None, write: str | None) -> None:
    """Print the JSON Schema of a kind of file, or write all of them, for editors.

    \b
    Examples:
      reconcile schema vms
      reconcile schema --write .schema
    Then begin a file with:
      # yaml-language-server: $schema=../.schema/vms.schema.json
    """
    from pathlib import Path

    from desired.schema import schema_files, schemas

    if write is not None:
        folder = Path(write)
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in schema_files().items():
            (folder / name).write_text(text)
            click.echo(folder / name)
    elif kind is not None:
        click.echo(json.dumps(schemas()[kind], indent=2, sort_keys=True))
    else:
        raise click.UsageError("name a kind of file: fleet, packages, pools or vms; or --write DIR")


ORDER = click.Choice(["key", "name", "phase", "state", "cluster", "node", "vmid"])


@click.command(short_help="Show where every VM stands.")
@click.argument("vm", required=False)
@click.option("--search", default="", metavar="TEXT", help="In key, name, vmid, address, trouble.")
@click.option("--phase", "phases", multiple=True, metavar="PHASE", help="ready, change, deploy …")
@click.option("--state", "states", multiple=True, metavar="STATE", help="ready, set_ip, starting …")
@click.option("--condition", "conditions", multiple=True, metavar="NAME", help="Drifted, Held …")
@click.option("--cluster", default="", metavar="NAME", help="Only of this cluster.")
@click.option("--node", default="", metavar="NAME", help="Only on this node.")
@click.option("--failed", is_flag=True, help="Only those of which something failed last.")
@click.option("--sort", "order", type=ORDER, default="key", show_default=True)
@click.option("--reverse", "backwards", is_flag=True, help="The last one first.")
@click.option("--page-size", "size", type=click.IntRange(0), default=0, help="VMs a page; 0: all.")
@click.option("--page", type=click.IntRange(1), default=1, show_default=True)
@OUTPUT
@click.pass_obj
def status(settings: Settings, /, vm: str | None, output: str, **asked: object) -> None:
    """Show where every VM stands, or all about one; as the last run saw it.

    \b
    Examples:
      reconcile status
      reconcile status web-1
      reconcile status --search 10.0.7 --phase ready --sort node
      reconcile status --failed --page-size 50 --page 2
      reconcile status --output json | jq '.vms[] | select(.state != "ready")'
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.selection import Selection
    from reconciler.show.status import as_json, render_fleet, render_last, render_vm
    from reconciler.status import fleet_status

    chosen = Selection(**asked)  # type: ignore[arg-type]
    with open_preview(settings.fleet, settings.database, now()) as opened:
        vms = fleet_status(opened.fleet, opened.store, now())
        last = next(iter(opened.store.journal.runs(1)), None)
    if vm is not None:
        key = known_key(vm, opened.fleet, [seen.key for seen in vms])
        vms = tuple(seen for seen in vms if seen.key == key)
    found = vms if vm is not None else chosen.pick(vms)
    shown = vms if vm is not None else chosen.cut(found)
    pages = chosen.pages(len(found))
    if output == "json":
        click.echo(document(vms=as_json(shown), total=len(found), page=chosen.page, pages=pages))
    elif vm is not None:
        spec = opened.fleet.vms.get(vm)
        click.echo(render_vm(vms[0], spec.fqdn if spec else None, paint()))
    else:
        click.echo(render_fleet(shown, paint()) if shown or not vms else "no VM is like that")
        if pages > 1:
            click.echo(f"page {chosen.page} of {pages}, {len(found)} VMs in all")
        if last and last.commit:
            click.echo(render_last(last))


@click.command(short_help="Show what past runs did to a VM.")
@click.argument("vm")
@click.option("--run", type=int, metavar="N", help="Only this run, with every step.")
@OUTPUT
@click.pass_obj
def log(settings: Settings, vm: str, run: int | None, output: str) -> None:
    """Show what the last 50 runs did to a VM, and each step of the newest.

    \b
    Examples:
      reconcile log web-1
      reconcile log web-1 --run 17
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.show.status import as_json, render_run, render_runs
    from reconciler.show.verbs import verb_lines

    with open_preview(settings.fleet, settings.database, now()) as opened:
        runs, asked = opened.store.journal.vm_runs(vm), opened.store.verbs.of(vm)
        if not runs:
            known_key(vm, opened.fleet, opened.store.memories())
    if run is not None:
        runs = [found for found in runs if found.run == run]
        if not runs:
            raise click.ClickException(f"run {run} did nothing to {vm}, or is no longer kept")
    if output == "json":
        click.echo(document(vm=vm, runs=as_json(runs), verbs=as_json(asked)))
    elif run is not None:
        click.echo("\n".join(render_run(found, paint()) for found in runs))
    else:
        click.echo(render_runs(vm, runs, paint()))
        for line in verb_lines(asked):
            click.echo(line)


@click.command(short_help="Say why a VM is as it is, and what helps.")
@click.argument("vm")
@OUTPUT
@click.pass_obj
def why(settings: Settings, vm: str, output: str) -> None:
    """Say why a VM is as it is: the last decision, what it waits for, what you can do.

    \b
    Examples:
      reconcile why web-1
    """
    from reconciler.cli.opening import known_key, now
    from reconciler.cli.output import paint
    from reconciler.config import open_preview
    from reconciler.show.status import as_json, render_why
    from reconciler.status import vm_status
    from reconciler.why import explain

    at = now()
    with open_preview(settings.fleet, settings.database, now()) as opened:
        store = opened.store
        key = known_key(vm, opened.fleet, store.memories())
        memory = store.memories([key])[key]
        runs = store.journal.vm_runs(key)
        conditions = store.conditions.all().get(key, ())
        chosen = store.placements.choice(key)
    seen = vm_status(key, opened.fleet, memory, conditions, runs, at)
    explained = explain(seen, memory, runs, at, chosen)
    if output == "json":
        parts = as_json(explained)
        assert isinstance(parts, dict)
        click.echo(document(**parts))
    else:
        click.echo(render_why(explained, paint()))


@click.command(short_help="Check what each cluster must have.")
@OUTPUT
@click.pass_context
def doctor(ctx: click.Context, output: str) -> None:
    """Check each cluster: version, quorum, clock, templates, storages, bridges, rights.

    One line each, with what to do about what is missing. Changes nothing.

    \b
    Examples:
      reconcile doctor
    """
    from reconciler.cli.opening import now
    from reconciler.cli.output import busy, paint
    from reconciler.config import open_preview
    from reconciler.show.status import as_json, render_findings

    settings: Settings = ctx.obj
    at = now()
    with busy("asking clusters"), open_preview(settings.fleet, settings.database, at) as opened:
        found = {name: _findings(opened, name, at) for name in sorted(opened.fleet.clusters)}
    if output == "json":
        listed = {name: as_json(findings) for name, findings in found.items()}
        click.echo(document(clusters=listed))
    else:
        texts = [render_findings(name, findings, paint()) for name, findings in found.items()]
        click.echo("\n\n".join(texts))
    if not all(finding.ok for findings in found.values() for finding in findings):
        ctx.exit(EXIT_FAILED)


def _findings(opened: "Opened", name: str, at: datetime) -> "tuple[Finding, ...]":
    """Return what preflight finds; a cluster that cannot be opened is a finding of its own."""
    from reconciler.pve.preflight import Finding, preflight
    from reconciler.secrets import SecretError
    from reconciler.sim.embedded import EmbeddedFailed
    from state.api import ApiError

    try:
        return preflight(opened.connect(name), opened.fleet, name, at).findings
    except (ApiError, SecretError, EmbeddedFailed) as error:
        return (Finding(False, "connection", str(error), "correct its entry in fleet.yaml"),)
