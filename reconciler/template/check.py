"""Whether a template is fit for what is made from it (CI-04, DEP-13). Pure: facts in, findings out.

What only the guest knows (the last partition, growroot) is a question, never a pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from desired.firmware import is_windows
from desired.spec import VMSpec
from desired.units import format_size
from reconciler.template.copies import Copy, Template
from state.conf import VMConfig

Level = Literal["wrong", "warning", "ask", "ok"]
LEFT_BEHIND = ("cipassword", "ciuser", "sshkeys", "nameserver", "searchdomain", "cicustom")
DEVICES = ("hostpci", "usb", "virtiofs", "parallel", "args", "hookscript")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what is seen, and what to do about it.

    `wrong` breaks VMs that specs ask for, `warning` may; `ask` is for a person to look at.
    """

    level: Level
    what: str
    says: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """A template with the findings about each copy, in the copies' order, and about the whole."""

    template: Template
    copies: tuple[tuple[Finding, ...], ...]
    whole: tuple[Finding, ...]

    @property
    def wrong(self) -> bool:
        return any(one.level == "wrong" for group in (*self.copies, self.whole) for one in group)


def check(template: Template) -> Checked:
    """Return what is to be said of a template, sound things too."""
    users = template.users
    groups = tuple(tuple(_of(copy, users)) for copy in template.copies)
    return Checked(template, groups, tuple(_of_all(template)))


def _of(copy: Copy, users: tuple[VMSpec, ...]) -> Iterator[Finding]:
    if copy.missing:
        yield Finding("wrong", "there", copy.missing, "make it, or correct fleet.yaml")
        return
    config = copy.config
    yield from _system_disk(copy, users)
    if config is None:
        yield from _questions(None)
        return
    yield from _standing(copy)
    yield from _fittings(copy, config)
    yield from _not_growable(config)
    yield from _links(copy, users)
    yield from _questions(config)


def _standing(copy: Copy) -> Iterator[Finding]:
    """Whether it is a template at all, that nobody works on and nothing keeps from being cloned."""
    vmid, config = copy.source, copy.config
    if not copy.template:
        advice = f"convert it: qm template {vmid}"
        yield Finding("wrong", "template", f"vm {vmid} is no template", advice)
    else:
        yield Finding("ok", "template", f"vm {vmid} on {copy.node}")
    if config is not None and config.lock:
        yield Finding("wrong", "lock", f"is locked ({config.lock})", "wait, or end what locks it")
    if copy.snapshots:
        names = ", ".join(copy.snapshots)
        advice = f"delete them: qm delsnapshot {vmid} NAME"
        yield Finding("wrong", "snapshots", f"has snapshots: {names}", advice)


def _system_disk(copy: Copy, users: tuple[VMSpec, ...]) -> Iterator[Finding]:
    """It is found, and smaller than the smallest that a spec asks for."""
    if copy.config is not None and copy.config.boot_disk is None:
        advice = f"say which it is: qm set {copy.source} --boot order=scsi0"
        yield Finding("wrong", "system disk", "no disk to boot from is found", advice)
        return
    if copy.size is None:
        advice = "look at it yourself: qm config"
        yield Finding("warning", "system disk", "Proxmox does not say its size", advice)
        return
    sized = [(one.disks["system"].size or 0, one) for one in users if "system" in one.disks]
    asked = sorted(((size, one.key, one) for size, one in sized if size), key=lambda it: it[:2])
    slot = f"{copy.config.boot_disk}, " if copy.config else ""
    if not asked:
        yield Finding("ok", "system disk", f"{slot}{format_size(copy.size)}; no spec asks for more")
        return
    least, key, spec = asked[0]
    of = f"{key} (package {spec.package})" if spec.package else key
    text = f"{slot}{format_size(copy.size)}; the smallest, {of}, asks for {format_size(least)}"
    if copy.size <= least:
        yield Finding("ok", "system disk", text)
    else:
        advice = "disks only grow: give it more, or make the template smaller"
        yield Finding("wrong", "system disk", text, advice)


def _fittings(copy: Copy, config: VMConfig) -> Iterator[Finding]:
    """What cloud images need: a cloud-init drive, the agent, a serial console."""
    vmid = copy.source
    if any(drive.cloudinit for drive in config.drives.values()):
        yield Finding("ok", "cloud-init", "has a cloud-init drive")
    else:
        advice = f"qm set {vmid} --ide2 STORAGE:cloudinit; without it no address, user or key"
        yield Finding("wrong", "cloud-init", "has no cloud-init drive", advice)
    if config.agent:
        yield Finding("ok", "agent", "the guest agent is switched on")
    else:
        advice = f"qm set {vmid} --agent 1, if the guest has it installed"
        yield Finding("warning", "agent", "the guest agent is switched off", advice)
    if is_windows(config.text("ostype")):
        return
    serials = [f"serial{n}" for n in range(4) if config.text(f"serial{n}")]
    display = (config.text("vga") or "").removeprefix("type=").partition(",")[0]
    if display.startswith("serial") and display not in serials:
        advice = f"qm set {vmid} --{display} socket"
        yield Finding("wrong", "serial", f"its display is {display}, which it has not", advice)
    elif serials:
        yield Finding("ok", "serial", f"has {', '.join(serials)}")
    else:
        advice = f"qm set {vmid} --serial0 socket; some cloud images do not boot without"
        yield Finding("warning", "serial", "has no serial console", advice)


def _not_growable(config: VMConfig) -> Iterator[Finding]:
    """What every clone gets and no spec makes smaller, or takes away."""
    kept: list[str] = []
    system = config.boot_disk
    for slot, drive in config.disks.items():
        if slot != system:
            size = f" of {format_size(drive.size)}" if drive.size else ""
            kept.append(f"the disk {slot}{size}")
    for slot, drive in config.drives.items():
        if drive.cdrom and not drive.cloudinit and drive.volume not in ("none", "cdrom"):
            kept.append(f"the medium {drive.volume} in {slot}")
    kept += [f"the device {key}" for key in sorted(config.raw) if key.startswith(DEVICES)]
    for what in kept:
        yield Finding("warning", "growable", f"every clone gets {what}", "take it out of it")
    for key in LEFT_BEHIND:
        if config.text(key):
            text = f"{key} is set: a VM whose spec does not name it has the template's"
            yield Finding("warning", "growable", text, "clear it: qm set VMID --delete " + key)
    if not kept:
        yield Finding("ok", "growable", "nothing that a spec could only shrink or take away")


def _links(copy: Copy, users: tuple[VMSpec, ...]) -> Iterator[Finding]:
    linked = [one.key for one in users if one.clone == "linked"]
    if copy.links:
        yield Finding("ok", "linked clones", "its storage can make them")
    elif linked:
        text = f"its storage cannot make them, and {linked[0]} asks for one"
        advice = "set clone: full, or move its disks to a storage that can"
        yield Finding("wrong", "linked clones", text, advice)
    else:
        yield Finding("warning", "linked clones", "its storage cannot make them")


def _questions(config: VMConfig | None) -> Iterator[Finding]:
    if config is not None and is_windows(config.text("ostype")):
        text = "is it sysprepped, with cloudbase-init, virtio drivers and the agent installed?"
        yield Finding("ask", "guest", text, "start a clone and look")
        return
    yield Finding(
        "ask",
        "root partition",
        "is it the last one on the disk?",
        "in a clone: lsblk; else a grown disk gives the guest nothing",
    )
    yield Finding(
        "ask",
        "growroot",
        "does the guest grow it at boot (growpart of cloud-init)?",
        "in a clone with a grown system disk: df -h / shows the new size",
    )


def _of_all(template: Template) -> Iterator[Finding]:
    """Whether the VMs can be made on the nodes that their specs name."""
    reach = {node for copy in template.copies for node in copy.nodes}
    short: dict[str, list[str]] = {}
    for spec in template.users:
        named = spec.node.nodes if spec.node else ()
        if named and not reach.intersection(named):
            short.setdefault(" or ".join(named), []).append(spec.key)
    for node, keys in sorted(short.items()):
        more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
        text = f"no copy reaches {node}, where {', '.join(keys[:3])}{more} should be made"
        advice = f"make a copy on {node}, or keep the template on shared storage"
        yield Finding("warning", "reach", text, advice)
    lacking = list(_storages(template, reach))
    yield from lacking
    if not short and not lacking:
        yield Finding("ok", "reach", f"VMs can be made on {', '.join(sorted(reach)) or 'no node'}")


def _storages(template: Template, reach: set[str]) -> Iterator[Finding]:
    """Whether the storages that specs name are where the VMs can be made (CI-06)."""
    users: dict[str, str] = {}
    for spec in template.users:
        for name in (spec.storage, *(disk.storage for disk in spec.disks.values())):
            if name is not None:
                users.setdefault(name, spec.key)
    for name, key in sorted(users.items()):
        bare = sorted(reach - template.storages.get(name, frozenset()))
        if bare:
            text = f"storage {name}, which {key} names, takes no disks on {', '.join(bare)}"
            advice = "add it there, name one in `storage_map`, or keep the VMs off these nodes"
            yield Finding("warning", "reach", text, advice)
