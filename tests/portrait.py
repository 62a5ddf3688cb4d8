"""What a cluster looks like, without what chance decides: the same portrait is the same world."""

import re
from collections.abc import Mapping
from typing import Any

from handlers.firewall import DEFAULTS
from reconciler.sim.world import World
from state.store import Store

_CHANCE = {"smbios1", "vmgenid", "meta", "digest"}
_MAC = re.compile(r"=(?:[0-9A-F]{2}:){5}[0-9A-F]{2}")
_DRAWN = re.compile(r"u[a-z]{7}")
_STORE = re.compile(r"store=[0-9a-f]+")
Portrait = dict[str, Any]


def portrait(world: World, store: Store | None = None) -> Portrait:
    """Every VM with its config, firewall, power and pool; every volume; every lease and binding."""
    known = {} if store is None else _memory(store)
    return {
        "vms": {vmid: _vm(world, vmid) for vmid in sorted(world.vms)},
        "volumes": sorted(
            (one.volid, one.node, one.size, one.vmid or 0, one.parent or "")
            for one in world.volumes.values()
        ),
        **known,
    }


def _vm(world: World, vmid: int) -> dict[str, Any]:
    machine = world.vms[vmid]
    return {
        "node": machine.node,
        "status": machine.status,
        "config": {
            key: _plain(key, str(value))
            for key, value in sorted(machine.config.items())
            if key not in _CHANCE
        },
        "pending": dict(machine.pending) | machine.pending_delete,
        "snapshots": sorted(machine.snapshots),
        "pool": world.pool_of(vmid),
        "firewall": _firewall(world, vmid),
    }


def _plain(key: str, value: str) -> str:
    if key == "cipassword":
        return "set"
    if key == "ciuser" and _DRAWN.fullmatch(value):
        return "drawn"
    return _STORE.sub("store=S", _MAC.sub("=MAC", value))


def _firewall(world: World, vmid: int) -> Any:
    """Read as a person would, through the API's own view."""
    from reconciler.sim.api import Simulator

    simulator = Simulator(world, lambda: world.now)
    base = f"/nodes/{world.vms[vmid].node}/qemu/{vmid}/firewall"

    def get(path: str) -> Any:
        answer = simulator.call("GET", f"{base}/{path}")
        return _without_digest(answer.data) if answer.ok else answer.reason

    sets = {row["name"]: get(f"ipset/{row['name']}") for row in get("ipset") or []}
    options = {key: str(value) for key, value in get("options").items()}
    return {"options": {**DEFAULTS, **options}, "rules": get("rules"), "ipsets": sets}


def _without_digest(data: Any) -> Any:
    if isinstance(data, list):
        return [_without_digest(row) for row in data]
    if isinstance(data, dict):
        return {key: value for key, value in data.items() if key != "digest"}
    return data


def _memory(store: Store) -> Mapping[str, Any]:
    return {
        "bindings": {
            key: (one.vmid, one.node, one.phase.value, one.uuid is not None, one.name)
            for key, one in sorted(store.bindings.all().items())
        },
        "leases": {
            key: [(one.nic, one.family, one.ordinal, one.address) for one in leases]
            for key, leases in store.leases.all().items()
        },
        "open tasks": sorted(store.tasks.all()),
        "intents": {key: sorted(store.intents.of(key)) for key in sorted(store.bindings.all())},
    }
