"""What a look finds of a template that is being built, also where the cluster moves meanwhile."""

from reconciler.template.order import Order
from reconciler.template.standing import free_vmid, look
from state.api import Json, NotFound, Refused
from tests.engine import AT, Answers

ORDER = Order("demo", "debian", "pve1", "local-lvm", "local:import/d.qcow2")
RESOURCES: Json = [
    {"id": "node/pve1", "type": "node", "node": "pve1", "status": "online"},
    {"id": "qemu/9000", "type": "qemu", "vmid": 9000, "node": "pve1", "name": "debian"},
    {"id": "qemu/9001", "type": "qemu", "vmid": 9001, "node": "pve1", "name": "debian"},
]
STATUS: Json = [
    {"type": "cluster", "name": "demo", "quorate": 1, "nodes": 1},
    {"type": "node", "name": "pve1", "online": 1},
]


def test_a_vmid_that_proxmox_refuses_is_taken() -> None:
    asked = Answers({"/cluster/nextid": [Refused("vm 9000 exists", 400), "9001"]})
    free = free_vmid(asked)
    assert (free(9000), free(9001)) == (False, True)


def test_a_vm_that_goes_away_while_it_is_looked_at_is_nobodys() -> None:
    mine: Json = {"description": str(ORDER.mark(9001)), "template": 0}
    api = Answers(
        {
            "/cluster/tasks": [[]],
            "/cluster/resources": [RESOURCES],
            "/cluster/status": [STATUS],
            "/nodes/pve1/qemu/9000/config": [NotFound("is not there")],
            "/nodes/pve1/qemu/9001/config": [mine],
        }
    )
    seen = look(ORDER, "demo", api, AT, 0)
    assert (seen.vmid, seen.finished) == (9001, 0)
    assert seen.config is not None
