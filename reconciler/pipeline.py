"""The contract's pipeline states, derived from what still differs (DEP-02..DEP-04, CP-01).

A state names the last step that is done. It is never stored as a truth: it is the last state whose
own fields, and those of all states before it, no longer differ.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

Difference = tuple[str, str]
"""(handler, field) of a change that is still wanted, or of a note that blocks."""

SLOT = r"(?:scsi|virtio|sata|ide)\d+"
BESIDE = frozenset(
    {"tags", "pool", "ha", "safeguard", "reclaim", "migration", "snapshots", "move", "emptied"}
)
"""Handlers that hold nothing back: a VM is ready with their work still open."""


class Transition(NamedTuple):
    """One step between two neighbouring states, as a log line shows it."""

    label: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class State:
    """A state, the label of the step that leads to it, and the fields that it waits for.

    `owns` are pairs of handler and pattern; the pattern matches the whole field name.
    """

    name: str
    label: str = ""
    owns: tuple[tuple[str, str], ...] = ()

    def waits_for(self, difference: Difference) -> bool:
        handler, field = difference
        return any(
            handler == owner and re.fullmatch(pattern, field) for owner, pattern in self.owns
        )


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A row of states; what no state owns holds back `rest`, since the start comes after all."""

    states: tuple[State, ...]
    rest: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(state.name for state in self.states)

    @property
    def transitions(self) -> tuple[Transition, ...]:
        """Every step in order; one fewer than there are states (C3)."""
        pairs = zip(self.states, self.states[1:], strict=False)
        return tuple(Transition(b.label, a.name, b.name) for a, b in pairs)

    def derive(self, remaining: Collection[Difference]) -> str:
        """Return the last state that is done while `remaining` still differs."""
        held = {self.holder(difference) for difference in remaining if difference[0] not in BESIDE}
        done = self.states[0].name
        for state in self.states:
            if state.name in held:
                break
            done = state.name
        return done

    def owns(self, difference: Difference) -> bool:
        """Return whether a step of the row is this difference's; the rest is told beside."""
        return any(state.waits_for(difference) for state in self.states)

    def holder(self, difference: Difference) -> str:
        """Return the state that is not reached while this difference stands."""
        for state in self.states:
            if state.waits_for(difference):
                return state.name
        return self.rest

    def passed(self, before: str, after: str) -> tuple[Transition, ...]:
        """Return the steps from one state to a later one; none when it is not later."""
        names = self.names
        return self.transitions[names.index(before) : names.index(after)]

    def number(self, label: str) -> int:
        """Return the step's number from 1, as log lines count; 0 when it is not of this row."""
        labels = [transition.label for transition in self.transitions]
        return labels.index(label) + 1 if label in labels else 0

    def label_for(self, handler: str, state: str) -> str:
        """Return the label of a handler's first step after a state; empty when it has none."""
        later = self.states[self.names.index(state) + 1 :] if state in self.names else ()
        owned = (one.label for one in later if any(owner == handler for owner, _ in one.owns))
        return next(owned, "")

    def next_label(self, state: str) -> str:
        """Return the label of the step after a state; empty at the end of the row."""
        return next((t.label for t in self.transitions if t.before == state), "")


def _all_of(*handlers: str) -> tuple[tuple[str, str], ...]:
    return tuple((handler, ".*") for handler in handlers)


_CPU_RAM = _all_of("cpu", "memory")
_SYSTEM_SIZE = (("disks", r"system(\.size|\.storage)?"),)
_SYSTEM_IO = (("disks", r"system\.(?!size$|storage$).+"),)
_EXTRA = (("disks", rf"{SLOT}(\.storage)?"), ("retained", ".*"))
_EXTRA_SIZE = (("disks", rf"{SLOT}\.size"),)
_EXTRA_IO = (("disks", rf"{SLOT}\.(?!size$|storage$).+"),)
_START = (("power", r"(?!verify).*"),)
_VERIFY = (("power", "verify.*"),)

DEPLOY = Pipeline(
    (
        State("creation"),
        State("set_ip", "Allocate IP", _all_of("allocate")),
        State("clone", "Clone VM", _all_of("exists")),
        State("set_dns", "Configure DNS records", _all_of("dns")),
        State("migrated", "Migrate to target node", _all_of("placement")),
        State("set_cpu_ram", "Set CPU & RAM", _CPU_RAM),
        State("set_system_disk_size", "Resize system disk", _SYSTEM_SIZE),
        State("set_system_disk_bandwidth", "Set system disk I/O", _SYSTEM_IO),
        State("set_created_additional_disk", "Create additional disk", _EXTRA),
        State("set_additional_disk_size", "Resize additional disk", _EXTRA_SIZE),
        State("set_additional_disk_bandwidth", "Set additional disk I/O", _EXTRA_IO),
        State("set_network", "Configure network", _all_of("network")),
        State("set_firewall", "Configure firewall", _all_of("firewall")),
        State("set_cloudinit", "Configure cloud-init", _all_of("cloudinit")),
        State("starting", "Start VM", _START),
        State("ready", "Verify running + Email", _VERIFY),
    ),
    rest="starting",
)
"""A new VM's way: 16 states, 15 steps (DEP-02, DEP-04)."""

CHANGE = Pipeline(
    (
        State("change_package"),
        State("cp_update_ip", "Update IP + DNS + Firewall", _all_of("allocate", "dns")),
        State("cp_stop", "Stop VM", (("power", "stop.*"),)),
        State("cp_cpu_ram", "Set CPU & RAM", _CPU_RAM),
        State("cp_system_disk_size", "Resize system disk", _SYSTEM_SIZE),
        State("cp_system_disk_bandwidth", "Set system disk I/O", _SYSTEM_IO),
        State("cp_additional_disk", "Create additional disk", _EXTRA),
        State("cp_additional_disk_size", "Resize additional disk", _EXTRA_SIZE),
        State("cp_additional_disk_bandwidth", "Set additional disk I/O", _EXTRA_IO),
        State("cp_network", "Configure network", _all_of("network")),
        State("cp_firewall", "Configure firewall", _all_of("firewall")),
        State("cp_start", "Start VM", _START),
        State("ready", "Verify running + Email", _VERIFY),
    ),
    rest="cp_start",
)
"""A changed VM's way: 13 states, 12 steps (CP-01, C4)."""

TERMINATE = Pipeline(
    (
        State("terminate"),
        State("stopped", "Stop VM", (("power", ".*"), ("terminate", "ha"))),
        State("deleted", "DELETE VM", (("terminate", "(?!ha$|record$).*"),)),
        State("removed", "Clear record", (("terminate", "record"),)),
    ),
    rest="deleted",
)
"""The end of a VM (TERM-02): backups, DNS and the record follow once it is surely gone."""


def derive(remaining: Collection[Difference]) -> str:
    """Return a deploying VM's state while the (handler, field) pairs in `remaining` differ."""
    return DEPLOY.derive(remaining)


def passed(before: str, after: str) -> tuple[Transition, ...]:
    """Return the deploy steps (label, before, after) between two states, in order."""
    return DEPLOY.passed(before, after)
