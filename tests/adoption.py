"""Adopting in the lab: other hands make VMs, and the fleet takes them over."""

from typing import Any

from reconciler.adopt.apply import Adoption, apply
from reconciler.adopt.folder import compared, write
from reconciler.adopt.found import Selection
from reconciler.adopt.propose import Proposal, propose
from reconciler.config import open_bare, open_live
from reconciler.options import RunOptions
from tests.lab import Lab, Told
from tests.laws.fleets import FLEET, POOLS

ALL = Selection(everything=True)
FILES = {"fleet.yaml": FLEET, "pools/public.yaml": POOLS}
"""A fleet that has no VM yet."""


def make(lab: Lab, vmid: int, name: str = "", **config: Any) -> None:
    """Make a VM as a person would: 2 cores, a disk of 4 GiB."""
    plain = {"vmid": vmid, "name": name or f"vm-{vmid}", "cores": "2", "memory": "2048"}
    plain |= {"scsi0": "local-lvm:4", "boot": "order=scsi0"}
    lab.ask("POST", "/nodes/pve1/qemu", **{**plain, **config})
    lab.clock.sleep(60)
    lab.ask("GET", "/version")


def proposed(lab: Lab, selection: Selection = ALL) -> Proposal:
    lab.wire.next_run()
    return propose(_options(lab), selection, Told(), lab.clock, lab._opening(open_bare))


def wrote(lab: Lab, selection: Selection = ALL) -> Proposal:
    """Write what is proposed into the fleet's folder; return it."""
    found = proposed(lab, selection)
    write(lab.fleet, compared(lab.fleet, found.texts, found.batch))
    return found


def applied(
    lab: Lab, selection: Selection = ALL, before: int | None = None, after: int | None = None
) -> Adoption:
    """Take over what the specs name, killed where it is told to be (raises Killed)."""
    lab.wire.next_run(before, after)
    return apply(_options(lab), selection, Told(), lab.clock, lab._opening(open_live))


def _options(lab: Lab) -> RunOptions:
    return RunOptions(lab.fleet, lab.where)


def configs(lab: Lab) -> dict[int, dict[str, str]]:
    """Every config, but for what marks a VM as the fleet's; tags as Proxmox writes them itself."""
    return {vmid: _unmarked(dict(one.config)) for vmid, one in lab.world.vms.items()}


def _unmarked(config: dict[str, Any]) -> dict[str, str]:
    found = {key: str(value) for key, value in config.items()}
    text = found.pop("description", "").partition("reconcile: store=")[0].strip()
    tags = {tag for tag in found.pop("tags", "").lower().split(";") if tag.strip()}
    kept = sorted(tag for tag in tags if not tag.startswith("reconcile-"))
    return {**found, "description": text, "tags": ";".join(kept)}
