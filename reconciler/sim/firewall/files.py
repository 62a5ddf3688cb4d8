"""The firewall files of a cluster: kept under `cluster` and, one per VM, under its vmid.

A missing file reads as an empty one, also for a VM that is not there; an empty one is not kept.
Source: pve-firewall, whose VM and cluster calls are alike but for their rights.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict

from reconciler.sim.accounts.access import perm
from reconciler.sim.errors import failed
from reconciler.sim.firewall.file import Alias, Entry, FirewallFile, Group, IpSet
from reconciler.sim.parameters.schema import Field
from reconciler.sim.routes import Handler, Request, route
from reconciler.sim.world import World

CLUSTER = "cluster"
MODIFIED = "detected modified configuration - file changed by other user? Try again."
VM_PREFIX = "/nodes/{node}/qemu/{vmid}/firewall"
CLUSTER_PREFIX = "/cluster/firewall"

VM_READ, VM_WRITE = perm("/vms/{vmid}", "VM.Audit"), perm("/vms/{vmid}", "VM.Config.Network")
CLUSTER_READ, CLUSTER_WRITE = perm("/", "Sys.Audit"), perm("/", "Sys.Modify")


def read(world: World, name: str) -> FirewallFile:
    """The file called `name`; an empty one when there is none. Changes to it are the caller's."""
    raw = world.firewall.get(name)
    if raw is None:
        return FirewallFile()
    raw = deepcopy(raw)
    return FirewallFile(
        options=raw["options"],
        rules=raw["rules"],
        aliases={key: Alias(**one) for key, one in raw["aliases"].items()},
        ipsets={
            key: IpSet([Entry(**entry) for entry in one["entries"]], one["comment"])
            for key, one in raw["ipsets"].items()
        },
        groups={key: Group(**one) for key, one in raw["groups"].items()},
    )


def write(world: World, name: str, file: FirewallFile) -> None:
    """Save the file in the form it is read back in; an empty one is removed."""
    file.settle()
    if file.empty:
        world.firewall.pop(name, None)
    else:
        world.firewall[name] = asdict(file)


def copy_firewall(world: World, source: int, target: int) -> None:
    """What a clone does: the source's file replaces the target's; none leaves none."""
    world.firewall.pop(str(target), None)
    raw = world.firewall.get(str(source))
    if raw is not None:
        world.firewall[str(target)] = deepcopy(raw)


def drop_firewall(world: World, vmid: int) -> None:
    """What a destroy does."""
    world.firewall.pop(str(vmid), None)


def name_of(request: Request) -> str:
    """The file that a call is about."""
    return str(request.vmid) if "vmid" in request.params else CLUSTER


def file_of(world: World, request: Request) -> FirewallFile:
    """The file that a call is about, to look at."""
    return read(world, name_of(request))


@contextmanager
def editing(world: World, request: Request) -> Iterator[FirewallFile]:
    """The file that a call is about, to change; saved unless the body refuses."""
    file = file_of(world, request)
    yield file
    write(world, name_of(request), file)


def check_digest(request: Request, current: str) -> None:
    """Refuse a call that was made for another state; no digest or an empty one checks nothing."""
    given = request.params.get("digest")
    if given and given != current:
        raise failed(MODIFIED)


def on_both_levels(
    method: str,
    tail: str,
    *,
    fields: Mapping[str, Field] | None = None,
    protected: bool | None = None,
) -> Callable[[Handler], Handler]:
    """Register one handler for the VM's and the cluster's path; any node answers for a VM."""
    reading = method == "GET"

    def register(handler: Handler) -> Handler:
        levels = ((VM_PREFIX, VM_READ, VM_WRITE), (CLUSTER_PREFIX, CLUSTER_READ, CLUSTER_WRITE))
        for prefix, audit, modify in levels:
            route(
                method,
                prefix + tail,
                fields=fields,
                permission=audit if reading else modify,
                proxy_node=False,
                protected=not reading if protected is None else protected,
            )(handler)
        return handler

    return register
