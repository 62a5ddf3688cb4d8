"""Collects everything that is wrong, each thing once, with the VMs that it breaks."""

from dataclasses import dataclass, field

from desired.errors import Place, SpecError

SHOWN = 5
"""How many VMs an error names before it counts the rest."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong; `shared` when it stands outside the VM's own entry."""

    place: Place
    field: str
    message: str
    shared: bool = False


@dataclass(slots=True)
class Report:
    """The faults found so far and, by fault, the keys of the VMs that cannot be used for it."""

    found: dict[Fault, dict[str, None]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def add(self, fault: Fault, vm: str | None = None) -> None:
        """Record a fault and, if given, a VM that it breaks."""
        breaks = self.found.setdefault(fault, {})
        if vm is not None:
            breaks[vm] = None
            self.broken.add(vm)

    def errors(self) -> tuple[SpecError, ...]:
        """Return every fault as an error, by place."""
        rows = sorted(self.found.items(), key=lambda row: (row[0].place, row[0].field))
        return tuple(_error(fault, tuple(breaks)) for fault, breaks in rows)


def _error(fault: Fault, breaks: tuple[str, ...]) -> SpecError:
    message = fault.message
    if breaks and (fault.shared or len(breaks) > 1):
        more = f" and {len(breaks) - SHOWN} more" if len(breaks) > SHOWN else ""
        message = f"{message} (breaks {', '.join(breaks[:SHOWN])}{more})"
    return SpecError(fault.place, fault.field, message, breaks[0] if len(breaks) == 1 else None)
