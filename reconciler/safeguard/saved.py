"""The snapshots of one VM as Proxmox lists them, and whether it can take one."""

from dataclasses import dataclass

from handlers.handler import vm_path
from handlers.snapshots import snapshots_path
from state.api import Api
from state.observed import SeenVM
from state.view import rows, text, whole


@dataclass(frozen=True, slots=True)
class Saved:
    """A snapshot; one that is being taken or removed, or was left so, is not `whole`."""

    name: str
    whole: bool = True


def saved_of(api: Api, seen: SeenVM) -> list[Saved]:
    """`GET …/snapshot`, without the pseudo row of the current state. Raises ApiError."""
    found = ((text(row, "name") or "", row) for row in rows(api.get(snapshots_path(seen))))
    return [Saved(name, not row.get("snapstate")) for name, row in found if name != "current"]


def feature_missing(api: Api, seen: SeenVM) -> str:
    """Say that some disk's storage can take no snapshot; empty when all can. Raises ApiError.

    `GET …/feature?feature=snapshot`.
    """
    answer = api.get(f"{vm_path(seen)}/feature", {"feature": "snapshot"})
    if isinstance(answer, dict) and whole(answer, "hasFeature"):
        return ""
    disks = sorted(seen.config.wanted.disks.items()) if seen.config else []
    volumes = ", ".join(f"{slot} ({drive.volume})" for slot, drive in disks)
    return f"the storage of a disk cannot: {volumes}"
