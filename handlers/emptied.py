"""Holders whose last disk was taken: removed."""

from collections.abc import Iterable

from desired.spec import VMSpec
from handlers.effects import wanted
from handlers.handler import Subject, send_calls
from handlers.retained import is_empty, sources
from state.change import Call, Change, Method, Note
from state.observed import SeenVM


class Emptied:
    """Removes a holder once the VM has taken its disks from it and nothing is left there.

    Owns no config key. `DELETE /nodes/N/qemu/V?purge=1`; a failure holds nothing back.

    Risk: this destroys a VM, so it must bear our mark of a holder, be stopped and have no volume at
    all, attached or not, by what was read of it in this look.
    """

    name = "emptied"
    subject = Subject.VM
    after = ("exists", "retained")
    blocking = False
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        found, drives = sources(spec, seen), wanted(seen).drives
        for vmid in sorted({source.vmid for source in found.values()}):
            mine = {slot for slot, source in found.items() if source.vmid == vmid}
            holder = seen.holders.get(vmid)
            if holder is None or not is_empty(holder, seen):
                continue
            row = holder.row
            if row.status == "stopped" and not row.lock and mine <= drives.keys():
                params = {"purge": True, "destroy-unreferenced-disks": False}
                call = Call(Method.DELETE, f"/nodes/{row.node}/qemu/{vmid}", params)
                old = f"VM {vmid} ({row.name}), empty"
                yield Change(seen.key, self.name, f"vm{vmid}", old, None, (call,), gate=True)
