"""Devices: display, serial ports, randomness, the SCSI controller, what the host passes through."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from desired.devices import Pci, Rng, Share, Usb, Vga
from desired.spec import VMSpec
from handlers.effects import plugged, stop_start, wanted
from handlers.handler import Subject, config_change, send_calls
from handlers.slots import in_order
from state.change import Change, Effect, Note, Param
from state.observed import SeenVM
from state.propstring import parse, parse_boolean, render

USB_PLUGGED = ("l26", "win8", "win10", "win11")
"""Guests into which Proxmox plugs a USB device while they run."""


@dataclass(frozen=True, slots=True)
class Form:
    """How Proxmox writes one kind of device: the part that stands bare, and what parts default to.

    `either` are parts of which a device has one: setting one takes the others out. One that is
    `implied` is there without being written, by its defaults.
    """

    bare: str
    defaults: Mapping[str, str]
    either: tuple[str, ...] = ()
    implied: bool = False


VGA = Form("type", {"type": "std"}, implied=True)
RNG = Form("source", {})
PCI = Form("host", {"pcie": "0", "x-vga": "0", "rombar": "1"}, ("host", "mapping"))
USB = Form("host", {"usb3": "0"}, ("host", "mapping"))
SHARE = Form("dirid", {"cache": "auto", "direct-io": "0", "expose-acl": "0", "expose-xattr": "0"})
SERIAL = Form("port", {})
FLAGS = ("pcie", "x-vga", "rombar", "usb3", "direct-io", "expose-acl", "expose-xattr")

Asked = Mapping[str, str] | None
"""The parts that a spec mentions, as Proxmox writes them; None takes the device out."""


class Devices:
    """Sets the devices that the spec names, by their slots; others are not ours and stay.

        scsihw: virtio-scsi-single
        vga: serial0                       # or {type: virtio, memory: 64}
        serials: {serial0: socket}
        rng: /dev/urandom
        pci: {hostpci0: {mapping: gpu, pcie: true}}
        usb: {usb0: dongle, usb1: none}    # none takes it out
        virtiofs: {virtiofs0: {mapping: data, cache: always}}

    Owns `scsihw`, `vga`, `rngN`, `serialN`, `hostpciN`, `usbN`, `virtiofsN`. Of a device only what
    the spec mentions is compared. All wait for a stop and start, but USB, which is plugged at once
    into guests that take it.

    Risk: another SCSI controller may keep a guest without its driver from booting; a VM with a
    device of the host is bound to the nodes that have it.
    """

    name = "devices"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys = (
        "scsihw",
        "vga",
        r"rng\d+",
        r"serial\d+",
        r"hostpci\d+",
        r"usb\d+",
        r"virtiofs\d+",
    )
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        config = wanted(seen)
        old = config.text("scsihw") or "lsi"
        if spec.scsihw is not None and spec.scsihw != old:
            yield self._change(seen, "scsihw", old, spec.scsihw)
        for key, form, asked in _asked(spec):
            text = config.text(key) or None
            new = _laid_over(text, form, asked)
            if new != text:
                yield self._change(seen, key, text, new)

    def _change(self, seen: SeenVM, key: str, old: str | None, new: str | None) -> Change:
        params: dict[str, Param] = {"delete": key} if new is None else {key: new}
        usb = key.startswith("usb") and wanted(seen).text("ostype") in USB_PLUGGED
        effect: Effect = plugged(seen, "usb") if usb else stop_start(seen)
        return config_change(seen, self.name, key, old=old, new=new, params=params, effect=effect)


def _asked(spec: VMSpec) -> Iterator[tuple[str, Form, Asked]]:
    """Yield (key, form, parts) of every device of the spec."""
    if spec.vga is not None:
        yield "vga", VGA, _vga(spec.vga)
    if spec.rng is not None:
        yield "rng0", RNG, _rng(spec.rng)
    for slot in in_order(spec.serials):
        port = spec.serials[slot]
        yield slot, SERIAL, None if port == "none" else {"port": port}
    for slot in in_order(spec.pci):
        yield slot, PCI, _pci(spec.pci[slot])
    for slot in in_order(spec.usb):
        yield slot, USB, _usb(spec.usb[slot])
    for slot in in_order(spec.virtiofs):
        yield slot, SHARE, _share(spec.virtiofs[slot])


def _laid_over(text: str | None, form: Form, asked: Asked) -> str | None:
    """The device as it should be: the parts that differ laid over what is there, the same text
    where none does."""
    if asked is None:
        return None
    fields, new = parse(text or "", form.bare), text is None and not form.implied
    differing = {
        name: value
        for name, value in asked.items()
        if new or _canonical(name, fields.get(name, form.defaults.get(name))) != value
    }
    if not differing:
        return text
    dropped = [name for name in form.either if name not in asked]
    kept = {name: value for name, value in fields.items() if name not in dropped}
    return render({**kept, **differing}, form.bare)


def _canonical(name: str, text: str | None) -> str | None:
    return str(int(parse_boolean(text))) if text is not None and name in FLAGS else text


def _parts(**parts: str | int | bool | None) -> dict[str, str]:
    """The parts that are mentioned; truth values as 1 and 0, `_` as Proxmox's hyphen."""
    named = ((name.replace("_", "-"), value) for name, value in parts.items())
    return {
        name: str(int(value)) if isinstance(value, bool) else str(value)
        for name, value in named
        if value is not None
    }


def _vga(vga: Vga) -> Asked:
    return _parts(type=vga.type, memory=vga.memory, clipboard=vga.clipboard)


def _rng(rng: Rng) -> Asked:
    if rng.state == "absent":
        return None
    limit = {} if rng.max_bytes is None else {"max_bytes": str(rng.max_bytes)}
    return {**_parts(source=rng.source, period=rng.period), **limit}


def _pci(pci: Pci) -> Asked:
    if pci.state == "absent":
        return None
    flags = _parts(pcie=pci.pcie, x_vga=pci.primary, rombar=pci.rombar)
    return {**flags, **_parts(mapping=pci.mapping, host=pci.host, mdev=pci.mdev)}


def _usb(usb: Usb) -> Asked:
    if usb.state == "absent":
        return None
    return _parts(mapping=usb.mapping, host=usb.host, usb3=usb.usb3)


def _share(share: Share) -> Asked:
    if share.state == "absent":
        return None
    options = _parts(direct_io=share.direct_io, expose_acl=share.expose_acl)
    xattr = _parts(expose_xattr=share.expose_xattr, dirid=share.mapping, cache=share.cache)
    return {**options, **xattr}
