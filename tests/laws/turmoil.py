"""A data centre in turmoil: what a person, others and bad luck do to a fleet, and what must hold.

It keeps books of its own: which machines are others', which of ours went and when, what a person
approved. The laws are judged by them and by the cluster, never by what the engine says of itself.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from desired.errors import UnusableSource
from reconciler.aftermath import ask_end
from reconciler.sim.faults import Fault
from reconciler.sim.samples import FLEET_TOKEN, FLEET_USER
from reconciler.sim.vm.machine import Machine
from reconciler.verbs.asking import Refused
from state.change import Call
from state.store import Store
from tests.lab import Killed, Lab
from tests.laws.fleets import FLEET, Spec
from tests.laws.test_restart import twin
from tests.verbs import asked

DAY, SLACK = timedelta(days=1), timedelta(minutes=5)
SHARE = 0.5
GUARD = f"guard: {{destroys: {SHARE:.0%}, restarts: 100%, minimum: 3}}\n"
POOLS = "p: {bridge: vmbr0, network: 203.0.113.0/28, gateway: 203.0.113.1}\n"
PLAIN: Spec = {"memory": "1GiB", "restart": "allow", "nics": {"net0": {"ipv4": {"pool": "p"}}}}
ABSENT: Spec = {"state": "absent"}
KEYS = ("a", "b", "c", "d")
SOURCES = {"no YAML": b"a: [", "no text": b"\xff", "empty": b"", "nothing": b"{}\n"}
"""What stands in the place of the specs when their source is unreadable or empty."""

_VMID = re.compile(r"/qemu/(\d+)|vm:(\d+)")
_ADDRESS = re.compile(r"\bip6?=([0-9a-f.:]+)/")
_UUID = re.compile(r"uuid=([0-9a-f-]+)")


def uuid_of(machine: Machine) -> str:
    found = _UUID.search(str(machine.config.get("smbios1", "")))
    return found.group(1) if found else f"vm {machine.vmid} that is being made"


def base(folder: Path) -> Lab:
    """Four VMs that are ready, and one of somebody else."""
    lab = Lab(folder, {"pools/pools.yaml": POOLS, **laid_out(dict.fromkeys(KEYS, PLAIN), "24h")})
    lab.ask("POST", "/nodes/pve1/qemu", vmid=900, name="theirs", memory="512")
    lab.settle()
    lab.wire.calls.clear()
    return lab


def laid_out(specs: dict[str, Spec], prune: str) -> dict[str, str]:
    """The files of a fleet; without `prune` nothing is pruned."""
    rule = f"prune: {{grace: {prune}}}\n" if prune else ""
    text = yaml.safe_dump(specs)
    return {"fleet.yaml": FLEET + GUARD + rule, "vms/all.yaml": text}


class Turmoil:
    """One fleet, and all that happens to it. Each `run` judges what came of it."""

    def __init__(self, first: Lab, folder: Path) -> None:
        self.lab = twin(first, folder)
        self.specs: dict[str, Spec] = dict.fromkeys(KEYS, PLAIN)
        self.prune, self.source, self.count = "24h", "", 0
        self.theirs = {uuid_of(one): dict(one.config) for one in self.world_of(foreign=True)}
        self.ends: list[tuple[datetime, str]] = []
        self.approved: set[str] = set()
        self.managed: list[tuple[datetime, int]] = []
        self.wrong: list[str] = []
        self.killed = 0
        self.lab.wire.meanwhile = self.witness

    def world_of(self, *, foreign: bool) -> list[Machine]:
        vms = self.lab.world.vms
        return [one for vmid, one in vms.items() if (vmid >= 900) == foreign]

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.lab.clock.seconds).astimezone()

    # ------------------------------------------------------------------ what a person does

    def put(self, key: str, spec: Spec | None) -> None:
        """Write, or remove, a VM's spec."""
        self.specs = {**self.specs, key: spec} if spec else _without(self.specs, key)
        self.write()

    def rename(self, key: str) -> None:
        if self.specs.get(key, ABSENT) != ABSENT:
            self.count += 1
            spec = {**self.specs[key], "was": key}
            self.specs = {**_without(self.specs, key), f"{key[0]}{self.count}": spec}
            self.write()

    def write(self) -> None:
        self.lab.write(laid_out(self.specs, self.prune))
        if self.source:
            (self.lab.fleet / "vms" / "all.yaml").write_bytes(SOURCES[self.source])

    def ask(self, verb: str, key: str) -> None:
        """Ask for a verb as a command does; one that is refused comes to nothing."""
        self.count += 1
        with suppress(Refused):
            asked(self.lab, verb, f"t{self.count}", key)

    def terminate(self, key: str) -> None:
        with Store.open(self.lab.where, at=self.at) as store:
            if store.bindings.of(key) and key in self.specs:
                ask_end(store, key, "ann", f"t{self.count}", self.at)

    # ------------------------------------------------------------------ what others do

    def ours(self) -> dict[str, Machine]:
        """Machines that the engine made and that are there, by uuid."""
        found = {uuid_of(one): one for one in self.lab.world.vms.values()}
        return {uuid: one for uuid, one in found.items() if uuid not in self.theirs}

    def machine(self, pick: int) -> Machine | None:
        found = sorted(self.ours().values(), key=lambda one: one.vmid)
        return found[pick % len(found)] if found else None

    def outside(self, method: str, path: str, **params: object) -> bool:
        """Do something as root@pam; whether it was accepted. Tasks are let come to their end."""
        answer = self.lab.simulator.call(method, path, params)
        self.pass_by(60.0)
        return bool(answer.ok)

    def made_by_others(self, vmid: int) -> None:
        """Set down that the machine that now bears a vmid is not ours."""
        machine = self.lab.world.vms[vmid]
        self.theirs[uuid_of(machine)] = dict(machine.config)

    def copy(self, machine: Machine) -> None:
        self.count += 1
        vmid = 900 + self.count
        if self.outside("POST", f"{path_of(machine)}/clone", newid=vmid, full=1):
            self.made_by_others(vmid)

    def delete(self, machine: Machine, *, reused: bool) -> None:
        """Somebody deletes a VM of ours, and perhaps makes one of his own under its vmid."""
        uuid, vmid, node = uuid_of(machine), machine.vmid, machine.node
        self.outside("POST", f"{path_of(machine)}/status/stop")
        self.outside("DELETE", path_of(machine), purge=1)
        if reused and vmid not in self.lab.world.vms:
            assert self.outside("POST", f"/nodes/{node}/qemu", vmid=vmid, memory="512")
            self.made_by_others(vmid)
        assert uuid not in self.ours() or vmid in self.lab.world.vms

    def meddle(self, pick: int, what: str) -> None:
        """Somebody does something to a VM of ours that is not his."""
        machine = self.machine(pick)
        if machine is None:
            return
        if what == "copy":
            self.copy(machine)
        elif what == "move":
            node = f"pve{int(machine.node[-1]) % 3 + 1}"
            self.lab.simulator.faults.add(Fault("ha-move", vmid=machine.vmid, node=node))
        elif what == "stop":
            self.outside("POST", f"{path_of(machine)}/status/stop")
        elif what == "unmark":
            self.outside("PUT", f"{path_of(machine)}/config", delete="description,tags")
        else:
            self.outside("PUT", f"{path_of(machine)}/config", memory="3072")

    def trouble(self, kind: str, node: str) -> None:
        user = f"{FLEET_USER}!{FLEET_TOKEN}"
        faults = {
            "quorum": Fault("quorum-lost", times=None),
            "down": Fault("node-down", node=node, times=None),
            "dead": Fault("node-dead", node=node, times=None),
            "no rights": Fault("rights-withdrawn", user=user, times=None),
            "destroy fails": Fault("task-fail", task="qmdestroy", times=1, text="storage busy"),
            "stop fails": Fault("task-fail", task="qmshutdown", times=2, text="got timeout"),
            "refused": Fault("error-before", method="DELETE", path="/nodes/*", status=500),
        }
        self.lab.simulator.faults.add(faults[kind])

    def heal(self) -> None:
        for fault in [*self.lab.world.faults]:
            self.lab.simulator.faults.remove(fault.id)

    def pass_by(self, seconds: float) -> None:
        self.lab.clock.sleep(seconds)
        self.lab.simulator.call("GET", "/version", {})

    # ------------------------------------------------------------------ runs, and their judgement

    def run(self, hours: float, *, before: int | None = None, after: int | None = None) -> int:
        """One run, perhaps killed; how many writes it made."""
        self.pass_by(hours * 3600.0)
        there, keys = self.begin()
        with suppress(Killed, UnusableSource):
            self.lab.run(before=before, after=after)
        self.killed += self.lab.wire.kill_after is not None or self.lab.wire.on_the_way is not None
        self.lab.wire.on_the_way = None
        self.judge(there, keys)
        return len(self.lab.wire.writes(self.lab.wire.run))

    def is_asked(self) -> bool:
        """Whether something waits for a person's approval."""
        with self.lab.store() as store:
            told = store.conditions.all().values()
        return any(c.type == "ApprovalNeeded" and c.status for own in told for c in own)

    def remembered(self) -> dict[str, object]:
        """What the store remembers of each VM, as far as it moves on."""
        with self.lab.store() as store:
            bound = store.bindings.all()
            return {key: (one, sorted(store.intents.of(key))) for key, one in bound.items()}

    def approve(self) -> bool:
        """A person approves whatever asks for it, by a run of its own; whether anything did."""
        try:
            dry = self.lab.dry()
        except UnusableSource:
            return False
        if not dry.digest:
            return False
        named = {vm.key for vm in dry.vms if any(n.condition == "ApprovalNeeded" for n in vm.notes)}
        keys = self.keys()
        self.approved |= {uuid for key, uuid in keys.items() if key in named}
        there, keys = self.begin()
        self.lab.run(approve=dry.digest)
        self.judge(there, keys)
        return True

    def begin(self) -> tuple[dict[str, Machine], dict[str, str]]:
        """The machines and the keys before a run, and how many VMs there are to be counted."""
        keys = self.keys()
        wanted = {key for key, one in self.specs.items() if one.get("state") != "absent"}
        self.managed.append((self.at, len(wanted | keys.keys())))
        return self.ours(), keys

    def keys(self) -> dict[str, str]:
        """The uuid of each key that is bound to one."""
        with self.lab.store() as store:
            return {key: one.uuid for key, one in store.bindings.all().items() if one.uuid}

    def judge(self, there: dict[str, Machine], keys: dict[str, str]) -> None:
        """Hold what a run did against the laws."""
        self.pass_by(1.0)
        assert not self.wrong, self.wrong
        for vmid_uuid, config in self.theirs.items():
            now = {uuid_of(one): one for one in self.lab.world.vms.values()}
            assert vmid_uuid in now, f"{config.get('name')} of others is gone"
            assert dict(now[vmid_uuid].config) == config, f"{config.get('name')} was written"
        gone = there.keys() - self.ours().keys()
        assert not (gone and self.source), f"{gone} destroyed by specs that are {self.source}"
        carried = {spec.get("was") for spec in self.specs.values()}
        kept = {uuid for key, uuid in keys.items() if key in self.specs and key in carried}
        assert not gone & kept, "destroyed under a key that another one says it bore"
        # Of one run those that nobody approved come first: they may not lean on the approved ones.
        for uuid in sorted(gone, key=lambda uuid: (uuid in self.approved, uuid)):
            self.count_end(uuid)
        self.addresses_hold()

    def count_end(self, uuid: str) -> None:
        """Count a machine that was destroyed, by the VMs that there were since its end began."""
        at = self.managed[-1][0]
        self.ends.append((at, uuid))
        within = sum(at - when < DAY - SLACK for when, _ in self.ends)
        managed = max(count for when, count in self.managed if at - when < DAY + SLACK)
        if uuid not in self.approved:
            text = f"{within} machines destroyed within a day, of {managed} VMs"
            assert within <= SHARE * managed, text

    def addresses_hold(self) -> None:
        """What the config of a machine of ours says is leased to its key, and to no other."""
        with self.lab.store() as store:
            leases = {one.address: key for key, two in store.leases.all().items() for one in two}
            bound = {one.vmid: one for one in store.bindings.all().values()}
        used: dict[str, str] = {}
        for uuid, machine in self.ours().items():
            for address in addresses_of(machine):
                assert address not in used, f"{address} is used by {uuid} and {used[address]}"
                used[address], holder = uuid, bound.get(machine.vmid)
                assert holder is not None, f"vm {machine.vmid} lives, and nobody knows of it"
                mine = leases.get(address) == holder.key
                assert mine, f"{address} of {holder.key} was freed while its VM lives"

    def witness(self, call: Call) -> bool:
        """See each write before it is sent: none is for a machine of others."""
        found = _VMID.search(call.path)
        vmid = int(found.group(1) or found.group(2)) if found else 0
        machine = self.lab.world.vms.get(vmid)
        cloned = call.path.endswith("/clone") and machine is not None and machine.template
        if machine is not None and uuid_of(machine) in self.theirs and not cloned:
            self.wrong.append(f"{call.method} {call.path} is for a VM of others")
        return False


def path_of(machine: Machine) -> str:
    return f"/nodes/{machine.node}/qemu/{machine.vmid}"


def addresses_of(machine: Machine) -> Iterator[str]:
    for key, value in machine.config.items():
        if key.startswith("ipconfig"):
            yield from _ADDRESS.findall(str(value))


def _without(specs: dict[str, Spec], key: str) -> dict[str, Spec]:
    return {one: spec for one, spec in specs.items() if one != key}
