"""Changes over HTTPS while the cluster has its troubles; and what a change costs in calls."""

from pathlib import Path

import pytest

from tests.grounds import Grounds
from tests.laws.fleets import fleet_files
from tests.scenarios.conftest import Open
from tests.scenarios.test_change_package import LARGER, SMALL, made

BEFORE = "web: {memory: 1GiB, restart: allow, disks: {system: {size: 8GiB}}}\n"
AFTER = """\
web:
  memory: 2GiB
  cpu: {cores: 2}
  restart: allow
  disks: {system: {size: 9GiB, iops_rd: 500}, scsi1: {size: 4GiB}}
  nics: {net0: {rate: 12.5MB/s, ipv4: {pool: public-v4}}}
  firewall: {policy_in: DROP, ipfilter: true, rules: [{in: ACCEPT, proto: tcp, dport: 22}]}
  tags: [gold]
"""


def power(grounds: Grounds) -> list[str]:
    """Our stops and starts, in order; the first start is the deploy's."""
    tasks = grounds.world().tasks.all.values()
    ours = [one for one in tasks if one.user.startswith("reconcile@pve")]
    return [one.kind for one in ours if one.kind in ("qmstart", "qmshutdown", "qmstop")][1:]


Faults = list[dict[str, object]]
LOST: Faults = [{"kind": "drop-after", "method": "PUT", "path": "*/config"}]
LOST_POWER: Faults = [
    {"kind": "drop-after", "method": "POST", "path": "*/status/*", "times": 2},
]
UNREAD: Faults = [
    {"kind": "error-before", "method": "GET", "path": "*/pending", "status": 596, "times": 2},
    {"kind": "task-fail", "task": "resize", "text": "got timeout"},
]
FAILING: Faults = [
    {"kind": "error-after", "method": "PUT", "path": "*/resize", "status": 500},
    {"kind": "error-before", "method": "POST", "path": "*/config", "status": 503},
    {"kind": "task-fail", "task": "qmstart", "text": "start failed: got timeout"},
]
nightly = pytest.mark.nightly


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(LOST, id="lost-write"),
        pytest.param(LOST_POWER, id="lost-power-answers", marks=nightly),
        pytest.param(UNREAD, id="unread", marks=nightly),
        pytest.param(FAILING, id="failing-steps"),
    ],
)
def test_cp_09_a_change_through_faults_lands_whole_with_one_restart(
    scene: Open, faults: Faults
) -> None:
    """CP-09, DEP-08: tried again until it lands; the guest is stopped once."""
    grounds = scene(BEFORE)
    grounds.settle()
    for fault in faults:
        grounds.fault(**fault)  # type: ignore[arg-type]
    grounds.write({"vms/vms.yaml": AFTER})
    grounds.settle(runs=12, apart=400.0)
    shot = grounds.shot()["vms"][100]
    config = shot["config"]
    assert (config["memory"], config["cores"], shot["pending"]) == ("2048", "2", {})
    assert "size=9G" in config["scsi0"] and "iops_rd=500" in config["scsi0"]
    assert "size=4G" in config["scsi1"] and "rate=12.5" in config["net0"]
    assert shot["firewall"]["options"]["policy_in"] == "DROP"
    assert power(grounds).count("qmshutdown") == 1
    assert shot["status"] == "running"
    with grounds.store() as store:
        assert len(store.outbox.past("vm_changed")) == 1


def test_cp_12_an_upgrade_of_memory_with_a_restart_costs_few_calls(tmp_path: Path) -> None:
    """CP-12: one write, a stop and a start; what is read does not grow with the wait."""
    lab = made(tmp_path, SMALL)
    lab.run()
    lab.wire.calls.clear()
    lab.write(fleet_files({"a": LARGER}))
    summary = lab.run()
    assert (summary.ready, summary.writes) == (1, 3)
    assert summary.reads <= 30
    quiet = lab.run()
    assert (quiet.ready, quiet.writes) == (1, 0)
