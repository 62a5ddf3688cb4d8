"""The store's rows as the house sees them: frozen values that never leave as database objects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

from state.placing import Placing


class Phase(StrEnum):
    """Where in its life a VM is (design 3)."""

    DEPLOY = "deploy"
    READY = "ready"
    CHANGE = "change"
    SUSPENDED = "suspended"
    TERMINATE = "terminate"
    ERROR_TERMINATE = "error_terminate"
    ABANDONED = "abandoned"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Binding:
    """Which Proxmox VM a key is: identity is (cluster, vmid, uuid); the node is only observed.

    `template`, `template_node`, `node`, `storage` and `clone` are provenance: what the clone is
    made from and where; of a VM made from a disk image, its volume is `image`. `uuid` is None
    until the machine was seen; without it nothing destroys.
    """

    key: str
    cluster: str
    vmid: int
    name: str
    name_template: str = ""
    uuid: str | None = None
    phase: Phase = Phase.DEPLOY
    template: int | None = None
    template_node: str | None = None
    node: str | None = None
    storage: str | None = None
    clone: Literal["linked", "full"] = "linked"
    created_at: datetime | None = None
    ready_at: datetime | None = None
    image: str | None = None


LEAVING = 1000
"""Ordinals from here on are of addresses that a nic gave up and its guest may still use."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One address that is ours to give to one nic of one VM; `address` without the prefix.

    The first of a nic and family has the ordinal 0; one that it gave up has `LEAVING` added.
    """

    key: str
    nic: str
    family: Literal["ipv4", "ipv6"]
    ordinal: int
    address: str
    prefix: int
    pool: str
    gateway: str | None = None
    dns: tuple[str, ...] = ()

    @property
    def leaves(self) -> bool:
        """Whether its nic gave it up, so that it is held only until the guest has let go."""
        return self.ordinal >= LEAVING


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that we started and have not seen the end of."""

    upid: str
    key: str
    cluster: str
    handler: str
    started_at: datetime


@dataclass(frozen=True, slots=True)
class Attempt:
    """How often (subject, handler) failed in a row, why, and when it may be tried again."""

    subject: str
    handler: str
    count: int
    error: str
    at: datetime
    not_before: datetime


@dataclass(frozen=True, slots=True)
class Intent:
    """Something begun that must outlive the process: a stop or start window, a password write.

    `looks` counts the looks since `at`, the last of them made at `looked_at`; `detail` is the
    intent's own (a fingerprint, a reason).
    """

    key: str
    kind: str
    at: datetime
    looks: int = 0
    detail: str = ""
    looked_at: datetime | None = None


BACK = "back."
"""How an intent's kind begins that tells where the disk of a slot waits for its VM (`VMID/SLOT`);
it outlives the machine, since the disk is the key's."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A person asked that a VM be left alone until a moment (None = until lifted)."""

    key: str
    why: str
    at: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything that the store knows of one VM."""

    binding: Binding | None = None
    leases: tuple[Lease, ...] = ()
    task: OpenTask | None = None
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    intents: Mapping[str, Intent] = field(default_factory=dict)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    hold: Hold | None = None
    forgotten: bool = False
    placing: Placing | None = None
