"""Which VMs of a large fleet are shown, in what order, and how many at once (LOG-07)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from reconciler.status import VMStatus, natural

ORDERS: Mapping[str, Callable[[VMStatus], str]] = {
    "key": lambda vm: vm.key,
    "name": lambda vm: vm.name,
    "phase": lambda vm: vm.phase,
    "state": lambda vm: vm.state,
    "cluster": lambda vm: f"{vm.cluster} {vm.node}",
    "node": lambda vm: vm.node,
    "vmid": lambda vm: str(vm.vmid or "-"),
}
"""What VMs may be sorted by; those that are alike stand by their keys."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What a person asks to see; empty texts: all. Pages count from 1, `size` 0 is one page."""

    search: str = ""
    phases: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    cluster: str = ""
    node: str = ""
    failed: bool = False
    order: str = "key"
    backwards: bool = False
    page: int = 1
    size: int = 0

    def has(self, vm: VMStatus) -> bool:
        """Whether a VM is meant: all that is asked must fit, the text anywhere in its line."""
        words = (vm.key, vm.name, str(vm.vmid or ""), vm.next, vm.error, *vm.addresses)
        types = {one.type for one in vm.conditions}
        return (
            self.search.lower() in " ".join(words).lower()
            and (not self.phases or vm.phase in self.phases)
            and (not self.states or vm.state in self.states)
            and (not self.conditions or not types.isdisjoint(self.conditions))
            and self.cluster in ("", vm.cluster)
            and self.node in ("", vm.node)
            and (not self.failed or bool(vm.error))
        )

    def pick(self, vms: Iterable[VMStatus]) -> tuple[VMStatus, ...]:
        """Return all that are meant, in order."""
        found = sorted((vm for vm in vms if self.has(vm)), key=lambda vm: natural(vm.key))
        by = ORDERS[self.order]
        return tuple(sorted(found, key=lambda vm: natural(by(vm)), reverse=self.backwards))

    def cut(self, vms: Sequence[VMStatus]) -> Sequence[VMStatus]:
        """Return one page of them."""
        first = (self.page - 1) * self.size
        return vms[first : first + self.size] if self.size else vms

    def pages(self, count: int) -> int:
        """How many pages there are of so many VMs."""
        return max(1, -(-count // self.size)) if self.size else 1
