"""Media: the one ISO in a VM's CD-ROM drive."""

from collections.abc import Iterable

from desired.devices import Iso
from desired.spec import VMSpec
from handlers.effects import stop_start, wanted
from handlers.handler import Subject, config_change, send_calls
from state.change import Change, Effect, Note
from state.conf import VMConfig
from state.drive import Drive
from state.observed import SeenVM

FREE = ("ide2", "ide3", "ide0", "ide1", "sata0", "sata1", "sata2", "sata3", "sata4", "sata5")
"""Where a new CD-ROM drive is put, the usual place first."""


class Media:
    """Puts one ISO into the VM's CD-ROM drive, or takes it out (CI-07).

        iso: local:iso/debian-12.iso       # or {storage: local, file: debian-12.iso, slot: ide3}
        iso: none                          # the drive stays, empty

    Owns no key by pattern: a CD-ROM drive stands in a disk's slot, and the disks leave those alone.
    It is the slot named, else the one with this ISO, else the first CD-ROM drive that is no
    cloud-init drive, else a new one. A medium is live; a new drive waits for a stop and start.

    Risk: a guest that has the medium mounted sees it vanish. An ISO that is taken out of the spec
    stays in the drive.
    """

    name = "media"
    subject = Subject.VM
    after = ("exists", "placement")
    blocking = True
    keys: tuple[str, ...] = ()
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        if spec.iso is None:
            return
        config = wanted(seen)
        slot = _slot(spec.iso, spec, config)
        drive = config.drives.get(slot or "")
        if slot is None:
            if spec.iso.state == "present":
                yield self._blocked(seen, "no slot is free for a CD-ROM drive: name one")
        elif drive is not None and (drive.cloudinit or not drive.cdrom):
            yield self._blocked(seen, f"{slot} is no CD-ROM drive: take another slot")
        elif drive is None or drive.volume != spec.iso.volume:
            yield self._change(seen, slot, drive, spec.iso)

    def _change(self, seen: SeenVM, slot: str, drive: Drive | None, iso: Iso) -> Change:
        old = None if drive is None or drive.volume == "none" else drive.volume
        new = iso.volume if iso.state == "present" else None
        value = Drive(iso.volume, {"media": "cdrom"}).render()
        effect = stop_start(seen) if drive is None else Effect.LIVE
        return config_change(
            seen, self.name, "iso", old=old, new=new, params={slot: value}, effect=effect
        )

    def _blocked(self, seen: SeenVM, reason: str) -> Note:
        return Note(seen.key, self.name, "iso", reason, "SlotTaken", blocking=True)


def _slot(iso: Iso, spec: VMSpec, config: VMConfig) -> str | None:
    """The drive's slot; None where there is none, and none that may be made."""
    drives = {
        slot: drive for slot, drive in config.drives.items() if drive.cdrom and not drive.cloudinit
    }
    if iso.slot is not None:
        return iso.slot if iso.state == "present" or iso.slot in drives else None
    holding = [slot for slot, drive in drives.items() if drive.volume == iso.volume]
    found = (*holding, *drives)
    if found or iso.state == "absent":
        return found[0] if found else None
    return next((one for one in FREE if one not in config.drives and one not in spec.disks), None)
