"""A VM is skipped only while everything that its last quiet look went by is as it was."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import cast

import pytest

from desired.spec import VMSpec
from handlers.handler import Handler
from reconciler.guard import Guarded
from reconciler.plan import VMPlan
from reconciler.registry import vm_handlers
from reconciler.settled import Settled, code_stamp
from state.cache import CachedVM
from state.change import Note
from state.machine import Machines
from state.memory import Attempt, Hold, Intent, Memory, OpenTask, Phase
from state.observed import ClusterView, Presence, SeenVM
from state.secret import Secret
from state.store import Store
from tests import engine
from tests.casefile import compared, read_case
from tests.lab import Lab
from tests.laws.fleets import FLEET, POOLS
from tests.test_cases import CASES, HANDLERS

VMID = 101
ROW = engine.vm(VMID, status="running", uptime=100, mem=5)
VIEW = engine.view([ROW])
MEMORY = Memory(
    engine.binding(vmid=VMID, uuid=engine.UUID, phase=Phase.READY),
    (engine.lease("web-1", "192.0.2.2"),),
    fingerprints={"password": "f1"},
)


@dataclass
class Ground:
    """What a look at one VM goes by; each field may be edited before the next look."""

    store: Store
    spec: VMSpec
    memory: Memory = MEMORY
    view: ClusterView = VIEW
    fleet: str = "demo"
    handlers: tuple[Handler, ...] = ()
    found: Guarded | None = None

    def settled(self) -> Settled:
        machines = Machines()
        for cached in self.store.cache.all("demo").values():
            if not cached.dirty:
                machines.keep(cached)
        return Settled.of(self.store, self.view, machines, self.fleet, self.handlers)

    def knows(self) -> bool:
        return self.settled().knows(self.spec, self.memory)

    def row(self, **fields: object) -> None:
        rows = [replace(ROW, **fields)]  # type: ignore[arg-type]
        self.view = replace(self.view, vms={one.vmid: one for one in rows})

    def node(self, **fields: object) -> None:
        node = replace(self.view.nodes["pve1"], **fields)  # type: ignore[arg-type]
        self.view = replace(self.view, nodes={**self.view.nodes, "pve1": node})

    def remember(self, **fields: object) -> None:
        self.memory = replace(self.memory, **fields)  # type: ignore[arg-type]

    def bound(self, **fields: object) -> None:
        assert self.memory.binding
        self.remember(binding=replace(self.memory.binding, **fields))  # type: ignore[arg-type]


def quiet(ground: Ground) -> Guarded:
    seen = SeenVM(
        "web-1", engine.AT, ground.view, ground.memory, Presence.PRESENT, config=engine.config()
    )
    return Guarded(VMPlan(seen))


def looked(ground: Ground, found: Guarded | None = None) -> None:
    """Look at the VM and keep what came of it."""
    settled = ground.settled()
    settled.note(ground.spec, ground.memory, found or quiet(ground))
    settled.keep()


@pytest.fixture
def ground() -> Ground:
    store = Store.temporary(at=engine.AT)
    store.cache.put("demo", CachedVM(VMID, "[]", read_at=engine.AT), begun_at=engine.AT)
    made = Ground(store, engine.spec(tags=["web"], memory="1GiB"), handlers=vm_handlers())
    assert not made.knows()
    looked(made)
    assert made.knows()
    return made


Edit = Callable[[Ground], object]


def spec_edit(**fields: object) -> Edit:
    def edit(ground: Ground) -> None:
        plain = ground.spec.model_dump(mode="json", by_alias=True)
        ground.spec = VMSpec.model_validate(plain | fields)

    return edit


BREAKING: dict[str, Edit] = {
    "a field of the spec": spec_edit(memory="1025MiB"),
    "a rate that differs in its last digit": spec_edit(nics={"net0": {"rate": "12.3456789MB/s"}}),
    "a new name": spec_edit(name="other"),
    "a policy that no diff reads": spec_edit(restart="allow"),
    "passthrough": spec_edit(config={"x": 1}),
    "an extension": spec_edit(extensions={"site": {"x": True}}),
    "the uuid": lambda g: g.bound(uuid="22222222-2222-4333-8444-555555555555"),
    "the phase": lambda g: g.bound(phase=Phase.SUSPENDED),
    "a lease taken back": lambda g: g.remember(leases=()),
    "a lease's gateway": lambda g: g.remember(leases=(replace(MEMORY.leases[0], gateway="g"),)),
    "a fingerprint": lambda g: g.remember(fingerprints={"password": "f2"}),
    "an open task": lambda g: g.remember(
        task=OpenTask("UPID:x", "web-1", "demo", "power", engine.AT)
    ),
    "a failure": lambda g: g.remember(
        attempts={"cpu": Attempt("web-1", "cpu", 1, "no", engine.AT, engine.AT)}
    ),
    "an intent": lambda g: g.remember(intents={"start": Intent("web-1", "start", engine.AT)}),
    "a hold": lambda g: g.remember(hold=Hold("web-1", "why", engine.AT)),
    "forgotten": lambda g: g.remember(forgotten=True),
    "powered off": lambda g: g.row(status="stopped"),
    "another pool": lambda g: g.row(pool="customers"),
    "another node": lambda g: g.row(node="pve2"),
    "a lock": lambda g: g.row(lock="backup"),
    "a tag": lambda g: g.row(tags=("hold",)),
    "a new name in Proxmox": lambda g: g.row(name="x"),
    "the HA state": lambda g: g.row(hastate="stopped"),
    "made a template": lambda g: g.row(template=True),
    "the VM's row is gone": lambda g: setattr(g, "view", replace(g.view, vms={})),
    "the node is down": lambda g: g.node(online=False),
    "the node's HA state": lambda g: g.node(hastate="maintenance"),
    "the node's row is gone": lambda g: setattr(g, "view", replace(g.view, nodes={})),
    "no quorum": lambda g: setattr(g, "view", replace(g.view, problem="no quorum")),
    "the cluster's firewall": lambda g: setattr(g, "view", replace(g.view, firewall_enabled=False)),
    "another fleet": lambda g: setattr(g, "fleet", "other"),
    "another store's id": lambda g: setattr(g.store, "id", "00000000"),
    "fewer handlers' code": lambda g: setattr(g, "handlers", (cast(Handler, Strange()),)),
    "read anew": lambda g: g.store.cache.put(
        "demo", CachedVM(VMID, "[]", read_at=engine.AT), begun_at=engine.AT
    ),
    "hinted at": lambda g: g.store.cache.suspect("demo", [VMID], engine.AT),
    "written to": lambda g: g.store.cache.mark_dirty("demo", VMID, engine.AT),
    "dropped from the cache": lambda g: g.store.cache.drop("demo", VMID),
}


class Strange:
    """A handler whose code lies in another folder."""


@pytest.mark.parametrize("what", BREAKING)
def test_every_edit_asks_for_a_whole_look(ground: Ground, what: str) -> None:
    BREAKING[what](ground)
    assert not ground.knows()


def test_a_vm_that_lost_its_binding_is_looked_at(ground: Ground) -> None:
    ground.remember(binding=None)
    assert not ground.knows()
    looked(ground)
    assert not ground.knows()


def test_what_grows_by_itself_asks_for_nothing(ground: Ground) -> None:
    ground.row(uptime=9000, mem=7, netin=8, netout=9)
    ground.node(mem=1, ip="192.0.2.9")
    later = engine.AT + timedelta(days=1)
    ground.view = replace(ground.view, at=later, tasks=(engine.task("vzdump", 7),))
    assert ground.knows()


def with_(ground: Ground, **fields: object) -> Guarded:
    found = quiet(ground)
    seen = replace(found.plan.seen, **fields)  # type: ignore[arg-type]
    return replace(found, plan=replace(found.plan, seen=seen))


LOUD: dict[str, Callable[[Ground], Guarded]] = {
    "a change": lambda g: Guarded(VMPlan(quiet(g).plan.seen, (engine.change("cpu"),))),
    "a note": lambda g: Guarded(
        quiet(g).plan, notes=(Note("web-1", "power", "restart", "waits", "RestartRequired"),)
    ),
    "not surely there": lambda g: with_(g, presence=Presence.UNKNOWN),
    "a secret to write": lambda g: with_(g, secrets={"password": Secret("x")}),
    "an address given": lambda g: with_(
        g, memory=replace(MEMORY, leases=(*MEMORY.leases, engine.lease("web-1", "192.0.2.3")))
    ),
}


@pytest.mark.parametrize("what", LOUD)
def test_a_look_that_found_or_gave_something_settles_nothing(ground: Ground, what: str) -> None:
    BREAKING["read anew"](ground)
    looked(ground, LOUD[what](ground))
    assert not ground.knows()


REMEMBERED = ("an open task", "a failure", "an intent", "a hold", "forgotten", "the phase")


@pytest.mark.parametrize("what", REMEMBERED)
def test_what_only_time_or_work_undoes_settles_nothing(ground: Ground, what: str) -> None:
    BREAKING[what](ground)
    looked(ground)
    assert not ground.knows()


def test_a_secret_that_is_referred_to_is_read_by_every_look(ground: Ground) -> None:
    spec_edit(cloudinit={"password": "env:PASSWORD"})(ground)
    looked(ground)
    assert not ground.knows()
    spec_edit(cloudinit={"password": "generate"})(ground)
    looked(ground)
    assert ground.knows()


def test_the_stamp_covers_every_package_and_a_handler_from_elsewhere() -> None:
    files = {Path(name) for name, _, _ in code_stamp([*vm_handlers(), cast(Handler, Strange())])}
    folders = {one.parent.name for one in files}
    assert folders >= {"desired", "state", "handlers", "reconciler", "allocation", "tests"}
    assert {"spec.py", "observe.py", "rules.py", "allocate.py"} <= {one.name for one in files}


class Narrow:
    """All that a quiet diff may read of the cluster; anything else is an AttributeError.

    Of the HA resources that is the VM's own, which the signature holds.
    """

    name = "lab"

    def __init__(self, view: ClusterView) -> None:
        self.firewall_enabled = view.firewall_enabled
        self.release, self.ha = view.release, view.ha


QUIET = [path for path in CASES if not (one := read_case(path)).changes and not one.notes]


@pytest.mark.parametrize("path", QUIET, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_quiet_diff_depends_on_neither_the_time_nor_the_rest_of_the_cluster(path: Path) -> None:
    case = read_case(path)
    narrow = cast(ClusterView, Narrow(case.seen.cluster))
    for days in (-1, 1, 3650):
        seen = replace(case.seen, at=case.seen.at + timedelta(days=days), cluster=narrow)
        assert compared(HANDLERS[case.handler], case.spec, seen) == ([], [])


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_json_of_a_spec_tells_all_of_it(path: Path) -> None:
    spec = read_case(path).spec
    assert VMSpec.model_validate_json(spec.model_dump_json(by_alias=True)) == spec


VMS = "".join(
    f"web-{n}: {{cpu: {{cores: 4}}, nics: {{net0: {{ipv4: {{pool: public-v4}}}}}}}}\n"
    for n in range(4)
)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """Four settled VMs of which the store says, wrongly, that they have other cores."""
    lab = Lab(tmp_path, {"fleet.yaml": FLEET, "pools/p.yaml": POOLS, "vms/web.yaml": VMS})
    lab.settle()
    lab.run()
    with sqlite3.connect(lab.database) as link:
        link.execute(
            "UPDATE cache SET pending_json = "
            """replace(pending_json, '"cores","value":4', '"cores","value":3')"""
        )
    link.close()
    return lab


def cores_written(lab: Lab) -> set[str]:
    return {one.path.split("/")[4] for one in lab.wire.writes(lab.wire.run)}


def test_a_settled_vm_is_not_even_decoded(lab: Lab) -> None:
    assert lab.run().ready == 4
    assert cores_written(lab) == set()


def test_only_the_vm_whose_spec_was_edited_is_looked_at(lab: Lab) -> None:
    lab.write({"vms/web.yaml": VMS.replace("web-3: {", "web-3: {restart: allow, ")})
    lab.run()
    assert len(cores_written(lab)) == 1


def test_a_dry_run_looks_at_everything(lab: Lab) -> None:
    assert sum(bool(vm.changes) for vm in lab.dry().vms) >= 3


def test_a_vm_that_was_powered_off_is_started(lab: Lab) -> None:
    machine = lab.world.vms[103]
    lab.ask("POST", f"/nodes/{machine.node}/qemu/103/status/stop")
    lab.clock.sleep(60.0)
    lab.settle()
    assert machine.running
