"""The rights that a fleet needs on a cluster, which are missing, and the line that grants them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.pve.usage import Usage

VM_RIGHTS = (
    "VM.Allocate",
    "VM.Audit",
    "VM.Clone",
    "VM.Config.CPU",
    "VM.Config.Cloudinit",
    "VM.Config.Disk",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.Migrate",
    "VM.PowerMgmt",
)
LOCAL: Mapping[str, str] = {}
"""No bridge is a vnet: each is in the zone of the nodes' own."""

_TOP = ("/", "/access", "/access/groups", "/nodes", "/pool", "/sdn", "/storage", "/vms")

Permissions = Mapping[str, Mapping[str, object]]
"""`GET /access/permissions`: path -> privilege -> whether it propagates."""


@dataclass(frozen=True, slots=True)
class Need:
    """Privileges on one path."""

    path: str
    privileges: tuple[str, ...]


def needs(used: Usage, zones: Mapping[str, str] = LOCAL) -> list[Need]:
    """Return every right that the fleet needs, by path.

    A VM in a pool is covered by rights on the pool; a bridge's VLAN has a path of its own
    (`/sdn/zones/localnetwork/vmbr0/100`), covered by rights on the bridge. `zones` says of bridges
    that are vnets of the SDN in which zone they are.
    """
    extra = (*(["Sys.Console"] * used.ha), *(["Sys.Modify"] * used.startup))
    found = [Need("/", ("Sys.Audit", *extra, "Sys.Syslog"))]
    rights = (
        *(right for right in VM_RIGHTS if used.migrates or right != "VM.Migrate"),
        *(["VM.Config.CDROM"] * used.media),
        *(["VM.Config.HWType"] * used.hardware),
        *(["VM.Snapshot"] * used.guarded),
        *(["VM.Backup"] * used.backed_up),
    )
    if used.unpooled:
        found.append(Need("/vms", rights))
    for pool in used.pools:
        extra = () if used.unpooled else rights
        found.append(Need(f"/pool/{pool}", tuple(sorted((*extra, "Pool.Allocate", "Pool.Audit")))))
    for vmids in used.templates.values():
        found += [Need(f"/vms/{vmid}", ("VM.Audit", "VM.Clone")) for vmid in vmids]
    for storage in used.storages:
        found.append(Need(f"/storage/{storage}", ("Datastore.AllocateSpace", "Datastore.Audit")))
    found += [Need(f"/mapping/{name}", ("Mapping.Use",)) for name in used.mappings]
    images = [volume for volumes in used.images.values() for volume in volumes]
    listed = {volume.partition(":")[0] for volume in (*used.files.get("iso", ()), *images)}
    for storage in sorted(listed - {*used.storages}):
        found.append(Need(f"/storage/{storage}", ("Datastore.Audit",)))
    for bridge, vlans in used.bridges.items():
        base = f"/sdn/zones/{zones.get(bridge, 'localnetwork')}/{bridge}"
        found += [Need(f"{base}/{vlan}" if vlan else base, ("SDN.Use",)) for vlan in vlans]
    return found


def lacking(permissions: Permissions, need: Need) -> tuple[str, ...]:
    """Return which of the privileges are not had on the need's path."""
    own = permissions.get(need.path)
    if own is not None:
        return tuple(one for one in need.privileges if one not in own)
    inherited = _inherited(permissions, need.path)
    return tuple(one for one in need.privileges if one not in inherited)


def _inherited(permissions: Permissions, path: str) -> set[str]:
    """Return what propagates from the nearest listed path above; a top path is listed if it has
    any right, so an absent one has none."""
    while path not in _TOP:
        path = path.rsplit("/", 1)[0] or "/"
        if path in permissions:
            return {name for name, spreads in permissions[path].items() if spreads}
    return set()


def grant(identity: str, path: str, privileges: Iterable[str]) -> str:
    """Return the line that grants privileges on a path, to run as root on a node.

    A token with privilege separation has only what its user has too, so both get them.
    """
    words = [word for word in path.replace(".", "-").split("/") if word]
    role = "-".join(("Reconcile", *words))
    user, mark, _ = identity.partition("!")
    who = f"--users '{user}' --tokens '{identity}'" if mark else f"--users '{user}'"
    return (
        f"pveum role add {role} --privs '{' '.join(privileges)}' && "
        f"pveum acl modify {path} {who} --roles {role}"
    )
