"""What guests that are gone have left: found on the simulated cluster, and told how to remove."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest

from reconciler.pve.inprocess import InProcessApi
from reconciler.sim.api import Simulator
from reconciler.sim.clock import SOME_DAY
from reconciler.sim.samples import demo_world
from reconciler.zombies.search import Search
from reconciler.zombies.zombie import Ended, Known, Zombie
from state.api import Forbidden, Json, MaybeRunning, NotFound, Refused
from tests.engine import Answers
from tests.orphanage import TINY, Orphanage

AT = datetime(2026, 3, 1, tzinfo=UTC)


def lost(folder: Path) -> Orphanage:
    """VM 100 and VM 101 run; then somebody takes away the config file of 101 on its node."""
    lab = Orphanage(folder, {"a": TINY, "b": {**TINY, "cloudinit": {"user": "ops"}}})
    lab.settle()
    lab.ask("POST", "/cluster/ha/resources", sid="vm:101", state="ignored")
    lab.ask("POST", "/cluster/backup", id="both", vmid="100,101", schedule="daily", storage="local")
    lab.ask("POST", "/cluster/backup", id="all", all=1, exclude="101", schedule="daily")
    lab.ask("POST", "/cluster/backup", id="mine", vmid="101", schedule="daily")
    lab.ask("PUT", "/access/acl", path="/vms/101", users="root@pam", roles="PVEVMUser")
    lab.ask("PUT", "/access/acl", path="/vms/100", users="root@pam", roles="PVEVMUser")
    return lab


def remove_config(lab: Orphanage, vmid: int = 101) -> None:
    """`rm /etc/pve/qemu-server/101.conf`, as no API call does it."""
    del lab.world.vms[vmid]
    lab.clock.sleep(60.0)


def searched(lab: Orphanage, known: Known | None = None) -> Search:
    root = InProcessApi(lab.simulator, "root@pam")
    return Search("demo", root, known or Known())


def test_a_cluster_in_order_has_none(tmp_path: Path) -> None:
    search = searched(lost(tmp_path))
    assert (search.zombies(), search.problems) == ([], [])


def test_what_a_vm_left_is_found_with_how_to_remove_it(tmp_path: Path) -> None:
    lab = lost(tmp_path)
    node = lab.world.vms[101].node
    remove_config(lab)
    search = searched(lab)
    found = {(one.kind, one.what): one for one in search.zombies()}
    assert {one.vmid for one in found.values()} == {101}
    assert search.problems == []
    how = {f"{kind} {what}": one.how for (kind, what), one in found.items()}
    assert how == {
        "volume local-lvm:vm-101-cloudinit": "pvesm free local-lvm:vm-101-cloudinit",
        "volume local-lvm:vm-101-disk-0": "pvesm free local-lvm:vm-101-disk-0",
        "ha vm:101": "ha-manager remove vm:101",
        "backup job all": "pvesh set /cluster/backup/all --delete exclude",
        "backup job both": "pvesh set /cluster/backup/both --vmid 100",
        "backup job mine": "pvesh delete /cluster/backup/mine",
        "acl PVEVMUser for root@pam": (
            "pveum acl delete /vms/101 --users root@pam --roles PVEVMUser"
        ),
    }
    disk = found["volume", "local-lvm:vm-101-disk-0"]
    assert (disk.node, disk.size > 0, disk.kept) == (node, True, "")


def test_backups_are_told_with_why_they_may_stay(tmp_path: Path) -> None:
    lab = lost(tmp_path)
    node = lab.world.vms[101].node
    task = lab.ask("POST", f"/nodes/{node}/vzdump", vmid="101", storage="local", mode="stop")
    lab.clock.sleep(3600.0)
    assert task
    (volid,) = (
        str(row["volid"])
        for row in lab.ask("GET", f"/nodes/{node}/storage/local/content", content="backup")  # type: ignore[attr-defined]
    )
    lab.ask("PUT", f"/nodes/{node}/storage/local/content/{volid}", protected=1)
    remove_config(lab)
    known = Known(ended={101: Ended("b", AT)})
    (one,) = (each for each in searched(lab, known).zombies() if each.kind == "backup")
    assert one.kept == (
        "of b, ended 2026-03-01: kept by its `terminate`, protected: take that off first"
    )
    assert (one.what, one.node, one.made_at is not None) == (volid, node, True)


def test_what_is_bound_or_not_free_is_no_zombie(tmp_path: Path) -> None:
    lab = lost(tmp_path)
    remove_config(lab)
    assert searched(lab, Known(bound=frozenset({101}))).zombies() == []


def test_a_vm_that_the_token_may_not_see_is_there_all_the_same(tmp_path: Path) -> None:
    """Nothing lists it for that token, but `nextid` does not give its id away."""
    api = cluster(nextid=Refused("VM 7 already exists", 400))
    search = Search("demo", api)
    assert (search.zombies(), search.problems) == ([], [])


CLUSTER: dict[str, Json] = {"type": "cluster", "quorate": 1}
STORAGE: dict[str, Json] = {
    "type": "storage",
    "storage": "nas",
    "node": "pve1",
    "status": "available",
    "shared": 1,
}
DISK: dict[str, Json] = {"volid": "nas:7/vm-7-disk-0.raw", "vmid": 7, "content": "images"}


def cluster(
    more: Mapping[str, object] = MappingProxyType({}), quorate: int = 1, nextid: object = "7"
) -> Answers:
    """Two nodes that share a storage with one disk, of VM 7."""
    dead = {**STORAGE, "storage": "dead", "status": "unknown"}
    answers = {
        "/cluster/status": [[{**CLUSTER, "quorate": quorate}]],
        "/cluster/resources": [[STORAGE, {**STORAGE, "node": "pve2"}, dead]],
        "/cluster/nextid": [nextid],
        "/nodes/pve1/storage/nas/content": [[DISK]],
        **{path: [answer] for path, answer in more.items()},
    }
    return Answers(answers)  # type: ignore[arg-type]


def test_a_shared_storage_is_asked_once_and_a_dead_one_not_at_all() -> None:
    api = cluster()
    (one,) = Search("demo", api).zombies()
    assert (one.what, one.node) == ("nas:7/vm-7-disk-0.raw", "")
    assert [path for path in api.got if "content" in path] == ["/nodes/pve1/storage/nas/content"]


def test_a_guest_of_another_cluster_may_own_what_a_shared_storage_holds() -> None:
    assert Search("demo", cluster(), Known(elsewhere=frozenset({7}))).zombies() == []


def test_without_a_quorum_nothing_is_taken_for_gone() -> None:
    search = Search("demo", cluster(quorate=0))
    assert search.zombies() == []
    assert search.problems == ["cluster demo: it has no quorum, so nothing may be taken for gone"]


@pytest.mark.parametrize(
    ("rest", "how"),
    [
        ("", "ha-manager rules remove apart"),
        (",vm:8", "ha-manager rules set resource-affinity apart --resources vm:8"),
    ],
)
def test_rules_and_replication_jobs_are_found_too(rest: str, how: str) -> None:
    rule = {"rule": "apart", "type": "resource-affinity", "resources": f"vm:7{rest}"}
    api = cluster(
        {
            "/cluster/ha/rules": [rule],
            "/cluster/replication": [{"id": "7-0", "guest": 7}],
        }
    )
    found = [one for one in Search("demo", api).zombies() if one.vmid == 7]
    told = [(one.kind, one.how) for one in found]
    assert told[1:] == [("ha rule", how), ("replication", "pvesr delete 7-0 --force")]


def test_what_could_not_be_asked_is_said_but_not_what_a_version_lacks() -> None:
    api = cluster(
        {
            "/cluster/ha/resources": Forbidden("Permission check failed (/, Sys.Audit)", 403),
            "/cluster/ha/rules": NotFound("no such path", 404),
            "/cluster/backup": MaybeRunning("cut", 596),
            "/cluster/replication": Refused("Method not implemented", 501),
            "/access/acl": [{"path": "/", "type": "user", "ugid": "a@pve", "roleid": "Admin"}],
        }
    )
    search = Search("demo", api)
    assert len(search.zombies()) == 1
    assert search.problems == [
        "cluster demo: /cluster/ha/resources: Permission check failed (/, Sys.Audit)",
        "cluster demo: /cluster/backup: cut",
    ]


def test_where_it_is_not_known_whether_an_id_is_free_nothing_is_told() -> None:
    search = Search("demo", cluster(nextid=MaybeRunning("cut", 596)))
    assert search.zombies() == []
    assert search.problems == ["cluster demo: whether 7 is free: cut"]


def test_no_simulated_node_can_replicate() -> None:
    """GET /cluster/replication: a list without a job, for whoever asks."""
    world = demo_world(SOME_DAY, nodes=1)
    answer = Simulator(world, lambda: SOME_DAY).call("GET", "/cluster/replication", {})
    assert (answer.ok, answer.data) == (True, [])


def test_a_zombie_is_told_once() -> None:
    rows = [{"path": "/vms/7", "type": "user", "ugid": "a@pve", "roleid": "Admin"}] * 2
    found = Search("demo", cluster({"/access/acl": rows})).zombies()
    assert [one.kind for one in found] == ["volume", "acl"]
    assert isinstance(found[0], Zombie)
