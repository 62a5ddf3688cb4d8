"""Where the disks go that outlive their VM: a stopped VM without disks of its own, the holder.

A destroy takes detached disks along, so what is to be kept is given to another VM first, by
`move_disk` with `target-vmid`. The holder is not one of the fleet: nothing is compared with it.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote

from desired.spec import VMSpec
from handlers.effects import wanted
from handlers.handler import vm_path, vmid_of
from state.change import Call, Change, Method, Note, Param
from state.memory import BACK, Intent
from state.observed import SeenVM, VMRow

HOLDER = "holder"
"""The intent that names the holder's vmid, before it is made; and the field of what makes it."""

TAG = "reconcile-holder"
RETAIN = "retain."
"""How the field of a change begins that moves a disk to the holder."""

_LINE = re.compile(r"^reconcile-holder: store=(\S+) fleet=\S+ key=(\S+) of=(\d+)[ \t\r]*$", re.M)


class HolderMark(NamedTuple):
    """What a holder's description says: the store that made it, and whose disks it was made for."""

    store: str
    key: str
    of: int


def read_holder(description: str) -> HolderMark | None:
    """Return a holder's mark; None of a VM that is none."""
    found = _LINE.search(description)
    return HolderMark(found[1], unquote(found[2]), int(found[3])) if found else None


def retained(spec: VMSpec, seen: SeenVM) -> list[str]:
    """The slots of its own disks that outlive the VM (`reclaim: retain`), in order."""
    config, own = wanted(seen), f"-{vmid_of(seen)}-"
    named = {
        config.boot_disk if label == "system" else label
        for label, disk in spec.disks.items()
        if disk.reclaim == "retain"
    }
    return [slot for slot, drive in config.disks.items() if slot in named and own in drive.volume]


def handed_over(spec: VMSpec, seen: SeenVM) -> Iterator[Change | Note]:
    """Make the holder, then move one disk after the other: each is a task."""
    slots, intent = retained(spec, seen), seen.memory.intents.get(HOLDER)
    if not slots:
        return
    row = seen.cluster.vms.get(int(intent.detail)) if intent else None
    if intent is None or (row is not None and row.name not in (None, holder_name(seen))):
        yield _made(seen, ())
    elif row is None:
        yield _made(seen, (_creation(seen, int(intent.detail)),))
    elif row.name is None or row.lock:
        # A young VM's row has little more than its ids until the next broadcast.
        reason = f"VM {row.vmid}, which is to hold its disks, is being made"
        yield Note(seen.key, "terminate", HOLDER, reason, blocking=True)
    else:
        yield from (_moved(slot, row, seen) for slot in slots)


def _moved(slot: str, holder: VMRow, seen: SeenVM) -> Change:
    params: dict[str, Param] = {"disk": slot, "target-vmid": holder.vmid, "target-disk": slot}
    call = Call(Method.POST, f"{vm_path(seen)}/move_disk", params)
    volume, new = wanted(seen).disks[slot].volume, f"to VM {holder.vmid} ({holder.name})"
    return Change(seen.key, "terminate", f"{RETAIN}{slot}", volume, new, (call,), gate=True)


def way_back(change: Change, seen: SeenVM) -> Intent | None:
    """Where the disk that a change moves to the holder is found again, by the same key.

    None of other changes, and of the disk that the guest starts from: the next machine has its own.
    """
    slot, holder = change.field.removeprefix(RETAIN), seen.memory.intents.get(HOLDER)
    if slot == change.field or holder is None or slot == wanted(seen).boot_disk:
        return None
    return Intent(seen.key, f"{BACK}{slot}", seen.at, 0, f"{holder.detail}/{slot}")


def holder_name(seen: SeenVM) -> str:
    """`NAME-holder`, cut so that it stays a DNS label."""
    binding = seen.memory.binding
    first = (binding.name if binding else seen.key).partition(".")[0]
    return f"{first[:56]}-holder"


def _made(seen: SeenVM, calls: tuple[Call, ...]) -> Change:
    """Without calls while no vmid is kept for it, or somebody took that."""
    return Change(seen.key, "terminate", HOLDER, None, holder_name(seen), calls, gate=True)


def _creation(seen: SeenVM, vmid: int) -> Call:
    """`POST /nodes/N/qemu`: a VM that is never started, in the pool of the one that ends."""
    said = f"reconcile-holder: store={seen.store} fleet={quote(seen.fleet)} "
    params: dict[str, Param] = {
        "vmid": vmid,
        "name": holder_name(seen),
        "description": f"{said}key={quote(seen.key)} of={vmid_of(seen)}",
        "tags": TAG,
        "memory": "16",
        "ostype": "l26",
        "onboot": False,
    }
    if seen.row and seen.row.pool:
        params["pool"] = seen.row.pool
    return Call(Method.POST, f"/nodes/{seen.node}/qemu", params)
