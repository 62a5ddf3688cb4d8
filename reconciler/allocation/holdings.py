"""Which nodes have what only some of them have: mapped devices, and files on local storages."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.pve.form import quote_segment
from state.api import Api, ApiError, Json
from state.observed import StorageRow
from state.view import Row, rows

Nodes = frozenset[str]


@dataclass(slots=True)
class Holdings:
    """Asked of the cluster where a new VM names such a thing, once a run.

    What is seen on no node is not known, as where a right is missing, and keeps nobody away.
    """

    api: Api
    _mapped: dict[str, dict[str, Nodes]] = field(default_factory=dict)
    _files: dict[tuple[str, str], dict[str, Nodes]] = field(default_factory=dict)

    def mapped(self, kind: str, name: str) -> Nodes:
        """The nodes that a mapping of `pci`, `usb` or `dir` names (`GET /cluster/mapping/KIND`)."""
        if kind not in self._mapped:
            self._mapped[kind] = {
                str(row.get("id")): frozenset(filter(None, map(_node, _texts(row.get("map")))))
                for row in self._rows(f"/cluster/mapping/{kind}", {})
            }
        return self._mapped[kind].get(name, frozenset())

    def holding(self, volume: str, content: str, storages: Mapping[str, StorageRow]) -> Nodes:
        """The nodes that have a file; `storages` are the rows of its storage, by node.

        Source: `GET /nodes/N/storage/S/content`; a shared storage is asked once.
        """
        name = volume.partition(":")[0]
        if (name, content) not in self._files:
            self._files[name, content] = self._listed(content, storages)
        return self._files[name, content].get(volume, frozenset())

    def _listed(self, content: str, storages: Mapping[str, StorageRow]) -> dict[str, Nodes]:
        found: dict[str, Nodes] = {}
        there = [row for _, row in sorted(storages.items()) if row.available]
        if any(row.shared for row in there):
            everywhere = frozenset(row.node for row in there)
            asked = [(there[0], everywhere)]
        else:
            asked = [(row, frozenset({row.node})) for row in there]
        for row, nodes in asked:
            path = f"/nodes/{quote_segment(row.node)}/storage/{quote_segment(row.storage)}/content"
            for one in self._rows(path, {"content": content}):
                volume = str(one.get("volid"))
                found[volume] = found.get(volume, frozenset()) | nodes
        return found

    def _rows(self, path: str, params: Mapping[str, str]) -> list[Row]:
        try:
            answer = self.api.get(path, params)
        except ApiError:
            return []
        return rows(answer)


def _texts(value: Json) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _node(place: str) -> str | None:
    """The node of one line of a mapping: `node=pve1,path=0000:01:00.0,id=10de:1eb8`."""
    parts = dict(part.split("=", 1) for part in place.split(",") if "=" in part)
    return parts.get("node")
