"""Disk images on storages, and on which nodes they can be read.

Source: `GET /nodes/N/storage/S/content`; an image is of the content `import`, or a VM's volume.
"""

from reconciler.pve.form import quote_segment
from state.api import Api
from state.observed import ClusterView


def image_nodes(api: Api, view: ClusterView, volume: str) -> frozenset[str]:
    """The online nodes that can read a volume; a shared storage is asked once. Raises ApiError."""
    storage, _, name = volume.partition(":")
    content = "import" if name.startswith("import/") else "images"
    rows = [
        one
        for one in view.storages
        if one.storage == storage and one.available and content in one.content
    ]
    shared = any(one.shared for one in rows)
    found: set[str] = set()
    for row in rows[:1] if shared else rows:
        path = f"/nodes/{quote_segment(row.node)}/storage/{quote_segment(storage)}/content"
        answer = api.get(path, {"content": content})
        there = answer if isinstance(answer, list) else []
        if any(isinstance(one, dict) and one.get("volid") == volume for one in there):
            found.update(one.node for one in rows) if shared else found.add(row.node)
    return frozenset(found)
