"""Every VM of the cluster, and which of them may have moved since the last broadcast."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, ValuesView
from contextlib import contextmanager
from typing import Any

from reconciler.sim.vm.machine import Machine


class Guests(dict[int, Machine]):
    """The VMs by id. Who is handed a machine may change it, so every one that is handed out counts
    as moved, all of them (`all_moved`) when they are gone through; reads of the API do not count.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.moved: set[int] = set()
        self.all_moved = True
        self.watched = True

    @contextmanager
    def only_read(self) -> Iterator[None]:
        """Nothing that is handed out meanwhile is changed."""
        self.watched = False
        try:
            yield
        finally:
            self.watched = True

    def settle(self) -> None:
        """The broadcast has told of everything that moved."""
        self.moved.clear()
        self.all_moved = False

    def at_rest(self, vmid: int) -> Machine | None:
        """A machine that is not going to be changed."""
        return super().get(vmid)

    def look(self) -> ValuesView[Machine]:
        """Every machine, for who only looks at them in the middle of a change to others."""
        return super().values()

    def __getitem__(self, vmid: int) -> Machine:
        if self.watched:
            self.moved.add(vmid)
        return super().__getitem__(vmid)

    def __setitem__(self, vmid: int, machine: Machine) -> None:
        self.moved.add(vmid)
        super().__setitem__(vmid, machine)

    def __delitem__(self, vmid: int) -> None:
        self.moved.add(vmid)
        super().__delitem__(vmid)

    def get(self, vmid: int, default: None = None) -> Machine | None:  # type: ignore[override]
        if self.watched:
            self.moved.add(vmid)
        return super().get(vmid)

    def pop(self, vmid: int, *default: Machine) -> Machine:  # type: ignore[override]
        self.moved.add(vmid)
        return super().pop(vmid, *default)

    def values(self) -> ValuesView[Machine]:  # type: ignore[override]
        self.all_moved = self.all_moved or self.watched
        return super().values()

    def items(self) -> ItemsView[int, Machine]:  # type: ignore[override]
        self.all_moved = self.all_moved or self.watched
        return super().items()
