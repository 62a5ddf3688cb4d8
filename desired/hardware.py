"""The hardware part of a spec: processors, disks and network interfaces."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from desired.addresses import Address, Interface
from desired.model import Bool, Float, Int, Model
from desired.units import Rate, Size

DISK_SLOT = r"system|ide[0-3]|sata[0-5]|scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])"
NIC_SLOT = r"net([0-9]|[12][0-9]|3[01])"
CPU_TYPE = r"^[A-Za-z0-9][A-Za-z0-9._+-]*$"
HELD = r"^[1-9][0-9]{2,8}/(ide[0-3]|sata[0-5]|scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5]))$"
STORAGE = r"^[A-Za-z][A-Za-z0-9._-]*[A-Za-z0-9]$"
BRIDGE = r"[A-Za-z][A-Za-z0-9_.-]{0,14}"
_WAYS = "expected dhcp, auto, none, {pool: NAME} or {static: CIDR}"
_EITHER = "expected either pool: NAME or static: CIDR (pool: null drops an inherited one)"


class Cpu(Model):
    """Processors (DEP-17): `{cores: 2, sockets: 1, type: host, limit: 1.5, units: 200}`."""

    cores: Int | None = Field(None, ge=1, le=128)
    sockets: Int | None = Field(None, ge=1, le=4)
    type: str | None = Field(None, pattern=CPU_TYPE)
    limit: Float | None = Field(None, ge=0, le=128, description="CPUs' worth of time; 0 = none")
    units: Int | None = Field(None, ge=2, le=10000, description="weight; cgroup v2 default 100")
    numa: Bool | None = None


class Disk(Model):
    """A disk by slot, or `system`: the template's first boot disk, whatever its slot.

    Sizes only grow (DEP-18); `size: 0` leaves the template's. Limits: 0 = unlimited (DEP-19).
    """

    size: Size | None = None
    storage: str | None = Field(None, pattern=STORAGE)
    iops_rd: Int | None = Field(None, ge=0, le=1_000_000_000)
    iops_wr: Int | None = Field(None, ge=0, le=1_000_000_000)
    iops_rd_max: Int | None = Field(None, ge=0, le=1_000_000_000)
    iops_wr_max: Int | None = Field(None, ge=0, le=1_000_000_000)
    iops_rd_max_length: Int | None = Field(None, ge=1, le=86_400)
    iops_wr_max_length: Int | None = Field(None, ge=1, le=86_400)
    mbps_rd: Float | None = Field(None, ge=0, le=1_000_000)
    mbps_wr: Float | None = Field(None, ge=0, le=1_000_000)
    mbps_rd_max: Float | None = Field(None, ge=0, le=1_000_000)
    mbps_wr_max: Float | None = Field(None, ge=0, le=1_000_000)
    ssd: Bool | None = None
    discard: Bool | None = None
    iothread: Bool | None = None
    cache: Literal["none", "writethrough", "writeback", "unsafe", "directsync"] | None = None
    backup: Bool | None = None
    reclaim: Literal["retain", "delete"] | None = Field(
        None, description="of a disk given up; retain: it outlives its VM too"
    )
    adopt: str | None = Field(
        None,
        pattern=HELD,
        description="VMID/SLOT: take this disk of a holder in place of a new one",
    )


class Family(Model):
    """How one nic gets its addresses of one family: from a pool, static, dhcp, auto or none."""

    pool: str | None = Field(None, description="a pool's name, or auto: by cluster, bridge, VLAN")
    count: Int = Field(1, ge=0, le=64)
    static: Interface | None = None
    gateway: Address | None = None
    mode: Literal["pool", "static", "dhcp", "auto", "none"] = "pool"

    @model_validator(mode="before")
    @classmethod
    def _mode(cls, value: object) -> object:
        if isinstance(value, str):
            if value not in ("dhcp", "auto", "none"):
                raise ValueError(
                    f"expected dhcp, auto, none, {{pool: NAME}} or {{static: CIDR}}, seen {value!r}"
                )
            return {"mode": value}
        if not isinstance(value, dict):
            return value
        if "mode" in value:
            return value
        if ("pool" in value) == ("static" in value):
            raise ValueError(
                "expected either pool: NAME or static: CIDR (pool: null drops an inherited one)"
            )
        return {**value, "mode": "static" if "static" in value else "pool"}


def _link(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value not in ("up", "down"):
        raise ValueError(f"expected up or down, seen {value!r}")
    return value == "up"


class Nic(Model):
    """A network interface (DEP-21): the model stays the template's unless it is named."""

    bridge: str | None = Field(None, pattern=f"^{BRIDGE}$")
    vlan: Int | None = Field(None, ge=0, le=4094, description="0 = none (C11)")
    rate: Rate | None = None
    model: Literal["virtio", "e1000", "rtl8139", "vmxnet3"] | None = None
    mtu: Int | None = Field(None, ge=1, le=65520, description="1 = the bridge's")
    firewall: Bool | None = None
    link: Annotated[Bool, BeforeValidator(_link)] | None = Field(None, description="up or down")
    ipv4: Family | None = None
    ipv6: Family | None = None
