"""One thing that names a vmid which no guest of the cluster has, or a disk that is held for one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Kind = Literal["volume", "backup", "ha", "ha rule", "backup job", "replication", "acl", "holder"]

UNLISTED = (
    "firewall files (/etc/pve/firewall/VMID.fw)",
    "members of pools (/etc/pve/user.cfg)",
)
"""What Proxmox's API lists of guests that are there alone: a person looks on a node."""


@dataclass(frozen=True, slots=True)
class Zombie:
    """What is left of a vmid: `what` names it, `how` is the command that removes it by hand.

    Of a holder, a VM that is there: one for each disk that it holds.

    `node` is where that is typed (empty: on any), `size` in bytes; `name` is what is known of the
    guest that it was, `kept` why it may well stay.
    """

    cluster: str
    kind: Kind
    vmid: int
    what: str
    how: str
    node: str = ""
    size: int = 0
    made_at: datetime | None = None
    name: str = ""
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A VM of ours that was ended: its key, when, and for how many seconds its backups outlive it.

    None is for ever, 0 that they were to go with it.
    """

    key: str
    at: datetime
    kept_for: float | None = None

    @property
    def kept(self) -> str:
        """Why its backups are there on purpose; empty when they are not."""
        if self.kept_for == 0:
            return ""
        text = f"of {self.key}, ended {self.at:%Y-%m-%d}: kept by its `terminate`"
        if self.kept_for is None:
            return text
        return f"{text} until {self.at + timedelta(seconds=self.kept_for):%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class Zombies:
    """What was found on all clusters; `problems` are what could not be asked."""

    at: datetime
    found: tuple[Zombie, ...]
    problems: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()

    @property
    def unwanted(self) -> bool:
        """Whether there is something that nobody keeps on purpose."""
        return any(not one.kept for one in self.found)


@dataclass(frozen=True, slots=True)
class Known:
    """What the store and the other clusters know of a cluster's vmids.

    `bound` are ours, there or being made; `elsewhere` are guests of other clusters of the fleet,
    which may have volumes on a storage that clusters share; `ended` were ours.
    """

    bound: frozenset[int] = frozenset()
    elsewhere: frozenset[int] = frozenset()
    ended: Mapping[int, Ended] | None = None

    def kept(self, vmid: int) -> str:
        """Why a backup of that vmid is there on purpose; empty when nothing says so."""
        one = (self.ended or {}).get(vmid)
        return one.kept if one else ""
