"""Pools: members, moves, nesting, rights."""

from typing import Any

import pytest

from reconciler.sim.accounts import pools
from reconciler.sim.accounts.access import Grant, User
from reconciler.sim.api import Answer, Simulator
from reconciler.sim.cluster.guests import Guests
from reconciler.sim.firewall import options as firewall_options
from reconciler.sim.samples import recorded_world
from reconciler.sim.vm.machine import Machine

CALLS = (firewall_options, pools)
NOW = 1_800_000_000.0
ALICE = "alice@pve"


@pytest.fixture
def cluster() -> Simulator:
    """Two VMs, the pool `cust`, and alice who may do nothing yet."""
    cluster = Simulator(recorded_world(NOW), lambda: NOW)
    cluster.world.vms = Guests({vmid: Machine(vmid, "pve1") for vmid in (140, 145)})
    cluster.world.access.users[ALICE] = User()
    ok(cluster.call("POST", "/pools", {"poolid": "cust", "comment": "c"}))
    return cluster


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer
    return answer.data


def reason(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.reason


def grant(cluster: Simulator, path: str, role: str) -> None:
    cluster.world.access.grants.append(Grant(path, "user", ALICE, role))
    cluster.world.access.changed()


def put(cluster: Simulator, who: str = "root@pam", **params: str) -> Answer:
    fields = {key.replace("_", "-"): value for key, value in params.items()}
    return cluster.call("PUT", "/pools", {"poolid": "cust", **fields}, who)


def ids(cluster: Simulator, **params: str) -> list[str]:
    rows = ok(cluster.call("GET", "/pools", {"poolid": "cust", **params}))
    return [row["id"] for row in rows[0]["members"]]


def test_a_pool_is_listed_with_its_comment_and_read_with_its_members(cluster: Simulator) -> None:
    ok(put(cluster, vms="140", storage="local", comment="d"))
    assert ok(cluster.call("GET", "/pools")) == [{"poolid": "cust", "comment": "d"}]
    read = ok(cluster.call("GET", "/pools/cust"))
    assert [row["id"] for row in read["members"]] == ["qemu/140", "storage/pve1/local"]
    assert ok(cluster.call("GET", "/pools", {"poolid": "cust"})) == [read]


def test_members_are_shown_by_type(cluster: Simulator) -> None:
    ok(put(cluster, vms="140", storage="local"))
    assert ids(cluster, type="qemu") == ["qemu/140"]
    assert ids(cluster, type="storage") == ["storage/pve1/local"]
    assert ids(cluster, type="lxc") == []
    answer = cluster.call("GET", "/pools", {"type": "qemu"})
    assert answer.errors == {"poolid": "missing property - 'type' requires this property"}


def test_a_young_member_is_shown_without_lock_and_tags(cluster: Simulator) -> None:
    cluster.world.vms[140].config |= {"lock": "clone", "tags": "a"}
    ok(put(cluster, vms="140"))
    assert ok(cluster.call("GET", "/pools/cust"))["members"] == [
        {"id": "qemu/140", "vmid": 140, "node": "pve1", "type": "qemu", "status": "unknown"}
    ]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"vms": "140"}, "VM 140 is already a pool member"),
        ({"vms": "145", "delete": "1"}, "VM 145 is not a pool member"),
        ({"storage": "local"}, "Storage 'local' is already a pool member"),
        ({"storage": "store2", "delete": "1"}, "Storage 'store2' is not a pool member"),
    ],
)
def test_a_wrong_change_of_members_changes_nothing(
    cluster: Simulator, params: dict[str, str], text: str
) -> None:
    ok(put(cluster, vms="140", storage="local"))
    answer = put(cluster, comment="new", **params)
    assert reason(answer) == (500, f"update pools failed: {text}")
    assert cluster.world.pools["cust"].comment == "c"


def test_members_are_removed(cluster: Simulator) -> None:
    ok(put(cluster, vms="140,145", storage="local"))
    ok(put(cluster, vms="140", storage="local", delete="1"))
    assert ids(cluster) == ["qemu/145"]


def test_the_id_of_a_vm_that_is_not_there_is_taken_and_not_shown(cluster: Simulator) -> None:
    ok(put(cluster, vms="999"))
    assert ids(cluster) == []
    ok(cluster.call("DELETE", "/pools", {"poolid": "cust"}))


def test_a_vm_moves_between_pools_only_when_that_is_allowed(cluster: Simulator) -> None:
    ok(cluster.call("POST", "/pools", {"poolid": "old"}))
    ok(cluster.call("PUT", "/pools/old", {"vms": "140"}))
    text = "VM 140 belongs already to pool 'old' and 'allow-move' is not set"
    assert reason(put(cluster, vms="140")) == (500, f"update pools failed: {text}")
    ok(put(cluster, vms="140", allow_move="1"))
    assert cluster.world.pool_of(140) == "cust"
    assert cluster.world.pools["old"].vms == []


def test_a_pool_lies_in_one_that_is_there(cluster: Simulator) -> None:
    answer = cluster.call("POST", "/pools", {"poolid": "no/sub"})
    text = "create pool failed: parent 'no' of pool 'no/sub' does not exist"
    assert reason(answer) == (500, text)
    ok(cluster.call("POST", "/pools", {"poolid": "cust/sub"}))
    full = cluster.call("DELETE", "/pools/cust")
    assert reason(full) == (
        500,
        "delete pool failed: pool 'cust' is not empty (contains pool cust/sub)",
    )
    ok(cluster.call("DELETE", "/pools", {"poolid": "cust/sub"}))
    ok(cluster.call("DELETE", "/pools/cust"))


def test_a_pool_with_members_is_not_removed(cluster: Simulator) -> None:
    ok(put(cluster, storage="local"))
    answer = cluster.call("DELETE", "/pools/cust")
    assert answer.reason == (
        "delete pool failed: pool 'cust' is not empty (contains storage 'local')"
    )
    ok(put(cluster, vms="140"))
    answer = cluster.call("DELETE", "/pools/cust")
    assert answer.reason == "delete pool failed: pool 'cust' is not empty (contains VM 140)"


def test_a_removed_pool_takes_its_acl_entries_along(cluster: Simulator) -> None:
    grant(cluster, "/pool/cust", "PVEPoolUser")
    ok(cluster.call("DELETE", "/pools/cust"))
    assert cluster.world.access.grants == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_missing_pool_is_a_500(cluster: Simulator, method: str) -> None:
    answer = cluster.call(method, "/pools/nope")
    assert answer.status == 500
    assert answer.reason.endswith("pool 'nope' does not exist")


def test_a_pool_is_made_once(cluster: Simulator) -> None:
    answer = cluster.call("POST", "/pools", {"poolid": "cust"})
    assert reason(answer) == (500, "create pool failed: pool 'cust' already exists")


def test_rights_on_the_pool_are_needed(cluster: Simulator) -> None:
    assert ok(cluster.call("GET", "/pools", None, ALICE)) == []
    for params in ({"poolid": "cust"}, {"poolid": "nope"}):
        assert cluster.call("GET", "/pools", params, ALICE).status == 403
    assert reason(put(cluster, ALICE, comment="x")) == (
        403,
        "Permission check failed (/pool/cust, Pool.Allocate)",
    )
    grant(cluster, "/pool/cust", "PVEPoolUser")
    assert len(ok(cluster.call("GET", "/pools", None, ALICE))) == 1


def test_rights_on_the_members_are_needed_too(cluster: Simulator) -> None:
    grant(cluster, "/pool/cust", "PVEPoolAdmin")
    refused = put(cluster, ALICE, vms="140")
    text = "403 Permission check failed (/vms/140, Permissions.Modify|VM.Allocate)"
    assert reason(refused) == (500, f"update pools failed: {text}")
    grant(cluster, "/vms/140", "PVEVMAdmin")
    ok(put(cluster, ALICE, vms="140"))


def test_moving_a_vm_needs_rights_on_the_pool_it_leaves(cluster: Simulator) -> None:
    ok(cluster.call("POST", "/pools", {"poolid": "old"}))
    ok(cluster.call("PUT", "/pools/old", {"vms": "140"}))
    grant(cluster, "/pool/cust", "PVEPoolAdmin")
    grant(cluster, "/vms/140", "PVEVMAdmin")
    refused = put(cluster, ALICE, vms="140", allow_move="1")
    text = "403 Permission check failed (/pool/old, Pool.Allocate)"
    assert reason(refused) == (500, f"update pools failed: {text}")


def test_a_pool_lends_its_rights_to_its_members_at_once(cluster: Simulator) -> None:
    grant(cluster, "/pool/cust", "PVEVMAdmin")
    path = "/nodes/pve1/qemu/140/firewall/options"
    assert cluster.call("GET", path, None, ALICE).status == 403
    pools.join_pool(cluster.world, 140, "cust")
    ok(cluster.call("GET", path, None, ALICE))
    pools.forget_vm(cluster.world, 140)
    assert cluster.call("GET", path, None, ALICE).status == 403


def test_a_destroyed_vm_leaves_its_pool_and_the_acls(cluster: Simulator) -> None:
    grant(cluster, "/vms/140", "PVEVMAdmin")
    pools.join_pool(cluster.world, 140, "cust")
    pools.forget_vm(cluster.world, 140)
    assert cluster.world.pool_of(140) is None
    assert cluster.world.access.grants == []


def test_a_vm_that_joins_a_pool_leaves_the_one_before(cluster: Simulator) -> None:
    ok(cluster.call("POST", "/pools", {"poolid": "old"}))
    pools.join_pool(cluster.world, 140, "old")
    pools.join_pool(cluster.world, 140, "cust")
    assert cluster.world.pools["old"].vms == []
