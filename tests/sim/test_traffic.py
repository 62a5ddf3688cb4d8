"""Counters, their resets, histories and exports.

Cases follow pve-api.md sections 4 (metrics, netstat, execute) and 11 (what resets a counter).
"""

import json
from typing import Any

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.cluster.traffic import Flow, flow
from reconciler.sim.samples import demo_world
from tests.sim.conftest import Hands


class Meter(Hands):
    """One running VM with two NICs, and what is told of it."""

    def netstat(self, node: str = "pve1") -> dict[str, tuple[int, int]]:
        rows = self.simulator.call("GET", f"/nodes/{node}/netstat").data
        return {row["dev"]: (int(row["in"]), int(row["out"])) for row in rows}

    def wait(self, seconds: float) -> None:
        self.clock.pass_by(seconds)
        self.simulator.world.advance(self.clock.now)

    def history(self, frame: str, **params: object) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/200/rrddata", timeframe=frame, **params)
        return found


@pytest.fixture
def meter(clock: ManualClock) -> Meter:
    made = Meter(Simulator(demo_world(SOME_DAY, speed=1.0), clock), clock)
    made.task("POST", "/9000/clone", newid=200)
    made.call("PUT", "/200/config", net1="virtio,bridge=vmbr0")
    made.task("POST", "/200/status/start")
    made.wait(600)
    return made


def test_a_flow_is_exact_additive_and_seeded() -> None:
    one = flow(7, 100, "net0", "in")
    assert one == flow(7, 100, "net0", "in") != flow(8, 100, "net0", "in")
    whole, parts = one.total(0, 5000), one.total(0, 1234) + one.total(1234, 5000)
    assert whole == pytest.approx(parts)
    assert one.total(5, 5) == one.total(9, 5) == 0
    steady = Flow(100.0, 0.0)
    assert steady.total(0, 86400) == pytest.approx(8_640_000), "a day's wave evens out"
    assert steady.rate(0) == 100


def test_counters_rise_and_are_the_same_wherever_they_are_read(meter: Meter) -> None:
    before = meter.netstat()
    meter.wait(100)
    after = meter.netstat()
    assert all(after[dev][0] > before[dev][0] for dev in ("net0", "net1"))
    current = meter.get("/200/status/current")
    assert current["netin"] == sum(pair[0] for pair in after.values())
    assert current["nics"]["tap200i1"] == {"netin": after["net1"][0], "netout": after["net1"][1]}
    rows = meter.simulator.call("GET", "/cluster/resources", {"type": "vm"}).data
    [row] = [row for row in rows if row["vmid"] == 200]
    assert 0 < row["netin"] <= current["netin"]


def test_a_stop_and_start_begins_anew(meter: Meter) -> None:
    before = meter.netstat()
    meter.task("POST", "/200/status/stop")
    assert meter.netstat() == {}
    meter.task("POST", "/200/status/start")
    assert meter.netstat()["net0"][0] < before["net0"][0]


def test_a_reset_of_the_guest_keeps_counting(meter: Meter) -> None:
    before = meter.netstat()
    meter.task("POST", "/200/status/reset")
    assert meter.netstat()["net0"][0] >= before["net0"][0]


def test_a_replugged_nic_drops_only_its_own_share(meter: Meter) -> None:
    before = meter.netstat()
    assert meter.call("PUT", "/200/config", net1="virtio=BC:24:11:00:00:09,bridge=vmbr0").ok
    after = meter.netstat()
    assert after["net1"] == (0, 0)
    assert after["net0"] == before["net0"]
    assert meter.call("PUT", "/200/config", net1="virtio=BC:24:11:00:00:09,bridge=vmbr0,rate=5").ok
    meter.wait(10)
    assert meter.netstat()["net1"][0] > 0, "a new rate keeps the tap"


def test_a_migration_begins_anew_on_the_target(meter: Meter) -> None:
    before = meter.netstat()
    done = meter.task("POST", "/200/migrate", target="pve2", online=1, with_local_disks=1)
    assert done == "OK"
    assert meter.netstat() == {}
    assert 0 < meter.netstat("pve2")["net0"][0] < before["net0"][0]


def test_a_history_has_holes_where_nothing_ran(meter: Meter) -> None:
    meter.task("POST", "/200/status/stop")
    meter.wait(300)
    meter.task("POST", "/200/status/start")
    meter.wait(300)
    rows = meter.history("hour")
    assert len(rows) == 70
    assert {one["time"] - other["time"] for one, other in zip(rows[1:], rows, strict=False)} == {60}
    assert rows[0] == {"time": rows[0]["time"]}, "before the VM was made"
    ran = [row for row in rows if "netin" in row]
    still = [row for row in rows if "maxmem" in row and "netin" not in row]
    assert len(still) >= 4
    assert 13 <= len(ran) <= 16
    assert set(ran[0]) == {
        *("time", "maxcpu", "maxmem", "maxdisk", "disk", "cpu", "mem"),
        *("netin", "netout", "diskread", "diskwrite"),
    }


def test_averages_add_up_to_the_counters(meter: Meter) -> None:
    meter.wait(1800)
    counted = meter.get("/200/status/current")["netin"]
    rows = [row for row in meter.history("hour") if "netin" in row]
    total = sum(row["netin"] * 60 for row in rows)
    assert total == pytest.approx(counted, rel=0.06)


def test_coarser_frames_and_maxima(meter: Meter) -> None:
    meter.wait(86400)
    mean = meter.history("day", cf="AVERAGE")[-5]["netin"]
    highest = meter.history("day", cf="MAX")[-5]["netin"]
    assert highest >= mean
    for frame in ("week", "month", "year"):
        assert len(meter.history(frame)) == 70
    assert meter.refused("GET", "/200/rrddata").startswith("timeframe: property is missing")
    assert meter.get("/999/rrddata", timeframe="hour") == []


def test_nine_keeps_finer_buckets_and_the_hosts_view(meter: Meter) -> None:
    for node in meter.simulator.world.nodes.values():
        node.version = "9.0.11"
    assert len(meter.history("day")) == 1440
    assert "memhost" in meter.history("hour")[-2]


def test_histories_of_nodes_and_storages(meter: Meter) -> None:
    call = meter.simulator.call
    rows = call("GET", "/nodes/pve1/rrddata", {"timeframe": "decade"}).data
    assert rows[-1]["maxcpu"] == 32
    assert call("GET", "/nodes/pve9/rrddata", {"timeframe": "hour"}).data == []
    path = "/nodes/pve1/storage/{}/rrddata"
    assert call("GET", path.format("shared"), {"timeframe": "hour"}).data[-1]["total"] > 0
    assert call("GET", path.format("nope"), {"timeframe": "hour"}).data == []


def test_metrics_are_exported_as_counters(meter: Meter) -> None:
    def export(**params: object) -> list[dict[str, Any]]:
        answer = meter.simulator.call("GET", "/cluster/metrics/export", params)
        assert answer.status == 200, answer
        rows: list[dict[str, Any]] = answer.data["data"]
        return rows

    mine = {row["metric"]: row for row in export() if row["id"] == "qemu/200"}
    assert set(mine) == {
        *("uptime", "cpu_current", "cpu_max", "mem_used", "mem_total", "disk_total"),
        *("net_in", "net_out", "disk_read", "disk_write"),
    }
    assert mine["net_in"]["type"] == "derive"
    assert mine["uptime"]["type"] == "gauge"
    stamp = mine["net_in"]["timestamp"]
    assert export(**{"start-time": stamp + 1}) == []
    series = [
        row for row in export(history=1) if (row["id"], row["metric"]) == ("qemu/200", "net_in")
    ]
    stamps = [row["timestamp"] for row in series]
    assert stamps[-1] == stamp and len(stamps) > 50
    assert {one - other for one, other in zip(stamps[1:], stamps, strict=False)} == {10}
    values = [row["value"] for row in series]
    assert values == sorted(values)
    some = export(history=1, **{"start-time": stamp - 20})
    assert sorted({row["timestamp"] for row in some}) == [stamp - 10, stamp]
    local = {row["id"] for row in export(**{"local-only": 1})}
    assert "node/pve1" in local and "node/pve2" not in local
    listed = {row["id"] for row in export(**{"node-list": "pve2"})}
    assert "node/pve2" in listed and "qemu/200" not in listed
    wrong = meter.simulator.call("GET", "/cluster/metrics/export", {"node-list": "pve9"})
    assert wrong.status == 500


def test_an_older_cluster_exports_nothing(meter: Meter) -> None:
    meter.simulator.world.nodes["pve1"].version = "8.2.4"
    assert meter.simulator.call("GET", "/cluster/metrics/export").status == 501


def test_many_calls_in_one(meter: Meter) -> None:
    def run(*commands: object, who: str = "root@pam") -> Any:
        given = {"commands": json.dumps(commands)}
        return meter.simulator.call("POST", "/nodes/pve1/execute", given, who)

    answers = run(
        {"path": "qemu/200/config", "method": "GET", "args": {}},
        {"path": "qemu/9001/config", "method": "GET"},
        {"path": "qemu/200/rrddata", "method": "GET"},
        {"path": "nope", "method": "GET"},
        {"path": "qemu/200/config", "method": "PUT", "args": {"description": "x"}},
        "nonsense",
        {"path": "tasks", "method": "GET"},
    ).data
    assert [one["status"] for one in answers] == [200, 500, 400, 500, 200, 500, 200]
    assert answers[0]["data"]["name"] == "Copy-of-VM-debian-12"
    missing = "Configuration file 'nodes/pve1/qemu-server/9001.conf' does not exist"
    assert answers[1]["message"].startswith(missing), "nothing is proxied"
    assert "timeframe" in answers[2]["errors"]
    assert answers[3]["message"] == "no handler for 'nodes/pve1/nope'\n"
    assert meter.config(200)["description"] == "x"
    refused = run(who="root@pam!t").reason
    assert refused == "Permission check failed (user != root@pam)"
    for text, complaint in (("{", "did not contain valid JSON"), ("{}", "is not an array")):
        answer = meter.simulator.call("POST", "/nodes/pve1/execute", {"commands": text})
        assert answer.errors is not None and complaint in answer.errors["commands"]


def test_a_locked_vm_among_many_calls_waits_for_nobody(meter: Meter) -> None:
    meter.call("POST", "/200/status/shutdown")
    command = {"path": "qemu/200/config", "method": "PUT", "args": {"cores": 3}}
    given = {"commands": json.dumps([command])}
    [answer] = meter.simulator.call("POST", "/nodes/pve1/execute", given).data
    assert answer["status"] == 500
    assert "can't lock file" in answer["message"]
