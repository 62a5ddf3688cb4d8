"""High availability: configuration, rounds of the managers, fights, failures and dead nodes.

Cases follow pve-api.md sections 7 (power calls of HA-managed VMs) and 12 (HA), and pve-ha-manager.
"""

from typing import Any

import pytest

from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY, ManualClock
from reconciler.sim.faults.fault import Fault
from reconciler.sim.ha.book import book
from reconciler.sim.samples import demo_world
from tests.sim.conftest import Hands

RESOURCES = "/cluster/ha/resources"


class Cluster(Hands):
    """Three nodes, VMs on shared storage, and the HA stack."""

    def ask(self, method: str, path: str, **params: object) -> Any:
        answer = self.simulator.call(method, path, params)
        return answer.data if answer.status == 200 else f"{answer.status} {answer.reason}"

    def make(self, *vmids: int) -> None:
        for vmid in vmids:
            self.vm(vmid, scsi0="shared:1", memory=512)

    def manage(self, vmid: int, **params: object) -> None:
        assert self.ask("POST", RESOURCES, sid=f"vm:{vmid}", **params) is None

    def wait(self, seconds: float) -> None:
        """Let time pass, second by second."""
        for _second in range(int(seconds)):
            self.clock.pass_by(1)
            self.simulator.world.advance(self.clock.now)

    def state(self, vmid: int) -> str:
        rows = self.ask("GET", "/cluster/ha/status/current")
        return str(next(row["state"] for row in rows if row.get("sid") == f"vm:{vmid}"))

    def power(self, vmid: int) -> tuple[str, str]:
        machine = self.simulator.world.vms[vmid]
        return machine.node, machine.status

    def tasks(self) -> list[str]:
        """Kinds of the tasks of VMs, the newest last."""
        found = [one.kind for one in self.simulator.world.tasks.newest()]
        return [kind for kind in reversed(found) if kind not in ("qmcreate", "qmconfig")]


@pytest.fixture
def cluster(clock: ManualClock) -> Cluster:
    return Cluster(Simulator(demo_world(SOME_DAY, speed=1.0), clock), clock)


@pytest.fixture
def nine(clock: ManualClock) -> Cluster:
    """The same with Proxmox VE 9."""
    world = demo_world(SOME_DAY, speed=1.0)
    for node in world.nodes.values():
        node.version = "9.0.11"
    return Cluster(Simulator(world, clock), clock)


def test_a_resource_is_added_read_changed_and_removed(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200, max_restart=2, comment="web")
    [row] = cluster.ask("GET", RESOURCES)
    digest = row.pop("digest")
    assert row == {"sid": "vm:200", "type": "vm", "max_restart": 2, "comment": "web"}
    assert cluster.ask("GET", f"{RESOURCES}/200")["sid"] == "vm:200"
    path = f"{RESOURCES}/vm:200"
    done = cluster.ask("PUT", path, state="stopped", delete="comment", digest=digest)
    assert done is None
    assert "comment" not in cluster.ask("GET", path)
    stale = cluster.ask("PUT", path, state="started", digest=digest)
    assert stale.startswith("500 update resource failed: detected modified configuration")
    assert cluster.ask("DELETE", path) is None
    assert cluster.ask("DELETE", path) == "500 resource 'vm:200' is not HA managed"
    assert cluster.ask("GET", path) == "500 no such resource 'vm:200'"


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"sid": "vm:999"}, "500 resource 'vm:999' does not exists in cluster"),
        ({"sid": "999"}, "500 unable do add resource - VM/CT 999 does not exist"),
        ({"sid": "vm:abc"}, "500 invalid VMID"),
        ({"sid": "pod:100"}, "500 unknown section type 'pod'"),
        ({"sid": "vm:200", "type": "ct"}, "500 types does not match"),
        ({"sid": "vm:200", "group": "gg"}, "500 HA group 'gg' does not exist"),
        ({"sid": "vm:200", "failback": 1}, "500 unexpected property 'failback'"),
        ({"sid": "nonsense"}, "400 Parameter verification failed."),
    ],
)
def test_what_cannot_be_added(cluster: Cluster, given: dict[str, Any], complaint: str) -> None:
    cluster.make(200)
    assert cluster.ask("POST", RESOURCES, **given) == complaint


def test_a_second_time_and_unknown_options_are_refused(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200)
    text = "500 create resource failed: resource ID 'vm:200' already defined"
    assert cluster.ask("POST", RESOURCES, sid="200") == text
    path = f"{RESOURCES}/vm:200"
    assert cluster.ask("PUT", path, delete="sid") == (
        "500 update resource failed: no such option 'sid'"
    )
    assert cluster.ask("PUT", f"{RESOURCES}/vm:201", state="stopped") == (
        "500 update resource failed: no such resource 'vm:201'"
    )


def test_managing_needs_console_and_reading_audit(cluster: Cluster) -> None:
    call = cluster.simulator.call
    answer = call("POST", RESOURCES, {"sid": "vm:9000"}, "reconcile@pve!fleet")
    assert answer.reason == "Permission check failed (/, Sys.Console)"
    assert call("GET", RESOURCES, {}, "reconcile@pve!fleet").status == 200


def test_a_started_resource_is_started_and_comes_up_again(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200)
    assert cluster.state(200) == "queued"
    cluster.wait(10)
    assert cluster.state(200) == "starting"
    cluster.wait(15)
    assert cluster.power(200) == ("pve1", "running")
    assert cluster.state(200) == "started"
    [row] = [
        row for row in cluster.ask("GET", "/cluster/resources", type="vm") if row["vmid"] == 200
    ]
    assert row["hastate"] == "started"
    cluster.simulator.faults.add(Fault("guest-off", vmid=200))
    assert cluster.power(200)[1] == "stopped"
    cluster.wait(25)
    assert cluster.power(200) == ("pve1", "running"), "it fights back"
    assert cluster.tasks() == ["qmstart", "qmstart"]


def test_nothing_happens_when_nothing_differs(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200)
    cluster.wait(60)
    world = cluster.simulator.world
    before = world.revision
    cluster.wait(300)
    assert world.revision == before
    assert world.tasks.due() is None


def test_power_calls_become_requests(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200)
    cluster.wait(40)
    upid = cluster.call("POST", "/200/status/shutdown").data
    assert ":hastop:200:root@pam:" in upid
    assert cluster.end(upid) == "OK"
    assert cluster.power(200)[1] == "running", "the task only queues the request"
    cluster.wait(100)
    assert cluster.power(200)[1] == "stopped"
    assert cluster.ask("GET", f"{RESOURCES}/vm:200")["state"] == "stopped"
    assert cluster.state(200) == "stopped"
    assert cluster.task("POST", "/200/status/start") == "OK"
    assert cluster.ask("GET", f"{RESOURCES}/vm:200")["state"] == "started"
    cluster.wait(40)
    assert cluster.power(200)[1] == "running"
    assert cluster.task("POST", "/200/status/stop") == "OK"
    cluster.wait(40)
    assert cluster.power(200)[1] == "stopped"
    kinds = ["qmstart", "hastop", "qmshutdown", "hastart", "qmstart", "hastop", "qmstop"]
    assert cluster.tasks() == kinds
    assert cluster.get("/200/status/current")["ha"] == {
        "managed": 1,
        "state": "stopped",
        "group": None,
    }


def test_an_ignored_resource_is_left_to_its_user(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200, state="ignored")
    cluster.wait(30)
    assert cluster.power(200)[1] == "stopped"
    assert cluster.task("POST", "/200/status/start") == "OK"
    assert cluster.tasks() == ["qmstart"]
    assert cluster.state(200) == "ignored"
    assert cluster.ask("DELETE", f"{RESOURCES}/vm:200") == "500 resource 'vm:200' is not HA managed"


def test_a_migration_is_asked_of_the_manager(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200)
    cluster.wait(40)
    upid = cluster.call("POST", "/200/migrate", target="pve2", online=1).data
    assert ":hamigrate:200:" in upid
    assert cluster.end(upid) == "OK"
    assert cluster.power(200)[0] == "pve1"
    cluster.wait(40)
    assert cluster.power(200) == ("pve2", "running")
    assert cluster.ask("POST", f"{RESOURCES}/vm:200/relocate", node="pve3") is None
    cluster.wait(140)
    assert cluster.power(200) == ("pve3", "running")
    assert cluster.tasks()[-3:] == ["qmshutdown", "qmigrate", "qmstart"]
    assert cluster.ask("POST", f"{RESOURCES}/vm:201/migrate", node="pve3") == (
        "500 resource 'vm:201' is not HA managed"
    )


def test_a_migration_that_fails_leaves_the_service_where_it_is(cluster: Cluster) -> None:
    cluster.vm(200, scsi0="local-lvm:1")
    cluster.manage(200)
    cluster.wait(40)
    cluster.ask("POST", f"{RESOURCES}/vm:200/migrate", node="pve2")
    cluster.wait(40)
    assert cluster.power(200) == ("pve1", "running")
    assert cluster.state(200) == "started"
    assert cluster.tasks() == ["qmstart", "qmigrate"]


def test_a_stopped_service_is_migrated_offline(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200, state="stopped")
    cluster.wait(30)
    cluster.ask("POST", f"{RESOURCES}/vm:200/migrate", node="pve2")
    cluster.wait(60)
    assert cluster.power(200) == ("pve2", "stopped")


def test_a_start_that_fails_is_tried_elsewhere_and_ends_in_error(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.simulator.world.vms[200].config["net0"] = "virtio=BC:24:11:00:00:01,bridge=vmbr7"
    cluster.manage(200)
    cluster.wait(200)
    assert cluster.state(200) == "error"
    text = "500 service 'vm:200' in error state, must be disabled and fixed first"
    assert cluster.ask("PUT", f"{RESOURCES}/vm:200", state="stopped") == text
    assert cluster.ask("POST", f"{RESOURCES}/vm:200/migrate", node="pve1") == text
    assert cluster.tasks() == ["qmstart", "qmstart", "qmigrate", "qmstart", "qmstart"]
    cluster.node = "pve2"
    del cluster.simulator.world.vms[200].config["net0"]
    assert cluster.ask("PUT", f"{RESOURCES}/vm:200", state="disabled") is None
    assert cluster.state(200) == "clearing error flag"
    cluster.wait(20)
    assert cluster.state(200) == "disabled"
    assert cluster.ask("PUT", f"{RESOURCES}/vm:200", state="started") is None
    cluster.wait(60)
    assert cluster.power(200)[1] == "running"


def test_a_dead_node_is_fenced_and_its_services_come_up_elsewhere(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200)
    cluster.wait(40)
    world = cluster.simulator.world
    world.touch()
    world.nodes["pve1"].online = False
    cluster.node = "pve2"
    cluster.wait(40)
    assert cluster.state(200) == "started"
    cluster.wait(40)
    assert cluster.state(200) == "fence"
    rows = {row["node"]: row for row in cluster.ask("GET", "/cluster/resources", type="node")}
    assert rows["pve1"]["hastate"] == "fence"
    cluster.wait(90)
    assert cluster.power(200) == ("pve2", "running")
    world.touch()
    world.nodes["pve1"].online = True
    cluster.wait(60)
    assert cluster.power(200) == ("pve2", "running"), "there is no reason to go back"
    assert not book(world).lost


def test_without_quorum_the_managers_do_nothing(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200)
    cluster.simulator.world.quorate = False
    cluster.wait(40)
    assert cluster.power(200)[1] == "stopped"
    rows = cluster.ask("GET", "/cluster/ha/status/current")
    assert rows[0]["status"] == "No quorum on node 'pve1'!"
    cluster.simulator.world.quorate = True
    cluster.wait(40)
    assert cluster.power(200)[1] == "running"


def test_maintenance_empties_a_node_and_brings_services_home(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200)
    cluster.wait(40)
    fault = cluster.simulator.faults.add(Fault("node-maintenance", node="pve1"))
    cluster.wait(40)
    assert cluster.power(200) == ("pve2", "running")
    rows = cluster.ask("GET", "/cluster/ha/status/current")
    said = {row["id"]: row["status"] for row in rows}
    assert said["lrm:pve1"].startswith("pve1 (maintenance mode, ")
    nodes = {row["node"]: row for row in cluster.ask("GET", "/cluster/resources", type="node")}
    assert nodes["pve1"]["hastate"] == "maintenance"
    assert nodes["pve2"]["hastate"] == "online"
    cluster.simulator.faults.remove(fault.id)
    cluster.wait(40)
    assert cluster.power(200) == ("pve1", "running")


def test_groups_say_where(cluster: Cluster) -> None:
    cluster.make(200)
    groups = "/cluster/ha/groups"
    assert cluster.ask("POST", groups, group="gg", nodes="pve3:2,pve2:1") is None
    again = cluster.ask("POST", groups, group="gg", nodes="pve3")
    assert again == "500 create ha group failed: ha group ID 'gg' already defined"
    cluster.manage(200, group="gg")
    cluster.wait(60)
    assert cluster.power(200) == ("pve3", "running")
    text = "500 delete ha group failed: ha group is used by service 'vm:200'"
    assert cluster.ask("DELETE", f"{groups}/gg") == text
    assert cluster.ask("PUT", f"{groups}/gg", nodes="pve1", restricted=1) is None
    cluster.wait(40)
    assert cluster.power(200) == ("pve1", "running")
    [row] = cluster.ask("GET", groups)
    digest = row.pop("digest")
    assert row == {"group": "gg", "nodes": "pve1", "restricted": 1, "type": "group"}
    assert cluster.ask("GET", f"{groups}/gg")["digest"] == digest
    stale = cluster.ask("PUT", f"{groups}/gg", nodes="pve2", digest="0" * 40)
    assert stale.startswith("500 update ha group failed: detected modified")
    for key, complaint in (
        ("nodes", "unable to delete required option 'nodes'"),
        ("colour", "no such option 'colour'"),
    ):
        answer = cluster.ask("PUT", f"{groups}/gg", delete=key)
        assert answer == f"500 update ha group failed: {complaint}"
    assert cluster.ask("PUT", f"{groups}/gg", delete="restricted") is None
    assert cluster.ask("GET", f"{groups}/hh") == "500 no such ha group 'hh'"
    missing = cluster.ask("PUT", f"{groups}/hh", comment="x")
    assert missing == "500 update ha group failed: no such ha group 'hh'"
    wrong = cluster.ask("POST", groups, group="hh", nodes="pve1", type="set")
    assert wrong == "500 types does not match"
    assert cluster.ask("DELETE", f"{groups}/hh") is None


def test_a_bad_group_member_is_named(cluster: Cluster) -> None:
    answer = cluster.simulator.call("POST", "/cluster/ha/groups", {"group": "gg", "nodes": "a_b"})
    assert answer.errors == {
        "nodes": "invalid format - value does not look like a valid ha group node\n"
    }


def test_without_failback_a_service_stays(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.ask("POST", "/cluster/ha/groups", group="gg", nodes="pve1,pve2:5", nofailback=1)
    cluster.manage(200, group="gg")
    cluster.wait(60)
    assert cluster.power(200) == ("pve1", "running")


def test_a_restricted_service_waits_for_its_node(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.ask("POST", "/cluster/ha/groups", group="gg", nodes="pve1", restricted=1)
    cluster.manage(200, group="gg")
    cluster.wait(40)
    world = cluster.simulator.world
    world.touch()
    world.nodes["pve1"].online = False
    cluster.node = "pve2"
    cluster.wait(200)
    assert cluster.state(200) == "recovery"
    world.nodes["pve1"].online = True
    cluster.wait(60)
    assert cluster.state(200) == "started"
    assert cluster.power(200) == ("pve1", "running")


def test_destroying_a_managed_vm_needs_purge(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200, state="disabled")
    refused = cluster.refused("DELETE", "/200")
    why = "used in HA resources and purge parameter not set."
    assert refused == f"500 unable to remove VM 200 - {why}"
    assert cluster.task("DELETE", "/200", purge=1) == "OK"
    assert cluster.ask("GET", RESOURCES) == []
    cluster.wait(30)
    assert book(cluster.simulator.world).services == {}


def test_statuses_are_listed(cluster: Cluster) -> None:
    assert [row["id"] for row in cluster.ask("GET", "/cluster/ha")] == [
        "status",
        "resources",
        "groups",
    ]
    assert cluster.ask("GET", "/cluster/ha/status")[0] == {"name": "current"}
    [quorum] = cluster.ask("GET", "/cluster/ha/status/current")
    assert quorum["status"] == "OK"
    assert cluster.ask("GET", "/cluster/ha/status/manager_status")["manager_status"] == {}
    cluster.make(200)
    cluster.manage(200)
    cluster.wait(40)
    rows = cluster.ask("GET", "/cluster/ha/status/current")
    ids = ["quorum", "master", "lrm:pve1", "lrm:pve2", "lrm:pve3", "service:vm:200"]
    assert [row["id"] for row in rows] == ids
    assert rows[-1]["request_state"] == "started"
    assert rows[3]["status"].startswith("pve2 (idle, ")
    status = cluster.ask("GET", "/cluster/ha/status/manager_status")
    assert status["manager_status"]["service_status"]["vm:200"]["state"] == "started"
    assert status["lrm_status"]["pve1"]["state"] == "active"


def test_a_saved_world_keeps_its_services(cluster: Cluster) -> None:
    world_type = type(cluster.simulator.world)
    cluster.make(200)
    cluster.manage(200)
    cluster.wait(12)
    restored = world_type.load(cluster.simulator.world.dump())
    cluster.simulator = Simulator(restored, cluster.clock)
    cluster.wait(30)
    assert cluster.power(200) == ("pve1", "running")


def test_rules_say_where_from_nine_on(nine: Cluster) -> None:
    nine.make(200, 201)
    rules = "/cluster/ha/rules"
    nine.manage(200)
    given = {"rule": "home", "type": "node-affinity", "nodes": "pve3:2,pve2", "strict": 1}
    unmanaged = nine.ask("POST", rules, resources="vm:200,vm:201", **given)
    assert unmanaged == "500 create ha rule failed: cannot use unmanaged resource(s) vm:201."
    nine.manage(201)
    elsewhere = nine.ask("POST", rules, **{**given, "nodes": "pve9"}, resources="vm:200")
    assert elsewhere == "500 create ha rule failed: cannot use non-existant node(s) pve9."
    assert nine.ask("POST", rules, resources="vm:200", **given) is None
    again = nine.ask("POST", rules, resources="vm:200", **given)
    assert again == "500 create ha rule failed: HA rule 'home' already defined"
    nine.wait(60)
    assert nine.power(200) == ("pve3", "running")
    found = nine.ask("GET", f"{rules}/home")
    found.pop("digest")
    assert found == {
        "rule": "home",
        "type": "node-affinity",
        "nodes": "pve2,pve3:2",
        "resources": "vm:200",
        "strict": 1,
        "affinity": "positive",
        "order": 1,
    }
    blocked = nine.simulator.call("GET", "/nodes/pve3/qemu/200/migrate").data
    cause = {"blocking-ha-resources": [{"sid": "vm:200", "cause": "node-affinity"}]}
    assert blocked["not_allowed_nodes"]["pve1"] == cause
    assert blocked["dependent-ha-resources"] == []
    assert nine.ask("GET", rules, resource="vm:201") == []
    assert nine.ask("DELETE", f"{rules}/home") is None
    assert nine.ask("GET", f"{rules}/home") == "500 no such ha rule 'home'"


def test_resources_keep_together_or_apart(nine: Cluster) -> None:
    nine.make(200, 201)
    for vmid in (200, 201):
        nine.manage(vmid)
    nine.wait(40)
    rules = "/cluster/ha/rules"
    both = {"type": "resource-affinity", "resources": "vm:200,vm:201"}
    assert nine.ask("POST", rules, rule="apart", affinity="negative", **both) is None
    nine.wait(60)
    assert nine.power(200)[0] != nine.power(201)[0]
    seen = nine.simulator.call("GET", "/nodes/pve1/qemu/200/migrate").data
    there = nine.power(201)[0]
    cause = {"sid": "vm:201", "cause": "resource-affinity"}
    assert seen["not_allowed_nodes"][there] == {"blocking-ha-resources": [cause]}
    answer = nine.simulator.call("POST", rules, {"rule": "near", "affinity": "positive", **both})
    assert answer.reason == "Rule 'near' is invalid."
    shared = "rule shares two or more resources with a negative resource affinity rule"
    assert answer.errors == {"resources": shared}
    assert nine.ask("PUT", f"{rules}/apart", affinity="positive") is None
    nine.wait(60)
    assert nine.power(200)[0] == nine.power(201)[0]


def test_rules_that_make_no_sense(nine: Cluster) -> None:
    nine.make(200, 201)
    nine.manage(200)
    nine.manage(201)
    rules = "/cluster/ha/rules"
    call = nine.simulator.call

    def wrong(**given: object) -> Any:
        return call("POST", rules, {"rule": "rr", **given}).errors

    alone = wrong(type="resource-affinity", affinity="positive", resources="vm:200")
    assert alone == {"resources": "rule is ineffective as there are less than two resources"}
    base = {"type": "node-affinity", "nodes": "pve1", "resources": "vm:200"}
    assert nine.ask("POST", rules, rule="aa", **base) is None
    twice = wrong(**base)
    text = "resource 'vm:200' is already used in another node affinity rule"
    assert twice == {"resources": text}
    assert nine.ask("POST", rules, rule="bb", disable=1, **base) is None
    missing = nine.ask("POST", rules, rule="cc", type="node-affinity", nodes="pve1")
    assert missing == "500 missing value for required option 'resources'"
    odd = nine.ask("POST", rules, rule="cc", type="resource-affinity", nodes="pve1")
    assert odd == "500 unexpected property 'nodes'"
    head = "500 update HA rules failed: "
    path = f"{rules}/aa"
    assert nine.ask("PUT", f"{rules}/zz", comment="x") == f"{head}HA rule 'zz' does not exist"
    assert nine.ask("PUT", path, digest="0" * 40).startswith(f"{head}detected modified")
    kind = nine.ask("PUT", path, type="resource-affinity")
    assert kind == f"{head}can't change value of fixed parameter 'type'"
    assert nine.ask("PUT", path, delete="nodes") == (
        f"{head}unable to delete required option 'nodes'"
    )
    assert nine.ask("PUT", path, delete="colour") == f"{head}no such option 'colour'"
    assert nine.ask("PUT", path, comment="x") is None
    assert nine.ask("PUT", path, delete="comment") is None


def test_each_version_knows_its_own(cluster: Cluster, nine: Cluster) -> None:
    assert cluster.ask("GET", "/cluster/ha/rules") == (
        "501 Method 'GET /cluster/ha/rules' not implemented"
    )
    gone = nine.ask("GET", "/cluster/ha/groups")
    assert gone == "500 cannot index groups: ha groups have been migrated to rules"
    nine.make(200)
    refused = nine.ask("POST", RESOURCES, sid="vm:200", group="gg")
    assert refused == "500 invalid parameter 'group': ha groups have been migrated to rules"
    nine.manage(200, failback=0)
    nine.wait(40)
    moved = nine.ask("POST", f"{RESOURCES}/vm:200/migrate", node="pve2")
    assert moved == {"sid": "vm:200", "requested-node": "pve2"}
    assert "group" not in nine.get("/200/status/current")["ha"]
    assert [row["id"] for row in nine.ask("GET", "/cluster/ha")][-1] == "rules"


def test_a_relocation_that_cannot_be_ends_in_error_too(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.simulator.world.vms[200].config["hostpci0"] = "0000:99:00.0"
    cluster.manage(200)
    cluster.wait(200)
    assert cluster.state(200) == "error"
    assert cluster.power(200) == ("pve1", "stopped")


def test_a_service_that_somebody_moved_is_found_where_it_is(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200)
    cluster.wait(40)
    cluster.simulator.faults.add(Fault("ha-move", vmid=200, node="pve3"))
    cluster.wait(20)
    rows = cluster.ask("GET", "/cluster/ha/status/current")
    assert rows[-1]["node"] == "pve3"
    assert cluster.power(200) == ("pve3", "running")
    assert cluster.simulator.world.tasks.due() is None


def test_a_request_for_a_resource_that_has_gone_fails(cluster: Cluster) -> None:
    cluster.make(200)
    cluster.manage(200)
    upids = [
        cluster.call("POST", "/200/status/start").data,
        cluster.call("POST", "/200/status/stop").data,
        cluster.call("POST", "/200/migrate", target="pve2").data,
    ]
    cluster.ask("DELETE", f"{RESOURCES}/vm:200")
    said = ("set vm:200 --state started", "crm-command stop vm:200 0", "migrate vm:200 pve2")
    for upid, command in zip(upids, said, strict=True):
        assert cluster.end(upid) == f"command 'ha-manager {command}' failed: exit code 255"


def test_a_resource_that_goes_leaves_its_rules(nine: Cluster) -> None:
    nine.make(200, 201, 202)
    for vmid in (200, 201, 202):
        nine.manage(vmid, state="stopped")
    rules = "/cluster/ha/rules"
    pair = {"type": "resource-affinity", "affinity": "positive"}
    nine.ask("POST", rules, rule="three", resources="vm:200,vm:201,vm:202", **pair)
    nine.ask("POST", rules, rule="two", resources="vm:201,vm:202", **pair)
    assert nine.ask("DELETE", f"{RESOURCES}/vm:202") is None
    [left] = nine.ask("GET", rules)
    assert (left["rule"], left["resources"]) == ("three", "vm:200,vm:201")
