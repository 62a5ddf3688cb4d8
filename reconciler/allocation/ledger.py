"""What one look has promised so far: clones at work, addresses in use."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from desired.addresses import Address
from desired.catalog import Pool
from state.observed import ClusterView


@dataclass(slots=True)
class Addresses:
    """The addresses in use in all pools, and how far each pool has been searched.

    One for all clusters of a run, which are looked at side by side.
    """

    taken: set[str]
    reserved: frozenset[str] = frozenset()
    _next: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def free(self, name: str, pool: Pool) -> Address | None:
        """Return the lowest free address of the pool and mark it; None when it is dry (IP-11)."""
        with self._lock:
            return self._take(name, pool)

    def _take(self, name: str, pool: Pool) -> Address | None:
        first, last = int(pool.first), int(pool.last)
        kept = {str(address) for address in (*pool.exclude, pool.gateway, *pool.dns) if address}
        kept |= self.reserved
        make = type(pool.network.network_address)
        for number in range(self._next.get(name, first), last + 1):
            address = make(number)
            if str(address) not in self.taken and str(address) not in kept:
                self.taken.add(str(address))
                self._next[name] = number + 1
                return address
        self._next[name] = last + 1
        return None


def clones_at_work(view: ClusterView) -> Counter[str]:
    """Return running clone tasks by template vmid (a clone task's id is its source)."""
    return Counter(task.id for task in view.tasks if task.running and task.kind == "qmclone")
