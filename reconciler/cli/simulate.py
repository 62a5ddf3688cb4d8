"""`reconcile simulate`: the simulated Proxmox cluster as a server of its own."""

import json
from pathlib import Path
from typing import Literal

import click


@click.command(short_help="Serve a simulated Proxmox cluster.")
@click.option("--nodes", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option(
    "--vms",
    type=click.IntRange(0, 100_000),
    default=0,
    show_default=True,
    help="VMs that are there already and belong to nobody's fleet.",
)
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8006,
    show_default=True,
    help="Of the first node; the others take the next ones. 0: any free.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="How much faster tasks and broadcasts are.",
)
@click.option(
    "--http-limits",
    type=click.Choice(["real", "fast", "off"]),
    default="real",
    show_default=True,
    help="Workers, delays, time-outs and keep-alive limits of the web server.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of MACs, uuids and the like.")
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the world in this file; a saved world wins over the other options.",
)
@click.option(
    "--world",
    type=click.Choice(["demo", "recorded"]),
    default="demo",
    show_default=True,
    help="`recorded`: the world that recorded Proxmox flows start from.",
)
@click.option(
    "--profile",
    type=click.Choice(["8.4", "9"]),
    default="8.4",
    show_default=True,
    help="The release of Proxmox VE that a demo cluster runs.",
)
@click.option(
    "--from",
    "inventory",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A copy of the cluster that this inventory was taken of (export-inventory).",
)
@click.option(
    "--fault",
    "given",
    multiple=True,
    metavar="KIND[,FIELD=VALUE]…",
    help="Something that goes wrong from the start; docs/simulator.md lists the kinds.",
)
@click.option(
    "--faults",
    "file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A JSON list of such faults, each {kind: …, FIELD: VALUE}.",
)
def simulate(
    nodes: int,
    vms: int,
    host: str,
    port: int,
    speed: float,
    http_limits: Literal["real", "fast", "off"],
    seed: int,
    state: Path | None,
    world: Literal["demo", "recorded"],
    profile: Literal["8.4", "9"],
    inventory: Path | None,
    given: tuple[str, ...],
    file: Path | None,
) -> None:
    """Serve a simulated Proxmox VE cluster over HTTPS until interrupted.

    \b
    Examples:
      reconcile simulate                               3 nodes on port 8006
      reconcile simulate --nodes 5 --vms 200 --port 0  a fuller cluster on a free port
      reconcile simulate --state /tmp/lab.json         goes on where it was stopped
      reconcile simulate --from lab.json               a copy of one's own cluster
      reconcile simulate --fault node-down,node=pve2,lasting=60
    """
    from reconciler.sim.faults.fault import parse_fault
    from reconciler.sim.launch import ServeOptions
    from reconciler.sim.serve import serve
    from reconciler.sim.state import StateBusy

    try:
        faults = [*map(parse_fault, given), *(json.loads(file.read_text()) if file else ())]
        options = ServeOptions(
            nodes,
            vms,
            host,
            port,
            speed,
            http_limits,
            seed,
            state,
            world,
            tuple(faults),
            inventory,
            profile,
        )
        serve(options, lambda line: click.echo(line))
    except (OSError, ValueError, StateBusy) as error:
        raise click.ClickException(f"the simulator cannot start: {error}") from error
