"""VMs that end, in the lab: two deployed ones, of which `old-1` is given up in many ways."""

import json
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import yaml

from reconciler.report import Remark
from reconciler.sim.vm.machine import Machine
from state.memory import Binding
from state.outbox import Event
from tests.lab import Lab
from tests.laws.fleets import FLEET, POOLS
from tests.laws.test_restart import twin

VM: dict[str, Any] = {
    "memory": "1GiB",
    "disks": {"scsi1": {"size": "5GiB", "storage": "local-lvm"}},
    "nics": {"net0": {"ipv4": {"pool": "public-v4"}}},
}
GUARD = "guard: {destroys: 100%, minimum: 0}\n"
ABSENT = {"state": "absent"}
DEPLOYED: dict[Path, Lab] = {}


def files(vms: Mapping[str, Any], more: str = GUARD) -> dict[str, str]:
    text = yaml.safe_dump(dict(vms))
    return {"fleet.yaml": FLEET + more, "pools/pools.yaml": POOLS, "vms/all.yaml": text}


def ending(folder: Path, old: Mapping[str, Any] = VM, more: str = GUARD, **lab: Any) -> Lab:
    """A lab in which `old-1` and `web-1` are ready: a twin of one that was deployed before."""
    asked = json.dumps([dict(old), more, lab], sort_keys=True)
    base = folder.parent / f"ending-{blake2b(asked.encode(), digest_size=6).hexdigest()}"
    if base not in DEPLOYED:
        made = Lab(base, files({"old-1": dict(old), "web-1": VM}, more), **lab)
        made.settle()
        made.clock.sleep(120.0)
        made.wire.calls.clear()
        DEPLOYED[base] = made
    return twin(DEPLOYED[base], folder / "lab")


def give_up(lab: Lab, **more: Any) -> None:
    """Write that `old-1` shall be absent, and nothing else of it but what is given."""
    lab.write({"vms/all.yaml": yaml.safe_dump({"old-1": {**ABSENT, **more}, "web-1": VM})})


def bound(lab: Lab, key: str = "old-1") -> Binding | None:
    with lab.store() as store:
        return store.bindings.of(key)


def machine(lab: Lab, key: str = "old-1") -> Machine:
    found = bound(lab, key)
    assert found is not None
    return lab.world.vms[found.vmid]


def told(lab: Lab) -> list[str]:
    """What the last run told of `old-1`, beside its steps."""
    return [one.text for one in lab.told.events if isinstance(one, Remark) and one.key == "old-1"]


def writes(lab: Lab, run: int | None = None) -> list[str]:
    return [f"{one.method} {one.path}" for one in lab.wire.writes(run)]


def conditions(lab: Lab, key: str = "old-1") -> dict[str, str]:
    with lab.store() as store:
        found = store.conditions.all().get(key, ())
    return {one.type: one.message for one in found if one.status and one.type != "Ready"}


def events(lab: Lab, *names: str) -> list[Event]:
    with lab.store() as store:
        return [one for one in store.outbox.waiting() if one.event in names]


def addresses(lab: Lab, key: str = "old-1") -> list[str]:
    with lab.store() as store:
        return [lease.address for lease in store.leases.of(key)]
