"""What is known of a VM's inside: its config and firewall, made of what was read last."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from state.cache import CachedVM
from state.conf import VMConfig, split_pending
from state.observed import SeenConfig, SeenFirewall, SeenRule
from state.view import whole


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of one VM's inside; `problem` says why it must not be touched now.

    A `passing` problem solves itself within a look or two.
    """

    config: SeenConfig | None = None
    firewall: SeenFirewall | None = None
    problem: str | None = None
    passing: bool = False


class Machines(Mapping[int, Machine]):
    """Machines by vmid. Those that are as they were cached are decoded when they are asked for."""

    def __init__(self) -> None:
        self._read: dict[int, Machine] = {}
        self._cached: dict[int, CachedVM] = {}

    def __getitem__(self, vmid: int) -> Machine:
        if vmid not in self._read:
            self._read[vmid] = machine(self._cached[vmid])
        return self._read[vmid]

    def __iter__(self) -> Iterator[int]:
        return iter(self._read.keys() | self._cached.keys())

    def __len__(self) -> int:
        return len(self._read.keys() | self._cached.keys())

    def __setitem__(self, vmid: int, read: Machine) -> None:
        self._read[vmid] = read

    def keep(self, cached: CachedVM) -> None:
        """Take a VM whose cached row is believed: nothing hints that it moved."""
        self._cached[cached.vmid] = cached

    def settled(self, vmid: int) -> str:
        """What a quiet look at this very config and firewall went by; empty without one."""
        cached = self._cached.get(vmid)
        return cached.settled if cached else ""


def parse_firewall(document: str, read_at: datetime | None) -> SeenFirewall:
    """Turn the cached JSON of `read_firewall` into values; every field becomes text."""
    seen = msgspec.json.decode(document)
    as_text = {key: str(value) for key, value in (seen["options"] or {}).items() if key != "digest"}
    rules = tuple(
        SeenRule(
            pos=whole(rule, "pos"),
            fields={key: str(value) for key, value in rule.items() if key not in ("pos", "digest")},
        )
        for rule in sorted(seen["rules"], key=lambda rule: whole(rule, "pos"))
    )
    sets = {name: tuple(cidrs) for name, cidrs in seen["ipsets"].items()}
    return SeenFirewall(options=as_text, rules=rules, ipsets=sets, read_at=read_at)


def machine(kept: CachedVM) -> Machine:
    """Turn a cached VM into what a diff sees; what cannot be read leaves the VM untouched."""
    try:
        wanted, live, pending, digest = split_pending(msgspec.json.decode(kept.pending_json))
        config = SeenConfig(VMConfig(wanted), VMConfig(live), pending, digest, kept.read_at)
        rules = kept.firewall_json
        return Machine(config, parse_firewall(rules, kept.firewall_read_at) if rules else None)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return Machine(problem=unreadable(kept.vmid, error))


def unreadable(vmid: int, error: Exception) -> str:
    return f"vm/{vmid}: Proxmox's answer cannot be read: {error!r}"
