"""Memory and the balloon's target."""

from collections.abc import Iterable

from desired.spec import VMSpec
from desired.units import MIB, format_size
from handlers.effects import plugged, running, stop_start, wanted
from handlers.handler import Subject, config_change, send_calls
from state.change import Change, Effect, Note
from state.observed import SeenVM
from state.propstring import parse, render


class Memory:
    """Sets the memory, and how far ballooning may take it back (DEP-17).

        memory: 2GiB
        balloon: 1GiB       # 0 takes the balloon device away

    Owns `memory` and `balloon`. Memory grows at once only where `hotplug` has `memory` and NUMA
    is on, else it is pending until a stop and start; so is turning ballooning on or off.

    Risk: a balloon far below what the guest uses makes it swap.
    """

    name = "memory"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys = ("memory", "balloon")
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        config = wanted(seen)
        memory = config.memory if spec.memory is None else spec.memory // MIB
        if memory != config.memory:
            fields = {**parse(config.text("memory") or "", "current"), "current": str(memory)}
            grows = memory > config.memory and config.boolean("numa", False)
            yield config_change(
                seen,
                self.name,
                "memory",
                old=format_size(config.memory * MIB),
                new=format_size(memory * MIB),
                params={"memory": render(fields, "current")},
                effect=plugged(seen, "memory") if grows else stop_start(seen),
            )
        if spec.balloon is None:
            return
        old = memory if config.balloon is None else config.balloon
        new = spec.balloon // MIB
        if new != old:
            switched = running(seen) and bool(old) != bool(new)
            yield config_change(
                seen,
                self.name,
                "balloon",
                old=format_size(old * MIB),
                new=format_size(new * MIB),
                params={"balloon": new},
                effect=Effect.STOP_START if switched else Effect.LIVE,
            )
