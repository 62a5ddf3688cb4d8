"""Traffic on the simulated cluster: what is billed against what its taps truly moved."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.sim.cluster.traffic import nic_bytes, taps
from reconciler.sim.vm.machine import Machine
from reconciler.usage.collect import collect_statistics
from state.usage import WHOLE
from tests.laws.fleets import FLEET
from tests.reconciler.loops.jobs import LoopLab

VM = "vm-0: {{node: pve1, memory: {memory}, restart: allow, tags: [{tag}]}}\n"


class Metered(LoopLab):
    """A lab with one VM whose true traffic the test sums up itself."""

    true: int = 0
    since: float = 0.0

    @property
    def machine(self) -> Machine:
        with self.store() as store:
            return self.world.vms[store.bindings.all()["vm-0"].vmid]

    def moved(self) -> int:
        """Bytes that the guest has received since its last start."""
        one = self.machine
        counted = nic_bytes(self.world.seed, one.vmid, taps(one), self.clock())
        return sum(received for received, _ in counted.values())

    def billed(self, nic: str = WHOLE) -> int:
        with self.store() as store:
            months = sum(one.bytes_in for one in store.usage.months({"vm-0"}) if one.nic == nic)
            meters = store.usage.meters("demo")
            running = [one for vmid, one in meters.by_vmid.items() if nic == WHOLE]
            running += [one for (_, name), one in meters.by_nic.items() if name == nic]
            return months + sum(one.open.bytes_in for one in running)


@pytest.fixture
def lab(tmp_path: Path) -> Metered:
    made = Metered(tmp_path, files("1GiB"))
    made.settle()
    return made


def files(memory: str, tag: str = "a") -> dict[str, str]:
    return {"fleet.yaml": FLEET, "vms/vms.yaml": VM.format(memory=memory, tag=tag)}


def test_use_05_a_day_of_traffic_is_metered_to_the_byte(lab: Metered) -> None:
    for _ in range(24):
        lab.clock.sleep(3600)
        lab.run()
    lab.clock.sleep(20)
    lab.run()
    lag = lab.moved() - lab.billed()
    per_second = lab.moved() / 86_400
    assert 0 <= lag <= 40 * per_second


def test_use_05_a_restart_of_ours_loses_what_passed_since_its_own_sample(lab: Metered) -> None:
    lab.clock.sleep(7200)
    lab.run()
    lab.clock.sleep(1800)
    before, per_second = lab.moved(), lab.moved() / 9_000
    lab.write(files("2GiB"))
    lab.settle()
    lab.clock.sleep(60)
    lab.run()
    true = before + lab.moved()
    assert 0 <= true - lab.billed() <= 300 * per_second


def test_use_05_a_stop_by_somebody_else_is_repaired_from_history(lab: Metered) -> None:
    """What passed before it is found again as far as it is sure, and marked."""
    lab.clock.sleep(3600)
    lab.run()
    lab.clock.sleep(6 * 3600)
    vmid, before = lab.machine.vmid, lab.moved()
    lab.ask("POST", f"/nodes/pve1/qemu/{vmid}/status/stop")
    lab.clock.sleep(120)
    lab.ask("POST", f"/nodes/pve1/qemu/{vmid}/status/start")
    lab.clock.sleep(1200)
    lab.run()
    lost = before + lab.moved() - lab.billed()
    lab.clock.sleep(7200)
    lab.run()
    assert lab.one(collect_statistics()).message.split(", ")[1] == "1 gap repaired"
    left = before + lab.moved() - lab.billed()
    assert 0 <= left < 0.7 * lost
    with lab.store() as store:
        month = [one for one in store.usage.months({"vm-0"}) if one.nic == WHOLE]
        assert month[0].repaired > 0
        assert not any(one.gap.lost for one in store.usage.gaps())


def test_task_06_nics_are_metered_by_one_call_a_node_and_old_hours_go(lab: Metered) -> None:
    """TASK-06, USE-01: no nic counts more than it moved."""
    for _ in range(4):
        lab.clock.sleep(3600)
        lab.run()
        run = lab.wire.run + 1
        assert lab.one(collect_statistics()).status == "success"
        paths = [one.path for one in lab.wire.of(run)]
        assert [path for path in paths if path.endswith("/netstat")] == ["/nodes/pve1/netstat"]
    assert 0 < lab.billed("net0") <= lab.moved()
    lab.clock.sleep(40 * 86_400)
    lab.one(collect_statistics())
    with lab.store() as store:
        now = datetime.fromtimestamp(lab.clock(), UTC)
        assert store.usage.hours(None, now - timedelta(days=60), now - timedelta(days=36)) == ()
        assert store.usage.months({"vm-0"})
