"""Kinds of storage: what each holds, in which formats, what it can do with a volume.

Sources: pve-storage PVE/Storage/*Plugin.pm (plugindata, options, volume_has_feature).
"""

from __future__ import annotations

from dataclasses import dataclass, field

FILES = ("images", "rootdir", "vztmpl", "iso", "backup", "snippets", "import")
BLOCKS = ("images", "rootdir")
ALL_STATES = ("base", "current", "snap")
GENERAL = ("nodes", "disable", "content", "shared", "bwlimit")
KEEPING = ("prune-backups", "max-protected-backups")
MOUNT = ("create-base-path", "create-subdirs", "mkdir", "format", "preallocation", "content-dirs")


@dataclass(frozen=True, slots=True)
class Kind:
    """One plug-in.

    `content` may be kept, `default` is kept when nothing is said; `formats` of images, the first
    is the default. `features` name, per feature, the states of a volume (base image, current,
    snapshot) or `FORMAT:STATE` where only some formats can. `required` and `optional` are the
    parameters of its section, `fixed` those that no update changes. `thick` volumes take all
    their space at once; `vm_style` volumes carry the base in the name of a linked clone.
    """

    content: tuple[str, ...]
    default: tuple[str, ...]
    formats: tuple[str, ...] = ("raw",)
    shown: tuple[str, ...] = ("raw",)
    features: dict[str, tuple[str, ...]] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    shared: bool = False
    files: bool = False
    thick: bool = False
    named_base: bool = False

    def can(self, feature: str, state: str, form: str) -> bool:
        """Whether a volume in that state and format has the feature."""
        states = self.features.get(feature, ())
        return state in states or f"{form}:{state}" in states


FILE_FEATURES = {
    "snapshot": ("qcow2:current", "qcow2:snap"),
    "clone": ("base",),
    "template": ("current",),
    "copy": ("base", "current", "qcow2:snap"),
}
FILE_FORMATS = ("raw", "qcow2", "vmdk")


def _files(
    required: tuple[str, ...], optional: tuple[str, ...], shared: bool, images: bool = True
) -> Kind:
    content = FILES if images else ("vztmpl", "iso", "backup", "snippets", "import")
    return Kind(
        content=content,
        default=("images",) if images else ("backup",),
        formats=FILE_FORMATS if images else (),
        shown=FILE_FORMATS if images else ("raw",),
        features=FILE_FEATURES if images else {},
        required=required,
        optional=(*GENERAL, *KEEPING, *MOUNT, *optional),
        fixed=(*required, "path"),
        shared=shared,
        files=True,
        named_base=True,
    )


DIR = Kind(
    content=FILES,
    default=BLOCKS,
    formats=FILE_FORMATS,
    shown=("raw", "qcow2", "vmdk", "subvol"),
    features=FILE_FEATURES,
    required=("path",),
    optional=(*GENERAL, *KEEPING, *MOUNT, "is_mountpoint"),
    fixed=("path",),
    files=True,
    named_base=True,
)
BTRFS = Kind(
    content=FILES,
    default=BLOCKS,
    formats=("raw", "qcow2", "vmdk"),
    shown=("raw", "subvol"),
    features={
        "snapshot": ("qcow2:current", "qcow2:snap", "raw:current", "raw:snap"),
        "clone": ("base", "raw:current", "raw:snap"),
        "template": ("current",),
        "copy": ALL_STATES,
    },
    required=("path",),
    optional=(*GENERAL, *KEEPING, *MOUNT, "is_mountpoint", "nocow"),
    fixed=("path",),
    files=True,
    named_base=True,
)
LVM = Kind(
    content=BLOCKS,
    default=BLOCKS,
    features={"copy": ("base", "current")},
    required=("vgname",),
    optional=(*GENERAL, "base", "saferemove", "saferemove_throughput", "tagged_only"),
    fixed=("vgname", "base"),
    thick=True,
)
LVM_THIN = Kind(
    content=BLOCKS,
    default=BLOCKS,
    features={
        "snapshot": ("current",),
        "clone": ("base", "snap"),
        "template": ("current",),
        "copy": ALL_STATES,
    },
    required=("thinpool", "vgname"),
    optional=("nodes", "disable", "content", "bwlimit"),
    fixed=("thinpool", "vgname"),
)
ZFS_POOL = Kind(
    content=BLOCKS,
    default=BLOCKS,
    shown=("raw", "subvol"),
    features={
        "snapshot": ("current", "snap"),
        "clone": ("base",),
        "template": ("current",),
        "copy": ("base", "current"),
    },
    required=("pool",),
    optional=("nodes", "disable", "content", "bwlimit", "blocksize", "sparse", "mountpoint"),
    fixed=("pool",),
    thick=True,
    named_base=True,
)
RBD = Kind(
    content=BLOCKS,
    default=("images",),
    features={
        "snapshot": ("current", "snap"),
        "clone": ("base", "snap"),
        "template": ("current",),
        "copy": ALL_STATES,
    },
    optional=(
        *("nodes", "disable", "content", "bwlimit", "monhost", "pool", "data-pool", "namespace"),
        *("username", "krbd", "keyring"),
    ),
    shared=True,
    named_base=True,
)
PBS = Kind(
    content=("backup",),
    default=("backup",),
    formats=(),
    required=("datastore", "server"),
    optional=(
        *("nodes", "disable", "content", *KEEPING, "namespace", "port", "username"),
        *("password", "encryption-key", "master-pubkey", "fingerprint"),
    ),
    fixed=("datastore", "server"),
    shared=True,
)
KINDS: dict[str, Kind] = {
    "btrfs": BTRFS,
    "cephfs": _files(
        (), ("fs-name", "fuse", "keyring", "monhost", "path", "subdir", "username"), True, False
    ),
    "cifs": _files(
        ("server", "share"),
        ("domain", "options", "password", "path", "smbversion", "subdir", "username"),
        True,
    ),
    "dir": DIR,
    "lvm": LVM,
    "lvmthin": LVM_THIN,
    "nfs": _files(("export", "server"), ("options", "path"), True),
    "pbs": PBS,
    "rbd": RBD,
    "zfspool": ZFS_POOL,
}
OTHERS = ("esxi", "iscsi", "iscsidirect", "zfs")
"""Kinds that the API names and this cluster does not have."""
