"""Where the disks go that outlive their VM: a stopped VM without disks of its own, the holder.

A destroy takes detached disks along, so what is to be kept is given to another VM first, by
`move_disk` with `target-vmid`. The holder is not one of the fleet: nothing is compared with it.
"""

from collections.abc import Iterator
from urllib.parse import quote

from desired.spec import VMSpec
from handlers.effects import wanted
from handlers.handler import vm_path, vmid_of
from state.change import Call, Change, Method, Param
from state.observed import SeenVM, VMRow

HOLDER = "holder"
"""The intent that names the holder's vmid, before it is made; and the field of what makes it."""

TAG = "reconcile-holder"
RETAIN = "retain."
"""How the field of a change begins that moves a disk to the holder."""


def retained(spec: VMSpec, seen: SeenVM) -> list[str]:
    """The slots of its own disks that outlive the VM (`reclaim: retain`), in order."""
    config, own = wanted(seen), f"-{vmid_of(seen)}-"
    named = {
        config.boot_disk if label == "system" else label
        for label, disk in spec.disks.items()
        if disk.reclaim == "retain"
    }
    return [slot for slot, drive in config.disks.items() if slot in named and own in drive.volume]


def handed_over(spec: VMSpec, seen: SeenVM) -> Iterator[Change]:
    """Make the holder, then move one disk after the other: each is a task."""
    slots = retained(spec, seen)
    if not slots:
        return
    holder = holder_of(seen)
    if holder is None:
        yield _made(seen)
        return
    for slot in slots:
        params: dict[str, Param] = {"disk": slot, "target-vmid": holder.vmid, "target-disk": slot}
        call = Call(Method.POST, f"{vm_path(seen)}/move_disk", params)
        volume = wanted(seen).disks[slot].volume
        new = f"to VM {holder.vmid} ({holder.name})"
        yield Change(seen.key, "terminate", f"{RETAIN}{slot}", volume, new, (call,), gate=True)


def holder_name(seen: SeenVM) -> str:
    """`NAME-holder`, cut so that it stays a DNS label."""
    binding = seen.memory.binding
    first = (binding.name if binding else seen.key).partition(".")[0]
    return f"{first[:56]}-holder"


def holder_of(seen: SeenVM) -> VMRow | None:
    """The holder, once it is there: by its vmid and, since vmids are used again, its name."""
    intent = seen.memory.intents.get(HOLDER)
    row = seen.cluster.vms.get(int(intent.detail)) if intent else None
    return row if row and row.name == holder_name(seen) and not row.lock else None


def _made(seen: SeenVM) -> Change:
    """`POST /nodes/N/qemu`; without calls while no vmid is kept for it, or somebody took that."""
    intent, name = seen.memory.intents.get(HOLDER), holder_name(seen)
    calls: tuple[Call, ...] = ()
    if intent is not None and int(intent.detail) not in seen.cluster.vms:
        said = f"reconcile-holder: store={seen.store} fleet={quote(seen.fleet)} "
        params: dict[str, Param] = {
            "vmid": int(intent.detail),
            "name": name,
            "description": f"{said}key={quote(seen.key)} of={vmid_of(seen)}",
            "tags": TAG,
            "memory": "16",
            "ostype": "l26",
            "onboot": False,
        }
        if seen.row and seen.row.pool:
            params["pool"] = seen.row.pool
        calls = (Call(Method.POST, f"/nodes/{seen.node}/qemu", params),)
    return Change(seen.key, "terminate", HOLDER, None, name, calls, gate=True)
