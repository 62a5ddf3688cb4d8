"""One VM as it should be, after defaults, package and templates have been merged and rendered."""

from typing import Literal

from pydantic import Field, model_validator

from desired.cloudinit import CloudInit
from desired.firewall import Firewall
from desired.hardware import Cpu, Disk, Nic
from desired.model import Model
from desired.units import Size

Scalar = str | int | float | bool
TAG = r"^[a-z0-9_][a-z0-9_+.-]*$"


class Placement(Model):
    """Where the VM is put at its creation; `enforce: true` also asks for a later migration."""

    name: str
    enforce: bool = False

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        return {"name": value} if isinstance(value, str) else value


class Startup(Model):
    """Order and delays (seconds) of the host's own boot sequence."""

    order: int | None = Field(None, ge=0)
    up: int | None = Field(None, ge=0)
    down: int | None = Field(None, ge=0)


class HighAvailability(Model):
    """The VM as an HA resource."""

    state: Literal["started", "stopped", "ignored", "disabled"] = "started"
    group: str | None = None
    max_restart: int | None = Field(None, ge=0)
    max_relocate: int | None = Field(None, ge=0)


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
    clone: Literal["linked", "full"] = "linked"
    node: Placement | None = None
    storage: str | None = None
    cpu: Cpu | None = None
    memory: Size | None = None
    balloon: Size | None = None
    disks: dict[str, Disk] = {}
    nics: dict[str, Nic] = {}
    firewall: Firewall | None = None
    cloudinit: CloudInit | None = None
    tags: tuple[str, ...] | None = None
    description: str | None = None
    boot: tuple[str, ...] | None = None
    agent: bool | None = None
    onboot: bool | None = None
    startup: Startup | None = None
    pool: str | None = None
    ha: HighAvailability | None = None
    protection: bool | None = None
    anti_affinity: str | None = None
    power: Literal["running", "stopped", "unmanaged"] = "running"
    restart: Literal["never", "allow", "window"] = "never"
    state: Literal["present", "absent"] = "present"
    was: str | None = None
    config: dict[str, Scalar] = {}
    extensions: dict[str, object] = {}

    @property
    def fqdn(self) -> str | None:
        """`<name>.<domain>` (C16); None without a domain."""
        return f"{self.name}.{self.domain.strip('.')}" if self.domain else None
