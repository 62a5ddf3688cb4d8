"""Processors: how many, of which type, and how much time they get."""

from collections.abc import Iterable, Iterator

from desired.spec import VMSpec
from handlers.effects import stop_start, wanted
from handlers.handler import Subject, config_change, send_calls
from handlers.throttles import whole
from state.change import Change, Effect, Note, Param, Value
from state.conf import VMConfig
from state.observed import SeenVM
from state.propstring import parse, render, render_number


class Cpu:
    """Sets cores, sockets, CPU type, limit, weight and NUMA (DEP-17).

        cpu: {cores: 2, sockets: 1, type: host, limit: 1.5, units: 200, numa: true}

    Owns `cores`, `sockets`, `cpu`, `cpulimit`, `cpuunits`, `numa`. Limit and units apply at once;
    the others are pending on a running VM until it is stopped and started through Proxmox. Flags
    beside the CPU type stay as they are.

    Risk: a type that the host cannot offer keeps the VM from starting.
    """

    name = "cpu"
    subject = Subject.VM
    after = ("exists",)
    blocking = True
    keys = ("cores", "sockets", "cpu", "cpulimit", "cpuunits", "numa")
    apply = staticmethod(send_calls)

    def diff(self, spec: VMSpec, seen: SeenVM) -> Iterable[Change | Note]:
        pending = stop_start(seen)
        for key, old, new, param in _compared(spec, wanted(seen)):
            if new is not None and new != old:
                effect = Effect.LIVE if key in ("cpulimit", "cpuunits") else pending
                yield config_change(
                    seen, self.name, key, old=old, new=new, params={key: param}, effect=effect
                )


def _compared(spec: VMSpec, config: VMConfig) -> Iterator[tuple[str, Value, Value, Param]]:
    """Yield (key, seen with Proxmox's default, wanted or None, parameter)."""
    cpu = spec.cpu
    if cpu is None:
        return
    yield "cores", config.integer("cores", 1), cpu.cores, cpu.cores or 0
    yield "sockets", config.integer("sockets", 1), cpu.sockets, cpu.sockets or 0
    yield "cpu", config.cpu_type, cpu.type, _cpu(config, cpu.type or "")
    limit = None if cpu.limit is None else whole(round(cpu.limit, 6))
    yield "cpulimit", whole(config.number("cpulimit", 0)), limit, render_number(cpu.limit or 0)
    yield "cpuunits", config.integer("cpuunits", 100), cpu.units, cpu.units or 0
    yield "numa", config.boolean("numa", False), cpu.numa, bool(cpu.numa)


def _cpu(config: VMConfig, kind: str) -> str:
    fields = parse(config.text("cpu") or "", "cputype")
    return render({**fields, "cputype": kind}, "cputype") if kind else ""
