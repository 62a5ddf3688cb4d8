"""Drive parameters of create and config updates: checks, access, allocation and import."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.sim.accounts.access import Identity, check
from reconciler.sim.errors import Refusal, bad_parameters, failed
from reconciler.sim.parameters.drives import Drive, is_drive, parse_drive, read_drive
from reconciler.sim.parameters.values import NEW_DISK
from reconciler.sim.parameters.volnames import file_path, split_volid
from reconciler.sim.vm.machine import Value
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

KIB = 1 << 10
GIB_IN_KIB = 1 << 20
EFI_SIZES = {"2m": 128 * 1024, "4m": 528 * 1024}
TPM_SIZE = 4 << 20


def whole_kib(gib: float) -> int:
    """A size in whole KiB, rounded up (pve-common PVE/Tools.pm, convert_size)."""
    return math.ceil(gib * GIB_IN_KIB)


def normal_drives(world: World, params: dict[str, object]) -> None:
    """Check every drive given and put it into its normal form."""
    for key in sorted(params):
        if not is_drive(key):
            continue
        drive = read_drive(key, str(params[key]))
        if "import-from" in drive.options:
            wanted = drive.allocates
            if wanted is None or float(wanted[2]) != 0:
                text = (
                    "'import-from' requires special syntax - "
                    "use <storage ID>:0,import-from=<source>"
                )
                raise bad_parameters({key: text})
            _need_import_options(drive)
        if drive.file in ("none", "cdrom") and "media" not in drive.options:
            drive = replace(drive, options={**drive.options, "media": "cdrom"})
        elif drive.file.startswith("/") and not drive.file.startswith("/dev/"):
            drive = _named_by_path(world, drive)
        _need_cdrom_media(world, drive)
        params[key] = drive.print()


def _need_import_options(drive: Drive) -> None:
    """What cannot be read off an imported firmware disk has to be said."""
    needed = {"efidisk0": ("efitype", "pre-enrolled-keys"), "tpmstate0": ("version",)}
    for name in needed.get(drive.key, ()):
        if name not in drive.options:
            text = f"need to specify '{name}' when using 'import-from'"
            raise bad_parameters({drive.key: text})


def _named_by_path(world: World, drive: Drive) -> Drive:
    """A file under a storage's folder gets its volume id; an ISO image is then a CD-ROM."""
    for volume in world.volumes.values():
        store = storage.storage_of(world, volume.storage)
        known = volume.content in ("images", "iso") and store.path is not None
        if not known or file_path(store, volume.name) != drive.file:
            continue
        media = drive.options.get("media") or ("cdrom" if volume.content == "iso" else "disk")
        wanted = "iso" if media == "cdrom" else "images"
        if "media" in drive.options and wanted != volume.content:
            text = f"unexpected media type ({volume.content} != {wanted})"
            raise bad_parameters({drive.key: text})
        options = dict(drive.options) | ({"media": media} if volume.content == "iso" else {})
        return replace(drive, file=volume.volid, options=options)
    text = f"unable to associate path '{drive.file}' to any storage"
    raise bad_parameters({drive.key: text})


def _need_cdrom_media(world: World, drive: Drive) -> None:
    parts = split_volid(drive.file)
    if parts is None or drive.allocates or parts[1] == "cloudinit":
        return
    _storage, name = storage.read_volid(world, drive.file)
    if name.content == "iso" and not drive.is_cdrom:
        text = "explicit 'media=cdrom' is required for iso images"
        raise bad_parameters({drive.key: text})


def check_storage_access(
    world: World,
    identity: Identity,
    vmid: int,
    params: Mapping[str, object],
) -> None:
    """Storages and volumes that the drives name: do they exist, may the caller use them?"""
    for key in sorted(params):
        if is_drive(key):
            drive = parse_drive(key, str(params[key]))
            if drive is not None:
                _check_drive_access(world, identity, vmid, drive)
    state_storage = params.get("vmstatestorage")
    if state_storage is not None:
        check(world, identity, f"/storage/{state_storage}", ["Datastore.AllocateSpace"])


def _check_drive_access(world: World, identity: Identity, vmid: int, drive: Drive) -> None:
    parts = split_volid(drive.file)
    wanted = drive.allocates
    if drive.file == "none" or (parts is not None and parts[1] == "cloudinit"):
        return
    if drive.is_cdrom and drive.file == "cdrom":
        check(world, identity, "/", ["Sys.Console"])
    elif wanted is not None and not drive.is_cdrom:
        check(world, identity, f"/storage/{wanted[1]}", ["Datastore.AllocateSpace"])
        storage.need_images(storage.storage_of(world, wanted[1]))
    else:
        check_volume_access(world, identity, vmid, drive.file)
        if parts is not None:
            _storage, volume = storage.read_volid(world, drive.file)
            if volume.content not in ("images", "iso"):
                text = "content type needs to be 'images' or 'iso'"
                raise bad_parameters({drive.key: text})
    source = drive.options.get("import-from")
    if source is not None:
        _check_import_access(world, identity, vmid, drive.key, source)


def _check_import_access(
    world: World, identity: Identity, vmid: int, key: str, source: str
) -> None:
    if split_volid(source) is None:
        if not identity.root:
            raise failed("Only root can pass arbitrary filesystem paths.\n")
        return
    _storage, name = storage.read_volid(world, source)
    if name.content not in ("images", "import"):
        text = f"{source} has wrong type '{name.content}' - needs to be 'images' or 'import'"
        raise bad_parameters({key: text})
    if name.vmid is not None:
        check(world, identity, f"/vms/{name.vmid}", ["VM.Clone"])
    else:
        check_volume_access(world, identity, vmid, source)


def check_volume_access(world: World, identity: Identity, vmid: int, volid: str) -> None:
    """May the caller use an existing volume for this VM? Sources: pve-storage Storage.pm."""
    parts = split_volid(volid)
    if parts is None:
        if not identity.root:
            raise failed("Only root can pass arbitrary filesystem paths.\n")
        return
    _storage, name = storage.read_volid(world, volid)
    where = f"/storage/{parts[0]}"
    if name.content in ("iso", "vztmpl", "import"):
        check(world, identity, where, ["Datastore.AllocateSpace", "Datastore.Audit"], any=True)
    elif name.vmid == vmid:
        return
    elif name.content == "images":
        check(world, identity, where, ["Datastore.Audit"])
        check(world, identity, f"/vms/{name.vmid}", ["VM.Config.Disk"])
    else:
        check(world, identity, where, ["Datastore.Allocate"])


def check_drive_rights(world: World, identity: Identity, vmid: int, key: str, text: str) -> None:
    """The privilege on /vms/V that changing this drive takes."""
    drive = parse_drive(key, text)
    needed = ["VM.Config.Disk"]
    if drive is not None and drive.is_cloudinit:
        needed = ["VM.Config.Cloudinit", "VM.Config.CDROM"]
    elif drive is not None and drive.is_cdrom:
        needed = ["VM.Config.CDROM"]
    check(world, identity, f"/vms/{vmid}", needed)


def keep_tpm_version(old: str, new: str) -> None:
    """Raise 500 when the same TPM state is to be read as another version."""
    before, after = parse_drive("tpmstate0", old), parse_drive("tpmstate0", new)
    if before is None or after is None or before.file != after.file:
        return
    if before.options.get("version", "v1.2") != after.options.get("version", "v1.2"):
        raise failed("cannot change TPM state version after creation\n")


class Workshop:
    """Makes the volumes that new drive values ask for; frees them again when one fails.

    `configs` are the sections in which a cloud-init drive may already be attached.
    """

    def __init__(
        self,
        world: World,
        node: str,
        vmid: int,
        configs: list[Mapping[str, Value]],
        template: bool = False,
    ) -> None:
        self.world = world
        self.node = node
        self.vmid = vmid
        self.configs = configs
        self.template = template
        self.made: list[str] = []
        self.lines: list[str] = []

    def build(self, drives: Mapping[str, str]) -> dict[str, str]:
        """The values to store, by key. Raises 500 in Proxmox's words."""
        results: dict[str, str] = {}
        try:
            for key in sorted(drives):
                drive = read_drive(key, drives[key])
                results[key] = self._one(drive, results).print()
        except Refusal:
            self.undo()
            raise
        return results

    def undo(self) -> None:
        """Free everything that was made."""
        for volid in self.made:
            storage.free(self.world, self.node, volid)
        self.made.clear()

    def _one(self, drive: Drive, results: Mapping[str, str]) -> Drive:
        parts = split_volid(drive.file)
        if drive.file in ("none", "cdrom"):
            return replace(drive, size=None)
        if parts is not None and parts[1] == "cloudinit":
            return self._cloudinit(drive, parts[0], results)
        wanted = NEW_DISK.match(drive.file)
        if wanted is not None:
            return self._new(drive, wanted[1], whole_kib(float(wanted[2])) * KIB)
        return self._attach(drive, results)

    def _say(self, drive: Drive) -> Drive:
        self.lines.append(f"{drive.key}: successfully created disk '{drive.print()}'")
        return drive

    def _refuse_second_cloudinit(self, key: str, results: Mapping[str, str]) -> None:
        for config in [*self.configs, results]:
            for other in sorted(config):
                if other == key or not is_drive(other):
                    continue
                drive = parse_drive(other, str(config[other]))
                if drive is not None and drive.is_cloudinit:
                    raise failed(f"{key} - cloud-init drive is already attached at '{other}'\n")

    def _cloudinit(self, drive: Drive, name: str, results: Mapping[str, str]) -> Drive:
        self._refuse_second_cloudinit(drive.key, results)
        store = storage.storage_of(self.world, name)
        form = drive.options.get("format") or ("qcow2" if store.path is not None else "raw")
        volume = storage.allocate(
            self.world,
            self.node,
            name,
            self.vmid,
            form,
            storage.CLOUDINIT_SIZE,
            f"vm-{self.vmid}-cloudinit",
            used=266240,
        )
        self.made.append(volume.volid)
        options = {key: text for key, text in drive.options.items() if key != "format"}
        return self._say(replace(drive, file=volume.volid, options={**options, "media": "cdrom"}))

    def _new(self, drive: Drive, name: str, size: int) -> Drive:
        options = dict(drive.options)
        form = options.pop("format", None)
        source = options.pop("import-from", None)
        used = storage.FRESH
        if source is not None:
            size, used, form = self._imported(source, name, form)
        elif drive.key == "efidisk0":
            size = EFI_SIZES[options.get("efitype", "2m")]
        elif drive.key == "tpmstate0":
            size, form = TPM_SIZE, "raw"
        volume = storage.allocate(
            self.world, self.node, name, self.vmid, form or "raw", size, used=used
        )
        if self.template:
            volume = storage.make_base(self.world, self.node, volume.volid)
        self.made.append(volume.volid)
        return self._say(replace(drive, file=volume.volid, size=size, options=options))

    def _imported(self, source: str, name: str, form: str | None) -> tuple[int, int, str]:
        """Size, used bytes and format of the copy of an image."""
        if split_volid(source) is None:
            raise failed(f"can't find file '{source}'\n")
        store, parsed = storage.read_volid(self.world, source)
        volume = self.world.volume(self.node, source)
        head = f"cannot import from '{source}' - "
        if volume is None and parsed.content == "import":
            path = file_path(store, source.partition(":")[2])
            raise failed(f"failed to stat '{path}'\n")
        if volume is None:
            raise failed(f"{head}could not get size of {source}\n")
        if parsed.vmid == self.vmid:
            lock = f"/var/lock/qemu-server/lock-{self.vmid}.conf"
            raise failed(f"{head}can't lock file '{lock}' - got timeout\n")
        target = storage.storage_of(self.world, name)
        copied = storage.default_format(target, form or volume.format)
        return volume.virtual or volume.size, max(volume.used, storage.FRESH), copied

    def _attach(self, drive: Drive, results: Mapping[str, str]) -> Drive:
        if split_volid(drive.file) is None:
            raise failed(f"volume {drive.file} does not exist\n")
        volume = storage.existing(self.world, self.node, drive.file)
        form = drive.options.get("format")
        if form is not None and form != volume.format:
            raise failed(
                f"drive '{drive.key}' - volume '{drive.file}' - 'format={form}' option different "
                f"from storage format '{volume.format}'\n"
            )
        if drive.is_cloudinit:
            self._refuse_second_cloudinit(drive.key, results)
        elif drive.key == "tpmstate0" and volume.format != "raw":
            text = f"volume format is '{volume.format}', only 'raw' is supported!"
            raise failed(f"tpmstate0: {text}\n")
        return replace(drive, size=volume.size)
