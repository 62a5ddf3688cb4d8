"""What a fleet shares: clusters, templates, address pools, limits and guard thresholds."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from desired.addresses import Address, Network
from desired.cloudinit import SecretReference
from desired.hardware import BRIDGE, STORAGE
from desired.model import Bool, Float, Int, Model
from desired.notices import Notices
from desired.prune import Prune
from desired.rollout import RolloutRules
from desired.schedule import Schedule
from desired.units import Duration
from desired.upkeep import Locks, Metrics
from desired.windows import Window

FLEET = r"^[a-z0-9][a-z0-9_-]{0,39}$"
ENDPOINT = r"^https://[^\s/@]+/?$"
FINGERPRINT = r"^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$"
IMAGE = r"^[A-Za-z][A-Za-z0-9._-]*:[^\s,]+$"


_SHARE = re.compile(r"\d{1,3}(\.\d{1,9})?%")


def _share(value: object) -> object:
    if isinstance(value, str) and _SHARE.fullmatch(value):
        return float(value[:-1]) / 100
    raise ValueError(f"expected a share such as 30%, seen {value!r}")


Share = Annotated[
    float,
    BeforeValidator(_share),
    Field(ge=0, le=1),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?%$"}),
]
"""A share of the managed VMs, written `30%`."""


class Token(Model):
    """A Proxmox API token: `{id: user@realm!name, secret: env:PVE_TOKEN}`."""

    id: str = Field(pattern=r"^[^\s@!]+@[^\s@!]+![^\s@!]+$")
    secret: SecretReference


class Login(Model):
    """A ticket login: `{user: root@pam, password: env:PVE_PASSWORD}`."""

    user: str = Field(pattern=r"^[^\s@!]+@[^\s@!]+$")
    password: SecretReference


class Tls(Model):
    """How the cluster's certificates are verified: a CA file, or one SHA-256 pin per node."""

    ca: str | None = None
    fingerprints: tuple[Annotated[str, Field(pattern=FINGERPRINT)], ...] = ()
    verify: Bool = True


class Simulated(Model):
    """The built-in simulated cluster instead of a real one; a copy of one by its inventory."""

    nodes: Int = Field(3, ge=1, le=100)
    speed: Float = Field(60, gt=0, le=1_000_000)
    vms: Int = Field(0, ge=0, le=100_000)
    seed: Int = 1
    inventory: str | None = Field(
        None, min_length=1, description="file of `reconcile export-inventory`: a copy of it"
    )


class Timeouts(Model):
    """Seconds one API call may take (OPT-08)."""

    light: Float = Field(10, ge=1, le=300)
    heavy: Float = Field(60, ge=1, le=600)


class Cluster(Model):
    """One Proxmox cluster: how to reach it, as whom, and from which vmid on (DEP-12)."""

    endpoints: tuple[Annotated[str, Field(pattern=ENDPOINT)], ...] = ()
    token: Token | None = None
    login: Login | None = None
    tls: Tls = Tls()
    simulated: Simulated | None = None
    first_vmid: Int = Field(100, ge=100, le=999_999_999)
    timeouts: Timeouts = Timeouts()

    @model_validator(mode="after")
    def _reachable(self) -> "Cluster":
        if self.simulated:
            if self.endpoints or self.token or self.login:
                raise ValueError("a simulated cluster takes no endpoints, token or login")
        elif not self.endpoints:
            raise ValueError("expected endpoints such as [https://pve1.example:8006]")
        elif (self.token is None) == (self.login is None):
            raise ValueError("expected either token or login")
        return self


class Pool(Model):
    """An address pool of one family on one bridge and VLAN (IP-01)."""

    cluster: str | None = Field(None, description="None = any cluster")
    bridge: str | None = Field(None, pattern=f"^{BRIDGE}$")
    vlan: Int | None = Field(None, ge=0, le=4094, description="0 = none (C11)")
    network: Network
    gateway: Address | None = None
    start: Address | None = None
    stop: Address | None = None
    dns: tuple[Address, ...] = Field((), max_length=2)
    exclude: tuple[Address, ...] = ()
    only: tuple[Address, ...] = Field((), description="in place of start and stop: just these")
    quarantine: Duration | None = Field(None, description="None = as the fleet says")
    legacy: Bool = Field(False, description="leased from when other pools of its VLAN are dry")

    @property
    def family(self) -> Literal["ipv4", "ipv6"]:
        return "ipv4" if self.network.version == 4 else "ipv6"

    def leases(self, address: Address) -> bool:
        """Whether it could lease an address out: in its range, and neither excluded nor its own."""
        inside = address in self.network and int(self.first) <= int(address) <= int(self.last)
        listed = not self.only or address in self.only
        return inside and listed and address not in (*self.exclude, self.gateway, *self.dns)

    @property
    def first(self) -> Address:
        """The first address that may be leased."""
        if self.only:
            return min(self.only, key=int)
        skip = 0 if self.network.num_addresses <= 2 else 1
        return self.start or self.network[skip]

    @property
    def last(self) -> Address:
        """The last address that may be leased; never IPv4's broadcast address."""
        if self.only:
            return max(self.only, key=int)
        skip = 1 if self.network.version == 4 and self.network.num_addresses > 2 else 0
        return self.stop or self.network[-1 - skip]

    @model_validator(mode="after")
    def _sound(self) -> "Pool":
        for field in ("gateway", "start", "stop"):
            value = getattr(self, field)
            if value is not None and value not in self.network:
                raise ValueError(f"{field} {value} is not in {self.network}")
        for field, addresses in (("exclude", self.exclude), ("only", self.only)):
            for address in addresses:
                if address not in self.network:
                    raise ValueError(f"{field} {address} is not in {self.network}")
        if self.only and (self.start or self.stop):
            raise ValueError("only stands in place of start and stop, not beside them")
        if int(self.first) > int(self.last):
            raise ValueError(f"start {self.first} comes after stop {self.last}")
        return self


class Limits(Model):
    """How much may be at work at once."""

    connections: Int = Field(32, ge=1, le=512)
    per_node: Int = Field(8, ge=1, le=64)
    clones_per_storage: Int = Field(2, ge=1, le=64)
    clones_per_template: Int = Field(4, ge=1, le=64)
    migrations_per_node: Int = Field(1, ge=1, le=64)
    workers: Int = Field(16, ge=1, le=256)
    queue_per_server: Int = Field(2, ge=1, le=64)
    queue_batch: Int = Field(50, ge=1, le=1000)


class Guard(Model):
    """Thresholds over a rolling 24 h; fleets under `minimum` need approval for pruned destroys."""

    restarts: Share = 0.3
    destroys: Share = 0.3
    minimum: Int = Field(10, ge=0)
    restarts_per_window: Int | None = Field(
        None, ge=1, description="`at_most` of every allow window that names none"
    )


StorageName = Annotated[str, Field(pattern=STORAGE)]


class PlacementRules(Model):
    """How the nodes of new VMs are chosen (DEP-15, DEP-16, OPT-07).

    A node is ruled out where less RAM than `ram_reserve` would be left, more than `cpu_overcommit`
    virtual CPUs would stand against a real one, or a storage has no room; on thin storages
    `thin_overcommit` times the free space may be promised. `storage_map` names the storages that
    stand in for one on nodes without it (CI-06).
    """

    fill: Literal["balance", "round_robin", "fill"] = Field(
        "balance", description="the most free RAM; the fewest VMs of the fleet; the least free RAM"
    )
    ram_reserve: Share = 0.1
    cpu_overcommit: Float = Field(4, gt=0, le=1000)
    thin_overcommit: Float = Field(4, ge=1, le=1000)
    post_clone_migration: Bool = True
    storage_map: dict[StorageName, tuple[StorageName, ...]] = Field(default_factory=dict)


class Git(Model):
    """What `--pull` demands of the commits that it fetches for the folder of the fleet.

    `allowed_signers` is a file of SSH keys as `ssh-keygen` takes it; without it git's own settings
    say whose signatures count.
    """

    require_signed: Bool = False
    allowed_signers: str | None = Field(None, min_length=1)


SourceName = Literal["files", "database"]


def _sources(value: object) -> object:
    if isinstance(value, list) and value and len(value) == len({str(one) for one in value}):
        return value
    raise ValueError("expected a list such as [files] or [files, database], each once")


Sources = Annotated[tuple[SourceName, ...], BeforeValidator(_sources)]
"""Where the specs of VMs stand; what VMs share always stands in files."""

WindowName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
Vmid = Annotated[Int, Field(ge=100, le=999_999_999)]


def _images(value: object) -> object:
    return [value] if isinstance(value, str) else value


_VOLUME = {"type": "string", "pattern": IMAGE}
Images = Annotated[
    tuple[Annotated[str, Field(pattern=IMAGE)], ...],
    BeforeValidator(_images),
    WithJsonSchema({"anyOf": [_VOLUME, {"type": "array", "items": _VOLUME}]}),
]
"""Volumes with a disk image, `local:import/debian-12.qcow2`; several are copies of one."""


class FleetFile(Model):
    """`fleet.yaml`: what all VMs share. `defaults` is laid below every package and VM."""

    fleet: str = Field(pattern=FLEET)
    sources: Sources = ("files",)
    git: Git = Git()
    clusters: dict[str, Cluster]
    defaults: dict[str, object] = Field(default_factory=dict)
    templates: dict[str, dict[str, tuple[Vmid, ...]]] = Field(default_factory=dict)
    images: dict[str, dict[str, Images]] = Field(
        default_factory=dict, description="templates that are disk images: VMs are made from them"
    )
    limits: Limits = Limits()
    guard: Guard = Guard()
    placement: PlacementRules = PlacementRules()
    rollout: RolloutRules = RolloutRules()
    prune: Prune = Prune()
    windows: dict[WindowName, Window] = Field(default_factory=dict)
    schedule: Schedule = Schedule()
    locks: Locks = Locks()
    metrics: Metrics = Metrics()
    notices: Notices = Notices()
    handlers_dir: str | None = Field(None, min_length=1, description="folder of your own jobs")
    jobs: dict[str, dict[str, object]] = Field(
        default_factory=dict, description="what your own jobs are given, by job and field"
    )
    database: str | None = Field(None, min_length=1, description="file or URL of the store")
    verify_every: Duration | None = Field(None, description="every VM is read again within this")
    quarantine: Duration = Field(
        86400.0, description="a released address is nobody else's for this long"
    )

    def copies(self, alias: str, cluster: str) -> tuple[int | str, ...]:
        """What a template's alias stands for in a cluster: vmids, or volumes of images."""
        vmids = self.templates.get(alias, {}).get(cluster, ())
        return vmids or self.images.get(alias, {}).get(cluster, ())
