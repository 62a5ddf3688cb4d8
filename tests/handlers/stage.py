"""One VM on the simulated cluster, in process: looked at, planned and changed look by look."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from desired.spec import VMSpec
from handlers.handler import Context, Handler, is_config_call, merge_config
from reconciler.plan import VMPlan, plan_vm
from reconciler.pve.inprocess import InProcessApi
from reconciler.registry import vm_handlers
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.samples import add_file, demo_world
from state.api import Json
from state.change import Call, Change, Param
from state.conf import VMConfig, split_pending
from state.machine import parse_firewall
from state.memory import Binding, Intent, Lease, Memory, Phase
from state.observe import read_firewall, read_pending
from state.observed import ClusterView, Presence, SeenConfig, SeenVM
from state.secret import Secret
from state.view import cluster_view

VMID = 142
KEY = "web-1"
MAPPINGS = {
    "pci": ("gpu", "node=pve1,path=0000:01:00.0,id=10de:2204,subsystem-id=10de:0000,iommugroup=16"),
    "usb": ("dongle", "node=pve1,id=1050:0407"),
    "dir": ("data", "node=pve1,path=/srv/data"),
}
"""The cluster's names for devices of its first node, and where they are."""
MAY_MAP = {
    "path": "/mapping",
    "roles": "PVEMappingUser",
    "users": "reconcile@pve",
    "tokens": "reconcile@pve!fleet",
}
PVE_MASK = "**********"


def spec_of(**fields: object) -> VMSpec:
    return VMSpec.model_validate({"key": KEY, "cluster": "demo", "name": "web-1"} | fields)


@dataclass
class Stage:
    """A demo cluster, and the memory that the engine would keep of one VM."""

    clock: ManualClock = field(default_factory=ManualClock)
    handlers: Sequence[Handler] = field(default_factory=vm_handlers)
    memory: Memory = field(
        default_factory=lambda: Memory(
            Binding(
                key=KEY,
                cluster="demo",
                vmid=VMID,
                name="web-1",
                template=9000,
                template_node="pve1",
                node="pve1",
            ),
            fingerprints={"password.wanted": "f1"},
        )
    )
    secrets: dict[str, Secret] = field(default_factory=lambda: {"password": Secret("geheim-1")})
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.simulator = Simulator(demo_world(SOME_DAY, speed=600.0), self.clock)
        self.simulator.call("POST", "/pools", {"poolid": "customers"})
        self.simulator.call("PUT", "/access/acl", MAY_MAP)
        for kind, (name, place) in MAPPINGS.items():
            self.simulator.call("POST", f"/cluster/mapping/{kind}", {"id": name, "map": [place]})
        for name in ("a", "b"):
            add_file(self.simulator.world, "pve1", f"local:iso/{name}.iso", "iso", "iso", 4096)
        for name in ("u", "m"):
            volume = f"local:snippets/{name}.yaml"
            add_file(self.simulator.world, "pve1", volume, "snippets", "snippet", 64)
        self.api = InProcessApi(self.simulator, "reconcile@pve!fleet")

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.clock.now, UTC)

    def look(self) -> SeenVM:
        """Observe the VM as the engine does, everything read afresh."""
        view = self.view()
        row = view.vms.get(VMID)
        seen = SeenVM(
            KEY,
            self.at,
            view,
            self.memory,
            Presence.ABSENT,
            secrets=self.secrets,
            store="ab12cd34",
            fleet="demo",
        )
        if row is None:
            return seen
        wanted, live, pending, digest = split_pending(read_pending(self.api, row))
        return replace(
            seen,
            presence=Presence.PRESENT,
            row=row,
            config=SeenConfig(VMConfig(wanted), VMConfig(live), pending, digest),
            firewall=parse_firewall(read_firewall(self.api, row), self.at),
            status=row.status,
        )

    def view(self) -> ClusterView:
        resources, status, tasks = (
            self.api.get(f"/cluster/{name}") for name in ("resources", "status", "tasks")
        )
        return cluster_view("demo", self.at, resources, status, tasks, True)

    def plan(self, spec: VMSpec) -> VMPlan:
        return plan_vm(spec, self.look(), self.handlers)

    def settle(self, spec: VMSpec, looks: int = 12) -> VMPlan:
        """Look, plan and apply until nothing is left to change; the last plan."""
        plan = self.plan(spec)
        for _ in range(looks):
            if not plan.changes:
                return plan
            self.apply(plan)
            self.clock.pass_by(30)
            plan = self.plan(spec)
        raise AssertionError(f"not settled: {plan.changes}")

    def apply(self, plan: VMPlan) -> None:
        """Config keys as one PUT with the digest; then each handler; gates only when alone."""
        changes = [change for change in plan.changes if not change.gate] or list(plan.changes[:1])
        config = [one for one in changes if all(map(is_config_call, one.calls))]
        if config:
            call = merge_config(call for change in config for call in change.calls)
            assert call is not None and plan.seen.config is not None
            self.send(replace(call, params={**call.params, "digest": plan.seen.config.digest}))
        for handler in self.handlers:
            mine = [one for one in changes if one.handler == handler.name and one not in config]
            if mine:
                handler.apply(mine, Context(self, self.at))
        self.remember(changes)

    def remember(self, changes: Sequence[Change]) -> None:
        prints = {**self.memory.fingerprints, **dict(p for c in changes for p in c.remember)}
        intents = dict(self.memory.intents)
        if any(change.handler == "power" for change in changes):
            intents["start"] = Intent(KEY, "start", self.at)
        self.memory = replace(self.memory, fingerprints=prints, intents=intents)

    def started(self) -> None:
        """The VM was seen running for the first time."""
        assert self.memory.binding is not None
        self.memory = replace(self.memory, binding=replace(self.memory.binding, phase=Phase.READY))

    def lease(self, *leases: Lease) -> None:
        self.memory = replace(self.memory, leases=leases)

    def get(self, path: str, params: Mapping[str, Param] | None = None) -> Json:
        return self.api.get(path, params)

    def send(self, call: Call, *, heavy: bool = False) -> Json:
        self.calls.append(call)
        return self.api.send(call)
