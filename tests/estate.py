"""Several simulated clusters in process, one fleet and one store over them, on one clock."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from reconciler.config import open_live
from reconciler.loop import run_once
from reconciler.report import Event, Remark, Summary, VMDone
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY
from reconciler.sim.samples import FLEET_TOKEN, FLEET_USER, demo_world
from reconciler.sim.world import World
from state.api import Json
from state.change import Method, Param
from tests.lab import Lab, LabClock, Told, Wire, WiredApi

FLEET = """\
fleet: estate
clusters:
{clusters}
defaults: {{template: debian-12, storage: local-lvm, domain: example.net}}
templates:
  debian-12: {{{copies}}}
limits: {{workers: {workers}}}
"""
POOLS = """\
common: {bridge: vmbr0, vlan: 100, network: 203.0.113.0/28, gateway: 203.0.113.1}
private: {cluster: a, bridge: vmbr0, vlan: 200, network: 198.51.100.0/28, gateway: 198.51.100.1}
"""
LEASE = "nics: {net0: {ipv4: {pool: common}}}"


def estate_files(vms: str, names: tuple[str, ...], workers: int) -> dict[str, str]:
    """The files of a fleet over these clusters; `vms` is the text of its VMs."""
    clusters = "\n".join(f"  {name}: {{simulated: {{nodes: 3}}}}" for name in names)
    copies = ", ".join(f"{name}: [9000, 9001, 9002]" for name in names)
    head = FLEET.format(clusters=clusters, copies=copies, workers=workers)
    return {"fleet.yaml": head, "pools/pools.yaml": POOLS, "vms/vms.yaml": vms}


class GatedApi(WiredApi):
    """An API whose every call first passes a gate, which may hold it up or refuse it."""

    def __init__(
        self, simulator: Simulator, wire: Wire, clock: LabClock, gate: Callable[[str, str], None]
    ) -> None:
        super().__init__(simulator, f"{FLEET_USER}!{FLEET_TOKEN}", wire, clock)
        self._gate = gate

    def _call(self, method: Method, path: str, params: Mapping[str, Param]) -> Json:
        self._gate(str(method), path)
        return super()._call(method, path, params)


class Estate(Lab):
    """A Lab with several clusters, each with a wire of its own and a gate before it."""

    def __init__(
        self,
        folder: Path,
        vms: str,
        names: tuple[str, ...] = ("a", "b"),
        workers: int = 1,
    ) -> None:
        super().__init__(folder, estate_files(vms, names, workers))
        self.worlds: dict[str, World] = {
            name: demo_world(SOME_DAY, nodes=3, seed=n, speed=600.0) for n, name in enumerate(names)
        }
        self.simulators = {name: Simulator(one, self.clock) for name, one in self.worlds.items()}
        self.wires = {name: Wire() for name in names}
        self.gates: dict[str, Callable[[str, str], None]] = {}
        self.hearer: Told | None = None

    def api(self, name: str = "a") -> WiredApi:
        def gate(method: str, path: str) -> None:
            if name in self.gates:
                self.gates[name](method, path)

        return GatedApi(self.simulators[name], self.wires[name], self.clock, gate)

    def run(
        self, *, before: int | None = None, after: int | None = None, **options: object
    ) -> Summary:
        """One `reconcile --once`; it is killed at a call of the first cluster."""
        first, *others = self.wires.values()
        first.next_run(before, after)
        for wire in others:
            wire.next_run()
        self.told, self.hearer = self.hearer or Told(), None
        return run_once(self._options(**options), self.told, self.clock, self._opening(open_live))

    def writes(self, name: str) -> int:
        """How many writes the last run sent to a cluster."""
        return len(self.wires[name].writes(self.wires[name].run))

    def ours(self, name: str) -> dict[str, str]:
        """The VMs of a cluster that are no templates, by name with their address."""
        return {
            str(vm.config["name"]): str(vm.config.get("ipconfig0", ""))
            for vmid, vm in self.worlds[name].vms.items()
            if vmid < 9000
        }

    def errors(self) -> list[str]:
        told = [one for one in self.told.events if isinstance(one, Remark)]
        return [one.text for one in told if one.level == "error"]


class Heard(Told):
    """Sets `heard` once every one of these VMs is done."""

    def __init__(self, *keys: str) -> None:
        super().__init__()
        self._left = set(keys)
        self.heard = threading.Event()

    def report(self, *events: Event) -> None:
        super().report(*events)
        self._left -= {one.key for one in events if isinstance(one, VMDone)}
        if not self._left:
            self.heard.set()
