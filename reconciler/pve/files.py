"""Files on the cluster's storages that belong to no VM: ISOs and snippets, and where they are.

Source: `GET /nodes/N/storage/S/content`; of a snippet it shows name and size, never the content.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from reconciler.pve.form import quote_segment
from state.api import Api, Json

Row = Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Stored:
    """A volume, its size in bytes, and the nodes that have it (all that have a shared storage)."""

    volume: str
    size: int
    nodes: tuple[str, ...]

    @property
    def file(self) -> str:
        return self.volume.rpartition("/")[2]


def stored(
    api: Api, content: str, resources: Sequence[Row], storages: frozenset[str] | None = None
) -> list[Stored]:
    """Return the files of a kind (`iso`, `snippets`), by volume; on these storages, or on all.

    `resources` are the rows of `/cluster/resources`; a shared storage is asked once. Raises
    ApiError.
    """
    sizes: dict[str, int] = {}
    nodes: dict[str, set[str]] = {}
    for storage, places in _places(content, resources, storages):
        for shared, node in places:
            path = f"/nodes/{quote_segment(node)}/storage/{quote_segment(storage)}/content"
            answer = api.get(path, {"content": content})
            for row in answer if isinstance(answer, list) else []:
                if isinstance(row, dict):
                    volume = str(row["volid"])
                    sizes[volume] = int(str(row.get("size") or 0))
                    nodes.setdefault(volume, set()).update(shared or (node,))
    return [Stored(name, sizes[name], tuple(sorted(nodes[name]))) for name in sorted(sizes)]


def nodes_of(storage: str, resources: Sequence[Row]) -> set[str]:
    """The nodes that have a storage, and it available."""
    return {str(row["node"]) for row in resources if row.get("storage") == storage and _usable(row)}


def _usable(row: Row) -> bool:
    return row.get("type") == "storage" and row.get("status", "available") == "available"


def _places(
    content: str, resources: Sequence[Row], storages: frozenset[str] | None
) -> Iterator[tuple[str, list[tuple[tuple[str, ...], str]]]]:
    """Yield (storage, [(the nodes that share it, a node to ask)]) of those that hold the kind."""
    rows = [
        row
        for row in resources
        if _usable(row) and content in str(row.get("content", "")).split(",")
    ]
    for storage in sorted({str(row["storage"]) for row in rows}):
        if storages is not None and storage not in storages:
            continue
        own = [row for row in rows if row["storage"] == storage]
        names = tuple(sorted(str(row["node"]) for row in own))
        if any(str(row.get("shared") or "0") != "0" for row in own):
            yield storage, [(names, names[0])]
        else:
            yield storage, [((), node) for node in names]
