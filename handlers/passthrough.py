"""Proxmox keys that a spec passes through as written."""

from collections.abc import Iterable

from desired.spec import Scalar, VMSpec
from handlers.effects import stop_start, wanted
from handlers.handler import Subject, config_change, send_calls
from state.change import Change, Effect, Note
from state.observed import SeenVM
from state.propstring import render_number

AT_ONCE = ("hookscript", "hotplug", "migrate_downtime", "migrate_speed", "shares", "vmstatestorage")


class Passthrough:
    """Sets any other Proxmox key to the text given.

        config: {machine: q35, scsihw: virtio-scsi-single, tablet: false}

    Owns no key by pattern: a spec may name only keys that no other handler owns. Values are
    compared as text, since only Proxmox knows their meaning: write them as Proxmox prints them.
    On a running VM most of them wait for a stop and start.

    Risk: what Proxmox does with the key. A key taken out of the spec stays as it is.
    """

    name = "passthrough"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        for key in sorted(spec.config):
            old, new = wanted(seen).text(key), _text(spec.config[key])
            if old != new:
                effect = Effect.LIVE if key in AT_ONCE else stop_start(seen)
                yield config_change(
                    seen, self.name, key, old=old, new=new, params={key: new}, effect=effect
                )


def _text(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return render_number(value) if isinstance(value, float) else str(value).strip()
