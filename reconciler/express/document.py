"""A whole VM as one spec, aspect by aspect (`reconcile adopt-drift`, `reconcile adopt`)."""

from dataclasses import dataclass

from pydantic import ValidationError

from desired.spec import VMSpec
from handlers.effects import wanted
from reconciler.express import devices, firewall, guest, hardware
from reconciler.express.words import Tree
from state.observed import SeenVM


@dataclass(frozen=True, slots=True)
class Expressed:
    """A spec made of what a VM is, as a person would write it, and what it could not say."""

    document: Tree
    spec: VMSpec
    left_out: tuple[str, ...] = ()


def expressed(seen: SeenVM) -> Expressed:
    """Return the VM as a spec. What the models refuse is left out, with the reason.

    Raises ValidationError when not even the rest is a spec.
    """
    document = express(seen)
    left_out: list[str] = []
    fixed = {"key": seen.key, "cluster": seen.cluster.name}
    while True:
        try:
            spec = VMSpec.model_validate({**document, **fixed})
            return Expressed(document, spec, tuple(left_out))
        except ValidationError as error:
            fault = error.errors()[0]
            if not drop(document, fault["loc"]):
                raise
            path = ".".join(map(str, fault["loc"]))
            left_out.append(f"{path}: {fault['msg']}")


def drop(tree: Tree, path: tuple[int | str, ...]) -> bool:
    """Take the value at a path out of a tree; of a list the whole. False if nothing is there."""
    below: object = tree
    for position, name in enumerate(path):
        if not isinstance(below, dict) or name not in below:
            return False
        last = position + 1 == len(path) or not isinstance(below[name], dict)
        if last:
            del below[name]
            return True
        below = below[name]
    return False


def express(seen: SeenVM) -> Tree:
    """Return what a spec of this VM would say, with Proxmox's defaults filled in.

    Of what is pending the new value counts, as in every comparison. What a spec cannot say (a
    password, an emulated NIC model that specs do not name) is not in it.
    """
    config = wanted(seen)
    return {
        **guest.options(seen),
        **guest.place(seen),
        **guest.power(seen),
        **guest.tags(seen),
        **hardware.cpu(config),
        **hardware.memory(config),
        **hardware.disks(config),
        **hardware.nics(config),
        **devices.firmware(config),
        **devices.devices(config),
        **guest.cloudinit(config),
        **firewall.firewall(seen.firewall),
        **_high_availability(seen),
    }


def _high_availability(seen: SeenVM) -> Tree:
    resource = (seen.cluster.ha or {}).get(seen.row.vmid) if seen.row else None
    if resource is None:
        return {}
    fields = {
        "state": resource.state,
        "group": resource.group,
        "max_restart": resource.max_restart,
        "max_relocate": resource.max_relocate,
    }
    return {"ha": {name: value for name, value in fields.items() if value is not None}}
