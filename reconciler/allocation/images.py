"""Whether a VM can be made from a disk image at all, and on which storage its copy goes."""

from collections.abc import Collection, Mapping

from desired.spec import VMSpec
from reconciler.allocation.problem import problem
from reconciler.allocation.terrain import Terrain
from state.change import Note


def image_problem(spec: VMSpec, images: tuple[str, ...], terrain: Terrain) -> Note | None:
    """Say why no node can make the copy: none reads an image, or none of those has the storage.

    Raises ApiError where the storages cannot be listed.
    """
    view = terrain.view
    readable = {image: frozenset(terrain.image_nodes(image)) for image in images}
    if not any(readable.values()):
        reason = f"{spec.template}: no image {', '.join(images)} is seen in cluster {view.name}: "
        reason += "put it there, give the token Datastore.Audit on its storage, or correct images: "
        return problem(spec, "template", "TemplateMissing", f"{reason}in fleet.yaml")
    for image, there in readable.items():
        storage = target_storage(spec, image)
        if storage == image.partition(":")[0] and not _takes_disks(storage, terrain):
            reason = "no storage for the system disk: set storage: in the VM, its package or "
            return problem(spec, "storage", "StorageMissing", f"{reason}defaults")
        usable = (one for one in there if terrain.lack(storage, one) is None)
        if any(view.nodes[one].takes_vms for one in usable if one in view.nodes):
            return None
    return problem(spec, "template", "TemplateUnreachable", _unreachable(spec, readable))


def target_storage(spec: VMSpec, image: str) -> str:
    """The storage that the copy goes to: the system disk's, the VM's, else the image's own."""
    system = spec.disks.get("system")
    return (system and system.storage) or spec.storage or image.partition(":")[0]


def _takes_disks(storage: str, terrain: Terrain) -> bool:
    rows = terrain.storages.get(storage, {}).values()
    return any("images" in row.content for row in rows)


def _unreachable(spec: VMSpec, readable: Mapping[str, Collection[str]]) -> str:
    places = sorted({node for nodes in readable.values() for node in nodes})
    storage = target_storage(spec, next(iter(readable)))
    reason = f"{spec.template}: its image is on {', '.join(places)}, none of which is online with "
    return f"{reason}storage {storage}: copy it to another node, or name another storage"
