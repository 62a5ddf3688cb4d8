"""Where a VM is created that is made from a disk image: node, image and storage (DEP-16)."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from desired.spec import VMSpec
from reconciler.allocation.ledger import Ledger
from reconciler.allocation.placing import Placed, problem
from state.change import Note
from state.memory import Binding
from state.observed import ClusterView

NodesOf = Callable[[str], Collection[str]]
"""The nodes on which a volume can be read."""


@dataclass(frozen=True, slots=True)
class _Way:
    """An image that a node can read, and the storage there that its copy goes to."""

    image: str
    storage: str


def place_image(
    spec: VMSpec, images: tuple[str, ...], view: ClusterView, nodes_of: NodesOf, ledger: Ledger
) -> Placed | Note:
    """Choose node and image: the node must read the image and have the storage for the copy.

    The wanted node if it can, else the roomiest that can, where the VM then stays. Raises ApiError
    where the storages cannot be listed.
    """
    if spec.node and spec.node.name and spec.node.name not in view.nodes:
        reason = f"no node {spec.node.name} in cluster {view.name}"
        return problem(spec, "node", "NodeMissing", reason)
    online = {name for name, node in view.nodes.items() if node.takes_vms}
    readable = {image: frozenset(nodes_of(image)) for image in images}
    if not any(readable.values()):
        reason = f"{spec.template}: no image {', '.join(images)} is seen in cluster {view.name}: "
        reason += "put it there, give the token Datastore.Audit on its storage, or correct images: "
        return problem(spec, "template", "TemplateMissing", f"{reason}in fleet.yaml")
    ways: dict[str, _Way] = {}
    for image in reversed(images):
        storage = _target(spec, image, view)
        if storage is None:
            reason = "no storage for the system disk: set storage: in the VM, its package or "
            return problem(spec, "storage", "StorageMissing", f"{reason}defaults")
        there = readable[image] & online & _nodes_with(storage, view)
        ways |= dict.fromkeys(there, _Way(image, storage))
    if not ways:
        return problem(spec, "template", "TemplateUnreachable", _unreachable(spec, readable, view))
    wanted = spec.node.name if spec.node else None
    node = wanted if wanted in ways else ledger.roomiest(ways)
    return Placed(None, None, node, ways[node].storage, ways[node].image)


def image_still_placed(
    spec: VMSpec, old: Binding, images: tuple[str, ...], view: ClusterView
) -> Placed | None:
    """Return the placement chosen before, while nothing that it rests on has changed."""
    node = view.nodes.get(old.node or "")
    if old.node is None or old.image not in images or node is None or not node.takes_vms:
        return None
    storage = _target(spec, old.image or "", view)
    wanted = spec.node.name if spec.node else None
    if old.storage != storage or old.node not in _nodes_with(storage or "", view):
        return None
    return Placed(None, None, old.node, storage, old.image) if wanted in (None, old.node) else None


def _target(spec: VMSpec, image: str, view: ClusterView) -> str | None:
    """The storage that the copy goes to: the system disk's, the VM's, else the image's own."""
    system = spec.disks.get("system")
    named = (system and system.storage) or spec.storage
    if named:
        return named
    own = image.partition(":")[0]
    holds = any(one.storage == own and "images" in one.content for one in view.storages)
    return own if holds else None


def _nodes_with(storage: str, view: ClusterView) -> frozenset[str]:
    """The nodes on which a storage is available; one that is listed nowhere keeps nobody away."""
    rows = [one for one in view.storages if one.storage == storage]
    return frozenset(one.node for one in rows if one.available) if rows else frozenset(view.nodes)


def _unreachable(spec: VMSpec, readable: Mapping[str, Collection[str]], view: ClusterView) -> str:
    places = sorted({node for nodes in readable.values() for node in nodes})
    storage = _target(spec, next(iter(readable)), view)
    reason = f"{spec.template}: its image is on {', '.join(places)}, none of which is online with "
    return f"{reason}storage {storage}: copy it to another node, or name another storage"
