"""What is said of VMs that bear our mark, and that the store does not know."""

from collections.abc import Sequence

from handlers.marker import Marker, marker_tag


def copied(cluster: str, vmid: int, marker: Marker) -> str:
    """Say that somebody copied a VM of ours, mark and all."""
    return (
        f"cluster {cluster}: VM {vmid} is a copy of {marker.key} (VM {marker.vmid}) that somebody "
        "made, and may use the same addresses; it is left alone. Take the line `reconcile: ...` "
        f"out of its description, and the tag {marker_tag(marker.fleet)} off it"
    )


def frozen(strays: Sequence[Marker]) -> str | None:
    """Say why nothing may be created: VMs are ours by their mark, and the store has lost them."""
    if not strays:
        return None
    names = ", ".join(f"{marker.key} (vm {marker.vmid})" for marker in strays[:5])
    more = f" and {len(strays) - 5} more" if len(strays) > 5 else ""
    return (
        f"VMs marked as ours are not in the store: {names}{more}. Nothing is created or leased "
        "until reconcile rebuild-state has taken them in (is this the right database?)"
    )
