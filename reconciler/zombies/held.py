"""The disks that wait on holders, until a spec adopts them or a person removes them. Only reads."""

import re
from collections.abc import Iterator, Sequence

from handlers.holder import TAG, HolderMark, read_holder
from reconciler.zombies.zombie import Zombie
from state.api import Api, ApiError
from state.conf import VMConfig, split_pending
from state.view import Row, rows, text, whole


def held(api: Api, cluster: str, resources: Sequence[Row]) -> Iterator[Zombie]:
    """One of each disk of a holder, one of a holder without any: nobody keeps that on purpose."""
    for row in resources:
        if row["type"] != "qemu" or TAG not in re.split(r"[;, ]", text(row, "tags") or ""):
            continue
        vmid, node = whole(row, "vmid"), str(row["node"])
        try:
            answer = rows(api.get(f"/nodes/{node}/qemu/{vmid}/pending"))
        except ApiError:
            continue
        config = VMConfig(split_pending(answer)[0])
        mark, remove = read_holder(config.description), f"qm destroy {vmid} --purge"
        if mark is not None:
            for slot, drive in config.disks.items():
                kept, size = _kept(mark, vmid, slot), drive.size or 0
                what = f"{slot} {drive.volume}"
                yield Zombie(cluster, "holder", vmid, what, remove, node, size, kept=kept)
            if not config.disks:
                yield Zombie(cluster, "holder", vmid, "no disk", remove, node)


def _kept(mark: HolderMark, vmid: int, slot: str) -> str:
    return f"kept of {mark.key}; a spec takes it by `adopt: {vmid}/{slot}`"
