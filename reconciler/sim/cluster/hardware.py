"""What is plugged into the nodes, and what QEMU on them can imitate.

Every node has the same two graphics cards, network card and key unless a test says otherwise.
Sources: pve-manager PVE/API2/Hardware/{PCI,USB}.pm, pve-common PVE/SysFSTools.pm, qemu-server
PVE/API2/Qemu/{CPU,Machine}.pm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import all_users, perm
from reconciler.sim.parameters.schema import Boolean, Text, split_list
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

AUDIT = perm("/nodes/{node}", "Sys.Audit", "Sys.Modify", any=True)
HIDDEN_CLASSES = "05;06;0b"
VENDORS = {"10de": "NVIDIA Corporation", "8086": "Intel Corporation"}


@dataclass(slots=True)
class PciDevice:
    """One function; ids are four hex digits, `kind` the six of its class."""

    id: str
    kind: str
    vendor: str
    device: str
    name: str
    group: int
    sub_vendor: str = "10de"
    sub_device: str = "0000"
    mdev: bool = False


@dataclass(slots=True)
class UsbDevice:
    """One device on a bus, with the port path that a mapping may name."""

    vendor: str
    product: str
    path: str
    maker: str
    name: str


def usual_pci() -> list[PciDevice]:
    return [
        PciDevice("0000:01:00.0", "030000", "10de", "2204", "GA102 [GeForce RTX 3090]", 16),
        PciDevice("0000:02:00.0", "030000", "10de", "2204", "GA102 [GeForce RTX 3090]", 17),
        PciDevice(
            "0000:05:00.0",
            "020000",
            "8086",
            "1572",
            "Ethernet Controller X710 for 10GbE SFP+",
            20,
            "8086",
            "0007",
        ),
    ]


def usual_usb() -> list[UsbDevice]:
    return [UsbDevice("1050", "0407", "1-2", "Yubico.com", "Yubikey 4/5 OTP+U2F+CCID")]


@dataclass(slots=True)
class Hardware:
    """Devices per node; a node that is not named has the usual ones."""

    pci: dict[str, list[PciDevice]] = field(default_factory=dict)
    usb: dict[str, list[UsbDevice]] = field(default_factory=dict)
    directories: dict[str, list[str]] = field(default_factory=dict)


def hardware(world: World) -> Hardware:
    return world.room("hardware", Hardware)


def pci_of(world: World, node: str) -> list[PciDevice]:
    found = hardware(world).pci.get(node)
    return usual_pci() if found is None else found


def usb_of(world: World, node: str) -> list[UsbDevice]:
    found = hardware(world).usb.get(node)
    return usual_usb() if found is None else found


def has_directory(world: World, node: str, path: str) -> bool:
    """Every directory exists unless the node's are listed."""
    listed = hardware(world).directories.get(node)
    return listed is None or path in listed


@route("GET", "/nodes/{node}/hardware", permission=all_users)
def list_hardware(world: World, request: Request) -> Json:
    return [{"type": "pci"}, {"type": "usb"}]


def pci_row(device: PciDevice) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": device.id,
        "class": f"0x{device.kind}",
        "vendor": f"0x{device.vendor}",
        "vendor_name": VENDORS.get(device.vendor, "Unknown"),
        "device": f"0x{device.device}",
        "device_name": device.name,
        "iommugroup": device.group,
        "subsystem_vendor": f"0x{device.sub_vendor}",
        "subsystem_vendor_name": VENDORS.get(device.sub_vendor, "Unknown"),
        "subsystem_device": f"0x{device.sub_device}",
    }
    if device.mdev:
        row["mdev"] = 1
    return row


@route(
    "GET",
    "/nodes/{node}/hardware/pci",
    fields={
        "pci-class-blacklist": Text(optional=True),
        "verbose": Boolean(optional=True),
    },
    permission=AUDIT,
    protected=True,
)
def list_pci(world: World, request: Request) -> Json:
    """Without `verbose=1` (the default) only the ids; bridges and memory are left out."""
    hidden = split_list(request.params.get("pci-class-blacklist", HIDDEN_CLASSES))
    shown = [one for one in pci_of(world, request.node) if not one.kind.startswith(tuple(hidden))]
    if request.params.get("verbose", 1):
        return [pci_row(one) for one in shown]
    return [{"id": one.id} for one in shown]


@route("GET", "/nodes/{node}/hardware/usb", permission=AUDIT, protected=True)
def list_usb(world: World, request: Request) -> Json:
    rows = []
    for number, one in enumerate(usb_of(world, request.node), 2):
        bus, _dash, port = one.path.partition("-")
        rows.append(
            {
                "busnum": int(bus),
                "class": 0,
                "devnum": number,
                "level": 1,
                "manufacturer": one.maker,
                "port": int(port.partition(".")[0]) - 1,
                "prodid": one.product,
                "product": one.name,
                "speed": "12",
                "usbpath": port,
                "vendid": one.vendor,
            }
        )
    return rows


@route("GET", "/nodes/{node}/capabilities", permission=all_users)
def list_capabilities(world: World, request: Request) -> Json:
    return [{"name": "qemu"}]


@route("GET", "/nodes/{node}/capabilities/qemu", permission=all_users)
def list_qemu_capabilities(world: World, request: Request) -> Json:
    return [{"name": "cpu"}, {"name": "machines"}]


MODELS = {
    "AuthenticAMD": (
        *("athlon", "phenom", "Opteron_G1", "Opteron_G2", "Opteron_G3", "Opteron_G4"),
        *("Opteron_G5", "EPYC", "EPYC-IBPB", "EPYC-Rome", "EPYC-Milan", "EPYC-Genoa"),
    ),
    "GenuineIntel": (
        *("486", "pentium", "pentium2", "pentium3", "coreduo", "core2duo", "Conroe", "Penryn"),
        *("Nehalem", "Westmere", "SandyBridge", "IvyBridge", "Haswell", "Broadwell"),
        *("Skylake-Client", "Skylake-Server", "Cascadelake-Server", "Icelake-Server"),
        *("SapphireRapids", "GraniteRapids", "KnightsMill"),
    ),
    "default": (
        *("kvm32", "kvm64", "max", "qemu32", "qemu64", "host", "x86-64-v2", "x86-64-v2-AES"),
        *("x86-64-v3", "x86-64-v4"),
    ),
}
MACHINE_VERSIONS = (
    *("9.2+pve1", "9.2", "9.1", "9.0", "8.2", "8.1", "8.0", "7.2", "7.1", "7.0", "6.2", "6.1"),
    *("6.0", "5.2", "5.1", "5.0", "4.2", "4.1", "4.0", "3.1", "3.0", "2.12", "2.11", "2.10"),
)


@route("GET", "/nodes/{node}/capabilities/qemu/cpu", permission=all_users)
def list_cpu_models(world: World, request: Request) -> Json:
    return [
        {"name": name, "vendor": vendor, "custom": 0}
        for vendor, names in MODELS.items()
        for name in names
    ]


@route("GET", "/nodes/{node}/capabilities/qemu/machines", permission=all_users)
def list_machines(world: World, request: Request) -> Json:
    return [
        {"id": f"pc-{kind}-{version}", "type": short, "version": version}
        for kind, short in (("i440fx", "i440fx"), ("q35", "q35"))
        for version in MACHINE_VERSIONS
    ]
