"""One VM: its config file with pending and snapshot sections, its run state and its locks.

A `Machine` is plain data. `render` gives the text that Proxmox would keep in
/etc/pve/nodes/N/qemu-server/V.conf; the digest that the API shows is the SHA-1 of that text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from reconciler.sim.errors import failed

Value: TypeAlias = str | int
Section: TypeAlias = dict[str, Value]
Dump: TypeAlias = dict[str, object]

CLONING = " qmclone temporary file"


@dataclass(slots=True)
class Hold:
    """One holder of the VM's flock: a task that keeps the config file busy until it ends."""

    task: str
    shared: bool


@dataclass(slots=True)
class Machine:
    """A VM as its node knows it; times are epoch seconds of the simulated node.

    `devices` are the PCI addresses that it has while it runs, `taps` since when a NIC is plugged
    in that was not there when the VM started, `runs` from when to when it ran before.
    """

    vmid: int
    node: str
    config: Section = field(default_factory=dict)
    pending: Section = field(default_factory=dict)
    pending_delete: dict[str, int] = field(default_factory=dict)
    snapshots: dict[str, Section] = field(default_factory=dict)
    cloudinit: dict[str, str] = field(default_factory=dict)
    made_at: float = 0.0
    status: str = "stopped"
    started_at: float = 0.0
    pid: int = 0
    holds: list[Hold] = field(default_factory=list)
    stubborn: bool = False
    agent_ready_at: float = 0.0
    files: dict[str, str] = field(default_factory=dict)
    commands: dict[str, dict[str, Value]] = field(default_factory=dict)
    devices: list[str] = field(default_factory=list)
    taps: dict[str, float] = field(default_factory=dict)
    runs: list[list[float]] = field(default_factory=list)

    @property
    def lock(self) -> str | None:
        """The config lock, such as `clone` or `backup`."""
        value = self.config.get("lock")
        return None if value is None else str(value)

    @property
    def name(self) -> str:
        return str(self.config.get("name") or f"VM {self.vmid}")

    @property
    def template(self) -> bool:
        return self.config.get("template") == 1

    @property
    def running(self) -> bool:
        """True while a QEMU process exists, also when it is paused."""
        return self.status != "stopped"

    def text(self, key: str) -> str | None:
        """The value of a key in the main section as text; None when unset."""
        value = self.config.get(key)
        return None if value is None else str(value)

    def number(self, key: str, default: int) -> int:
        value = self.config.get(key)
        return default if value is None else int(value)

    def shown(self) -> Section:
        """What GET config answers: pending values laid over the current ones, lock included."""
        merged = {**self.config, **self.pending}
        for key in self.pending_delete:
            # what Perl takes for false stays to be seen
            if merged.get(key) not in (0, "0"):
                merged.pop(key, None)
        return merged

    def digest(self) -> str:
        """SHA-1 of the config file's text, as 40 hex digits."""
        return hashlib.sha1(self.render().encode()).hexdigest()

    def render(self) -> str:
        """The config file's text: main section, [PENDING], special and snapshot sections."""
        if self.config.get("description") == CLONING and self.lock == "clone":
            return f"#{CLONING}\nlock: clone\n"
        parts = [_section(self.config)]
        if self.pending or self.pending_delete:
            waiting = dict(self.pending)
            if self.pending_delete:
                waiting["delete"] = ",".join(
                    ("!" if how == 2 else "") + key
                    for key, how in sorted(self.pending_delete.items())
                )
            parts.append("[PENDING]\n" + _section(waiting))
        if self.cloudinit:
            parts.append("[special:cloudinit]\n" + _section(dict(self.cloudinit)))
        parts.extend(
            f"[{name}]\n" + _section(self.snapshots[name]) for name in sorted(self.snapshots)
        )
        return "\n".join(parts)

    def dump(self) -> Dump:
        """The machine as JSON-able data; `load` is its inverse."""
        plain = {name: getattr(self, name) for name in self.__slots__ if name != "holds"}
        holds = [[hold.task, hold.shared] for hold in self.holds]
        return {**plain, "holds": holds}

    @classmethod
    def load(cls, saved: Dump) -> Machine:
        rows = cast(list[tuple[str, bool]], saved["holds"])
        plain = {name: value for name, value in saved.items() if name != "holds"}
        machine = cls(**plain)  # type: ignore[arg-type]
        machine.holds = [Hold(task, shared) for task, shared in rows]
        return machine


def check_lock(machine: Machine, skip: bool = False) -> None:
    """Raise 500 `VM is locked (x)` when the config carries a lock."""
    if machine.lock is not None and not skip:
        raise failed(f"VM is locked ({machine.lock})\n")


def check_protection(machine: Machine, what: str) -> None:
    """Raise 500 `WHAT - protection mode enabled` when the VM is protected."""
    if machine.config.get("protection") == 1:
        raise failed(f"{what} - protection mode enabled\n")


def sections(machine: Machine) -> Iterator[tuple[str, Section]]:
    """Every section that may name volumes, as (label, section): "", "[PENDING]", snapshots."""
    yield "", machine.config
    yield "[PENDING]", machine.pending
    yield from sorted(machine.snapshots.items())


def _section(values: Section) -> str:
    lines: list[str] = []
    if "description" in values:
        lines.extend(f"#{line}" for line in _comment(str(values["description"])))
    lines.extend(f"{key}: {values[key]}" for key in sorted(values) if key != "description")
    return "".join(line + "\n" for line in lines)


def _comment(text: str) -> list[str]:
    return text.replace("%", "%25").splitlines() or [""]
