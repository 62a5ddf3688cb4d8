"""The privileges and built-in roles of Proxmox VE 8.4 (pve-access-control PVE/AccessControl.pm)."""

from __future__ import annotations

from reconciler.sim.parameters.schema import FormatError

CONFIG = (
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
)
VM_USER = (
    "VM.Audit",
    "VM.Backup",
    "VM.Config.CDROM",
    "VM.Config.Cloudinit",
    "VM.Console",
    "VM.PowerMgmt",
)
VM_ADMIN = (
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
    "VM.Clone",
    *CONFIG,
    "VM.Console",
    "VM.Migrate",
    "VM.Monitor",
    "VM.PowerMgmt",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
)
DATASTORE = (
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
)
POOL = ("Pool.Allocate", "Pool.Audit")
SDN = ("SDN.Allocate", "SDN.Audit", "SDN.Use")
SYS_ADMIN = ("Sys.Audit", "Sys.Console", "Sys.Syslog")
USER_ADMIN = ("Group.Allocate", "Realm.AllocateUser", "User.Modify")
EVERYDAY = (*DATASTORE, *POOL, *SDN, *SYS_ADMIN, *USER_ADMIN, *VM_ADMIN)
MAPPING = ("Mapping.Audit", "Mapping.Modify", "Mapping.Use")
HIGH = (
    "Permissions.Modify",
    "Realm.Allocate",
    "Sys.AccessNetwork",
    "Sys.Incoming",
    "Sys.Modify",
    "Sys.PowerMgmt",
)

BUILT_IN: dict[str, tuple[str, ...]] = {
    "Administrator": (*EVERYDAY, *MAPPING, *HIGH),
    "NoAccess": (),
    "PVEAdmin": (*EVERYDAY, "Mapping.Audit", "Mapping.Use"),
    "PVEAuditor": (
        "Datastore.Audit",
        "Mapping.Audit",
        "Pool.Audit",
        "SDN.Audit",
        "Sys.Audit",
        "VM.Audit",
    ),
    "PVEDatastoreAdmin": DATASTORE,
    "PVEDatastoreUser": ("Datastore.AllocateSpace", "Datastore.Audit"),
    "PVEMappingAdmin": MAPPING,
    "PVEMappingUser": ("Mapping.Audit", "Mapping.Use"),
    "PVEPoolAdmin": POOL,
    "PVEPoolUser": ("Pool.Audit",),
    "PVESDNAdmin": SDN,
    "PVESDNUser": ("SDN.Audit", "SDN.Use"),
    "PVESysAdmin": SYS_ADMIN,
    "PVETemplateUser": ("VM.Audit", "VM.Clone"),
    "PVEUserAdmin": USER_ADMIN,
    "PVEVMAdmin": VM_ADMIN,
    "PVEVMUser": VM_USER,
}
MONITOR = "VM.Monitor"
"""What 8.x asks for whoever uses a guest's agent."""

AGENT_PRIVILEGES = (
    "VM.GuestAgent.Audit",
    "VM.GuestAgent.FileRead",
    "VM.GuestAgent.FileSystemMgmt",
    "VM.GuestAgent.FileWrite",
    "VM.GuestAgent.Unrestricted",
)
SINCE_9 = (*AGENT_PRIVILEGES, "VM.Replicate")
PRIVILEGES = frozenset(BUILT_IN["Administrator"])
"""Every privilege of 8.4; others are `invalid privilege 'X'`."""


def built_in() -> dict[str, list[str]]:
    """A fresh table of roles, privileges sorted as Proxmox lists them."""
    return {name: sorted(privileges) for name, privileges in BUILT_IN.items()}


def privilege_name(text: str) -> str:
    """Format `pve-priv`."""
    if text not in PRIVILEGES and text not in SINCE_9:
        raise FormatError(f"invalid privilege '{text}'")
    return text
