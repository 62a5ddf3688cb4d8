"""A set of the firewall that goes while we remove it is no error; what is one stays one."""

from pathlib import Path

from reconciler.sim.faults import Fault
from state.change import Call
from tests.lab import Lab
from tests.laws.fleets import FLEET, POOLS

VM = (
    "vm-0: {node: pve1, nics: {net0: {ipv4: {pool: public-v4}}}, firewall: {anti_spoofing: true}}\n"
)


def legacy(folder: Path) -> tuple[Lab, str]:
    """A VM that is ready, with the set that another program once kept for it."""
    files = {"fleet.yaml": FLEET, "pools/pools.yaml": POOLS, "vms/vms.yaml": VM}
    lab = Lab(folder, files)
    lab.settle()
    with lab.store() as store:
        vmid = store.bindings.all()["vm-0"].vmid
    path = f"/nodes/pve1/qemu/{vmid}/firewall/ipset"
    lab.ask("POST", path, name=f"wm-{vmid}")
    lab.clock.sleep(3600)  # its turn in the rotation comes
    return lab, f"{path}/wm-{vmid}"


def test_term_17_a_set_that_is_gone_already_is_no_error(tmp_path: Path) -> None:
    """TERM-17: Proxmox says `no such IPSet`; the next look finds nothing left to do."""
    lab, path = legacy(tmp_path)

    def gone(call: Call) -> bool:
        if not call.path.startswith(path):
            return False
        lab.ask("DELETE", path)
        return True

    lab.wire.meanwhile = gone
    lab.run()
    assert [one.error for one in lab.wire.writes(lab.wire.run) if one.path.startswith(path)] != [""]
    assert lab.run().failed == 0
    with lab.store() as store:
        assert store.attempts.of("vm-0") == {}


def test_term_17_what_keeps_a_set_from_going_is_told(tmp_path: Path) -> None:
    """TERM-17: a server's error is logged, and tried again."""
    lab, path = legacy(tmp_path)
    lab.simulator.faults.add(Fault("error-before", path=path, method="DELETE"))
    lab.run()
    with lab.store() as store:
        assert "firewall" in store.attempts.of("vm-0")
    lab.clock.sleep(3600)
    assert lab.run().failed == 0
