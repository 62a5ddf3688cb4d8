"""The snapshots of a VM as a person is shown them."""

from dataclasses import dataclass

from state.api import Api
from state.memory import Binding
from state.view import rows, text, whole


@dataclass(frozen=True, slots=True)
class Shown:
    """One snapshot: `at` in seconds since 1970, and the first line of its description."""

    name: str
    at: int
    about: str


def saved_by(api: Api, binding: Binding) -> list[Shown]:
    """`GET /cluster/resources` for the node, then `GET …/snapshot`; oldest first. ApiError."""
    listed = rows(api.get("/cluster/resources", {"type": "vm"}))
    node = next((text(row, "node") for row in listed if row.get("vmid") == binding.vmid), None)
    if node is None:
        return []
    answer = rows(api.get(f"/nodes/{node}/qemu/{binding.vmid}/snapshot"))
    found = [
        Shown(text(row, "name") or "", whole(row, "snaptime") or 0, _first(row.get("description")))
        for row in answer
        if row.get("name") != "current"
    ]
    return sorted(found, key=lambda one: (one.at, one.name))


def _first(value: object) -> str:
    return str(value or "").strip().partition("\n")[0]
