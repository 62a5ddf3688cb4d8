"""Worlds to start from: the one that the recorded flows begin with, and a small demo cluster."""

from __future__ import annotations

import hashlib
import random

from reconciler.sim.accounts.access import Access, Grant, Token, User
from reconciler.sim.accounts.roles import CONFIG, built_in
from reconciler.sim.cluster import broadcast
from reconciler.sim.cluster.inventory import GIB, Bridge, Node, Storage, Volume
from reconciler.sim.ha.book import book
from reconciler.sim.launch import DEMO_SECRET as DEMO_SECRET
from reconciler.sim.launch import FLEET_TOKEN as FLEET_TOKEN
from reconciler.sim.launch import FLEET_USER as FLEET_USER
from reconciler.sim.vm.machine import Machine
from reconciler.sim.world import World

MIB = 1024**2
FLEET_ROLE = "Fleet"
FLEET_PRIVILEGES = (
    "Datastore.AllocateSpace",
    "Datastore.Audit",
    "Pool.Allocate",
    "Pool.Audit",
    "SDN.Use",
    "Sys.Audit",
    "Sys.Modify",
    "Sys.Syslog",
    "VM.Allocate",
    "VM.Audit",
    "VM.Backup",
    "VM.Clone",
    *CONFIG,
    "VM.Migrate",
    "VM.Monitor",
    "VM.PowerMgmt",
    "VM.Snapshot",
    "VM.Snapshot.Rollback",
)
"""The least that a fleet needs: VMs, their disks and addresses, pools, the log."""

EVERYTHING = ["iso", "backup", "snippets", "images", "vztmpl", "rootdir", "import"]


def fingerprint(name: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest().upper()
    return ":".join(digest[n : n + 2] for n in range(0, 64, 2))


def empty_world(now: float, seed: int, password: str) -> World:
    """No nodes yet: only root@pam, the built-in roles and a signing key."""
    world = World(now=now, booted=now, seed=seed, seen_at=now)
    world.secret = f"{random.Random(seed).getrandbits(256):064x}"
    world.access = Access(users={"root@pam": User(password=password)}, roles=built_in())
    return world


def recorded_world(now: float, speed: float = 60.0, seed: int = 0) -> World:
    """The empty one-node cluster that every recorded flow starts from; root@pam / pvetest.

    As on the recorded host, the HA managers do not run.
    """
    world = empty_world(now, seed, "pvetest")
    world.speed = speed
    book(world).resting = True
    bridges = [Bridge("vmbr0", cidr="10.99.99.1/24")]
    world.nodes["pve1"] = Node(
        "pve1",
        1,
        "10.99.99.1",
        cpus=2,
        memory=25276510208,
        root_size=270553174016,
        started_at=now - 4194,
        fingerprint=fingerprint("pve1"),
        bridges=bridges,
    )
    size = 270553174016
    world.storages = {
        "local": Storage(
            "local", "dir", EVERYTHING, size, used=28608929792, options={"path": "/var/lib/vz"}
        ),
        "store2": Storage(
            "store2",
            "dir",
            ["images", "rootdir"],
            size,
            used=28608929792,
            options={"path": "/var/lib/vz2"},
        ),
    }
    add_file(world, "pve1", "local:import/tiny.qcow2", "import", "qcow2", 19791872)
    world.volumes["pve1", "local:import/tiny.qcow2"].virtual = 64 * MIB
    add_file(world, "pve1", "local:iso/t.iso", "iso", "iso", 4096)
    return world


def add_file(world: World, node: str, volid: str, content: str, form: str, size: int) -> None:
    """Put a file that belongs to no VM on a storage."""
    ctime = int(world.now) - 3600
    world.volumes[node, volid] = Volume(volid, node, content, form, size, used=size, ctime=ctime)


def demo_world(
    now: float, nodes: int = 3, vms: int = 0, seed: int = 0, speed: float = 60.0
) -> World:
    """A cluster `demo` of pve1..N with templates, a fleet token and `vms` foreign VMs.

    root@pam / demo; API token reconcile@pve!fleet with secret `demo`.
    """
    world = empty_world(now, seed, DEMO_SECRET)
    world.name, world.speed = "demo", speed
    for number in range(1, nodes + 1):
        world.nodes[f"pve{number}"] = demo_node(number, now)
    add_demo_storages(world)
    add_fleet_user(world)
    for position, node in enumerate(list(world.nodes)[:3]):
        add_template(world, node, 9000 + position, "debian-12", "local-lvm", 3)
    first = next(iter(world.nodes))
    add_template(world, first, 9100, "ubuntu-24", "shared", 4)
    add_foreign(world, vms)
    world.firewall = {
        "cluster": {
            "options": {"enable": 1},
            "rules": [],
            "aliases": {},
            "ipsets": {},
            "groups": {},
        }
    }
    broadcast.announce(world)
    return world


def demo_node(number: int, now: float) -> Node:
    name = f"pve{number}"
    return Node(
        name,
        number,
        f"192.0.2.{10 + number}",
        cpus=32,
        memory=256 * GIB,
        started_at=now - 86400,
        fingerprint=fingerprint(name),
        bridges=[
            Bridge("vmbr0", cidr=f"192.0.2.{10 + number}/24", gateway="192.0.2.1", ports="eno1"),
            Bridge("vmbr1", ports="eno2", vlan_aware=True),
        ],
    )


def add_demo_storages(world: World) -> None:
    world.storages = {
        "local": Storage(
            "local",
            "dir",
            ["iso", "backup", "snippets", "import"],
            200 * GIB,
            used=8 * GIB,
            options={"path": "/var/lib/vz"},
        ),
        "local-lvm": Storage(
            "local-lvm",
            "lvmthin",
            ["images", "rootdir"],
            4096 * GIB,
            options={"vgname": "pve", "thinpool": "data"},
        ),
        "shared": Storage(
            "shared",
            "rbd",
            ["images", "rootdir"],
            16384 * GIB,
            shared=True,
            options={"pool": "shared", "username": "admin", "krbd": "0"},
        ),
    }


def add_fleet_user(world: World) -> None:
    access = world.access
    access.roles[FLEET_ROLE] = sorted(FLEET_PRIVILEGES)
    access.users[FLEET_USER] = User(
        comment="runs reconcile", tokens={FLEET_TOKEN: Token(DEMO_SECRET, privsep=True)}
    )
    access.users["alice@pve"] = User(password="alice-demo", comment="a person")
    access.grants += [
        Grant("/", "user", FLEET_USER, FLEET_ROLE),
        Grant("/", "token", f"{FLEET_USER}!{FLEET_TOKEN}", FLEET_ROLE),
        Grant("/", "user", "alice@pve", "PVEVMAdmin"),
    ]
    access.changed()


def add_disk(world: World, node: str, storage: str, name: str, vmid: int, gib: float) -> str:
    """Put an image on a storage; returns its volid."""
    volid, size = f"{storage}:{name}", int(gib * GIB)
    place = "" if world.storages[storage].shared else node
    used = size // 16
    world.volumes[place, volid] = Volume(
        volid, place, "images", "raw", size, vmid=vmid, used=used, ctime=int(world.now) - 86400
    )
    return volid


def add_template(world: World, node: str, vmid: int, name: str, storage: str, gib: int) -> None:
    """A cloud image as people prepare it: one disk, cloud-init drive, serial console, agent."""
    disk = add_disk(world, node, storage, f"base-{vmid}-disk-0", vmid, gib)
    seed_drive = add_disk(world, node, storage, f"vm-{vmid}-cloudinit", vmid, 4 / 1024)
    made = int(world.now) - 86400
    world.vms[vmid] = Machine(
        vmid,
        node,
        config={
            "agent": "1",
            "boot": "order=scsi0",
            "cores": 2,
            "ide2": f"{seed_drive},media=cdrom,size=4M",
            "memory": "2048",
            "meta": f"creation-qemu=9.2.0,ctime={made}",
            "name": name,
            "net0": f"virtio={world.new_mac()},bridge=vmbr0",
            "ostype": "l26",
            "scsi0": f"{disk},size={gib}G",
            "scsihw": "virtio-scsi-single",
            "serial0": "socket",
            "smbios1": f"uuid={world.new_uuid()}",
            "template": 1,
            "vmgenid": world.new_uuid(),
        },
        made_at=float(made),
    )


def add_foreign(world: World, count: int) -> None:
    """VMs that somebody else made, spread over the nodes, every second one running."""
    names = list(world.nodes)
    vmid = 10000
    for position in range(count):
        node = names[position % len(names)]
        number = vmid + position
        disk = add_disk(world, node, "local-lvm", f"vm-{number}-disk-0", number, 8)
        machine = Machine(
            number,
            node,
            config={
                "boot": "order=scsi0",
                "cores": 2,
                "memory": "2048",
                "name": f"guest-{number}",
                "net0": f"virtio={world.new_mac()},bridge=vmbr0",
                "ostype": "l26",
                "scsi0": f"{disk},size=8G",
                "scsihw": "virtio-scsi-single",
                "smbios1": f"uuid={world.new_uuid()}",
                "vmgenid": world.new_uuid(),
            },
            made_at=world.now - 3600,
        )
        if position % 2 == 0:
            machine.status, machine.started_at = "running", world.now - 3600
            machine.pid = 2000 + position
        world.vms[number] = machine
