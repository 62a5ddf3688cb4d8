"""One VM as it should be, after defaults, package and templates have been merged and rendered."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from desired.backups import Backups
from desired.cloudinit import CloudInit
from desired.devices import Iso, Pci, Rng, SerialPort, Share, Usb, Vga
from desired.drift import Drift
from desired.ending import End
from desired.firewall import Firewall
from desired.firmware import MACHINE, Bios, Efi, OsType, ScsiController, Tpm
from desired.hardware import STORAGE, Cpu, Disk, Nic
from desired.hostnames import Dns
from desired.model import Bool, Int, Model
from desired.notices import Told
from desired.safeguard import Guard
from desired.snapshots import Snapshots
from desired.traffic import Traffic
from desired.units import Size
from desired.verbs import Do
from desired.windows import Window

Scalar = str | int | float | bool
TAG = r"^[a-z0-9_][a-z0-9_+.-]*$"
NODE = r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$"
POOL = r"^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}$"


class Placement(Model):
    """Where the VM is put at its creation: on a node, or on the best of some.

    `enforce: true` also asks for a migration whenever it is elsewhere later; `local_disks: true`
    lets that carry disks along which only one node sees.
    """

    name: str | None = Field(None, pattern=NODE)
    among: tuple[Annotated[str, Field(pattern=NODE)], ...] = ()
    enforce: Bool = False
    local_disks: Bool = Field(False, description="a running VM's local disks may be carried along")

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it may be on, in the order of the spec."""
        return (self.name,) if self.name else self.among

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _named(self) -> "Placement":
        if (self.name is None) == (not self.among):
            raise ValueError(
                "expected either name: NODE or among: [NODE, ...] (null drops an inherited one)"
            )
        return self


def _chosen(value: object) -> object:
    """`automatic` is the word for what is so without a node."""
    return None if value == "automatic" else value


class Startup(Model):
    """Order and delays (seconds) of the host's own boot sequence."""

    order: Int | None = Field(None, ge=0, le=1_000_000)
    up: Int | None = Field(None, ge=0, le=1_000_000)
    down: Int | None = Field(None, ge=0, le=1_000_000)


class HighAvailability(Model):
    """The VM as an HA resource."""

    state: Literal["started", "stopped", "ignored", "disabled"] = "started"
    group: str | None = Field(None, pattern=NODE)
    max_restart: Int | None = Field(None, ge=0, le=1000)
    max_relocate: Int | None = Field(None, ge=0, le=1000)


class Quota(Model):
    """How many backups and snapshots a VM may have (TASK-10); 0 is none."""

    backups: Int | None = Field(None, ge=0, le=1000)
    snapshots: Int | None = Field(None, ge=0, le=1000)


class VMSpec(Model):
    """Everything one VM should be. A field that is `None` is not ours: never compared or sent.

    `key` is the identity (`web-1`, `cache/3`); `name` is only the Proxmox name (design 4).
    """

    key: str
    cluster: str
    package: str | None = None
    name: str = Field(min_length=1, max_length=253)
    name_template: str = Field("", description="the text that `name` was rolled from")
    domain: str | None = None
    template: str | None = None
    copies: tuple[int | str, ...] = Field(
        (), description="what `template` names in its cluster: vmids, or volumes of images"
    )
    clone: Literal["linked", "full"] = "linked"
    node: Annotated[Placement | None, BeforeValidator(_chosen)] = Field(
        None, description="automatic, a node's name, or {among: [...]}"
    )
    storage: str | None = Field(None, pattern=STORAGE)
    cpu: Cpu | None = None
    memory: Size | None = None
    balloon: Size | None = None
    disks: dict[str, Disk] = Field(default_factory=dict)
    nics: dict[str, Nic] = Field(default_factory=dict)
    bios: Bios | None = None
    machine: str | None = Field(None, pattern=MACHINE, description="q35 or pc, any version of it")
    ostype: OsType | None = None
    efi: Efi | None = None
    tpm: Tpm | None = None
    scsihw: ScsiController | None = None
    vga: Vga | None = None
    rng: Rng | None = None
    serials: dict[str, SerialPort] = Field(default_factory=dict)
    pci: dict[str, Pci] = Field(default_factory=dict)
    usb: dict[str, Usb] = Field(default_factory=dict)
    virtiofs: dict[str, Share] = Field(default_factory=dict)
    iso: Iso | None = None
    firewall: Firewall | None = None
    dns: Dns | None = None
    cloudinit: CloudInit | None = None
    tags: tuple[Annotated[str, Field(pattern=TAG)], ...] | None = None
    description: str | None = Field(None, max_length=7500)
    boot: tuple[str, ...] | None = None
    agent: Bool | None = None
    onboot: Bool | None = None
    startup: Startup | None = None
    pool: str | None = Field(None, pattern=POOL)
    quota: Quota | None = None
    backup: Backups | None = None
    snapshots: Snapshots | None = None
    traffic: Traffic | None = None
    ha: HighAvailability | None = None
    protection: Bool | None = None
    anti_affinity: str | None = Field(None, min_length=1, max_length=100)
    power: Literal["running", "stopped", "unmanaged"] = "running"
    restart: Literal["never", "allow", "window"] = "never"
    windows: dict[str, Window] = Field(default_factory=dict, description="those of its scope")
    drift: Drift = Field(default_factory=dict)
    guard: Guard | None = None
    rollout: Literal["on", "off"] = Field("on", description="off: edits never wait for a batch")
    state: Literal["present", "absent"] = "present"
    do: Do | None = Field(None, description="verbs, each done once for every token")
    terminate: End | None = None
    notices: Told | None = Field(None, description="who is told of it, and how")
    was: str | None = None
    adopt: Int | None = Field(
        None, ge=100, le=999_999_999, description="the vmid of a VM that others made; never cloned"
    )
    config: dict[str, Scalar] = Field(default_factory=dict)
    extensions: dict[str, object] = Field(default_factory=dict)

    @property
    def fqdn(self) -> str | None:
        """`<name>.<domain>` (C16); None without a domain."""
        return f"{self.name}.{self.domain.strip('.')}" if self.domain else None

    def document(self) -> str:
        """The spec as JSON; `VMSpec.model_validate_json` makes an equal spec of it."""
        return self.model_dump_json(by_alias=True)
