"""`reconcile template build`: a template from a disk image, or from a URL of one (CI-04)."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from reconciler.cli.answer import OUTPUT, answer, document
from reconciler.cli.settings import Settings

if TYPE_CHECKING:
    from reconciler.config import Opened
    from reconciler.template.build import Builder, Built
    from reconciler.template.order import Order


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command line, as they were given."""

    alias: str
    cluster: str | None
    node: str
    storage: str
    image: str | None
    url: str | None
    checksum: str
    download_to: str | None
    vmid: int | None
    bridge: str | None
    ostype: str
    uefi: bool
    again: bool


@click.command("build", short_help="Build a template from a disk image.")
@click.argument("alias")
@click.option("--cluster", metavar="NAME", help="Where. Default: the fleet's only cluster.")
@click.option("--node", required=True, help="The node that makes it.")
@click.option("--storage", required=True, help="For its disk and its cloud-init drive.")
@click.option("--image", metavar="VOLUME", help="Such as local:import/debian-13.qcow2.")
@click.option("--url", help="Fetch the image from here first.")
@click.option("--checksum", default="", metavar="KIND:HEX", help="Of what is fetched: sha256:...")
@click.option("--download-to", metavar="STORAGE", help="Where to. Default: one that takes imports.")
@click.option("--vmid", type=click.IntRange(100, 999_999_999), help="Default: free, from 9000 on.")
@click.option("--bridge", help="Give it a NIC on this bridge.")
@click.option("--ostype", default="l26", show_default=True, help="Proxmox's word for the guest.")
@click.option("--uefi", is_flag=True, help="UEFI with secure boot's keys, instead of a BIOS.")
@click.option("--again", is_flag=True, help="Make a new one although there is one.")
@click.option("--dry-run", is_flag=True, help="Show the calls that are left to make; make none.")
@click.option("--time-limit", type=click.FloatRange(min=1), default=1800.0, show_default=True)
@OUTPUT
@click.pass_obj
def build_template(
    settings: Settings, /, dry_run: bool, time_limit: float, output: str, **options: object
) -> None:
    """Build a template from a disk image, and print the line that names it in fleet.yaml.

    A VM is created with a copy of the image, a cloud-init drive, a serial console and the guest
    agent switched on, and becomes a template. No VM is ever overwritten: what is new has a new
    vmid. When it is cut short, the same command goes on; when all is done, it does nothing.

    \b
    Examples:
      reconcile template build debian-13 --node pve1 --storage local-lvm \\
          --image local:import/debian-13.qcow2
      reconcile template build debian-13 --node pve1 --storage local-lvm --again \\
          --url https://cloud.example/debian-13.qcow2 --checksum sha256:...
    """
    from reconciler.cli.opening import now
    from reconciler.config import open_live, open_preview
    from reconciler.show.templates import render_built
    from reconciler.template.order import BadOrder
    from reconciler.template.standing import BuildError

    asked = Asked(**options)  # type: ignore[arg-type]
    opening = open_preview if dry_run else open_live
    with opening(settings.fleet, settings.database, now()) as opened:
        try:
            builder = _builder(opened, asked, output)
            if dry_run:
                calls = [str(call) for call in builder.left()]
                text = "\n".join(calls) or "nothing is left to do"
                answer(output, text, calls=calls)
                return
            built = builder.build(now() + timedelta(seconds=time_limit))
        except (BadOrder, BuildError) as error:
            raise click.ClickException(str(error)) from error
        if output == "json":
            click.echo(_as_json(asked, builder.cluster, built))
            return
        word = "ready" if built.new else "there already (--again makes another)"
        click.echo(f"template vm {built.vmid} on {asked.node} is {word}")
        click.echo(render_built(opened.fleet, asked.alias, builder.cluster, built.vmid))


def _as_json(asked: Asked, cluster: str, built: "Built") -> str:
    told = {"template": asked.alias, "cluster": cluster, "node": asked.node}
    return document(**told, vmid=built.vmid, new=built.new)


def _builder(opened: "Opened", asked: Asked, output: str) -> "Builder":
    from reconciler.clock import SystemClock
    from reconciler.template.build import Builder
    from reconciler.template.standing import free_vmid

    cluster = _cluster(opened, asked.cluster)
    api = opened.connect(cluster)
    order = _order(opened.fleet.name, asked, api.get("/cluster/resources"))

    def tell(text: str) -> None:
        click.echo(text, err=output == "json")

    return Builder(order, cluster, api, opened.store, SystemClock(), free_vmid(api), tell)


def _cluster(opened: "Opened", named: str | None) -> str:
    from desired.wording import near

    clusters = opened.fleet.clusters
    if named is None and len(clusters) == 1:
        return next(iter(clusters))
    if named is None:
        raise click.UsageError(f"say which cluster: --cluster {'|'.join(sorted(clusters))}")
    if named not in clusters:
        raise click.ClickException(f"no cluster {named}{near(named, clusters)}")
    return named


def _order(fleet: str, asked: Asked, resources: object) -> "Order":
    """What is to be built; of a URL the volume is named by where it is fetched to."""
    from reconciler.template.order import Order, fetched_name, storage_for_images

    if (asked.image is None) == (asked.url is None):
        raise click.UsageError("give either --image or --url")
    image = asked.image or ""
    if asked.url is not None:
        wanted = asked.download_to or asked.storage
        storage = storage_for_images(resources, asked.node, wanted)
        if storage is None or (asked.download_to and storage != asked.download_to):
            raise click.ClickException(
                f"{asked.download_to or f'no storage of {asked.node}'} takes images to import: "
                "pvesm set STORAGE --content ...,import"
            )
        image = f"{storage}:import/{fetched_name(asked.url)}"
    elif asked.checksum or asked.download_to:
        raise click.UsageError("--checksum and --download-to belong to --url")
    return Order(
        fleet,
        asked.alias,
        asked.node,
        asked.storage,
        image,
        url=asked.url or "",
        checksum=asked.checksum,
        vmid=asked.vmid,
        bridge=asked.bridge,
        ostype=asked.ostype,
        uefi=asked.uefi,
        again=asked.again,
    )
