"""Options of both levels, references, macros and what becomes of a VM's file."""

from typing import Any

import pytest

from reconciler.sim.api import Answer, Simulator
from reconciler.sim.firewall import aliases, ipsets
from reconciler.sim.firewall import options as firewall_options
from reconciler.sim.firewall import rules as firewall_rules
from reconciler.sim.firewall.files import copy_firewall, drop_firewall
from reconciler.sim.samples import recorded_world
from reconciler.sim.world import World

CALLS = (aliases, firewall_options, firewall_rules, ipsets)
NOW = 1_800_000_000.0
FIREWALL = "/nodes/pve1/qemu/140/firewall"
OPTIONS = f"{FIREWALL}/options"
CLUSTER = "/cluster/firewall/options"
EMPTY = "da39a3ee5e6b4b0d3255bfef95601890afd80709"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cluster(clock: Clock) -> Simulator:
    return Simulator(recorded_world(NOW), clock)


def ok(answer: Answer) -> Any:
    assert answer.status == 200, answer
    return answer.data


@pytest.mark.parametrize("path", [OPTIONS, CLUSTER])
def test_without_options_only_the_digest_of_nothing_is_shown(cluster: Simulator, path: str) -> None:
    assert ok(cluster.call("GET", path)) == {"digest": EMPTY}


def test_the_digest_of_options_is_proxmox_own(cluster: Simulator) -> None:
    ok(cluster.call("PUT", CLUSTER, {"enable": "0"}))
    assert ok(cluster.call("GET", CLUSTER))["digest"] == "2c1759ebec624b1e511ba7f635915ab2df354cba"


ALL = {
    "enable": "1",
    "dhcp": "0",
    "ipfilter": "1",
    "macfilter": "1",
    "ndp": "0",
    "radv": "0",
    "policy_in": "DROP",
    "policy_out": "ACCEPT",
    "log_level_in": "nolog",
    "log_level_out": "info",
}


def test_every_option_of_a_vm_is_kept_and_deleted(cluster: Simulator) -> None:
    ok(cluster.call("PUT", OPTIONS, ALL))
    seen = ok(cluster.call("GET", OPTIONS))
    assert {key: str(seen[key]) for key in ALL} == ALL
    assert seen["enable"] == 1
    ok(cluster.call("PUT", OPTIONS, {"delete": ",".join(ALL)}))
    assert ok(cluster.call("GET", OPTIONS)) == {"digest": EMPTY}
    assert cluster.world.firewall == {}


def test_every_option_of_the_cluster_is_kept(cluster: Simulator) -> None:
    given = {
        "enable": "1",
        "ebtables": "0",
        "policy_in": "REJECT",
        "policy_out": "DROP",
        "policy_forward": "ACCEPT",
        "log_ratelimit": "1,rate=5/minute,burst=3",
    }
    ok(cluster.call("PUT", CLUSTER, given))
    seen = ok(cluster.call("GET", CLUSTER))
    assert {key: str(seen[key]) for key in given} == given


@pytest.mark.parametrize(
    ("path", "params", "errors"),
    [
        (OPTIONS, {"delete": "nosuch"}, {"delete": "no such option 'nosuch'"}),
        (CLUSTER, {"delete": "dhcp"}, {"delete": "no such option 'dhcp'"}),
        (
            CLUSTER,
            {"policy_forward": "REJECT"},
            {
                "policy_forward": "value 'REJECT' does not have a value in the enumeration "
                "'ACCEPT, DROP'"
            },
        ),
    ],
)
def test_wrong_options_are_refused(
    cluster: Simulator, path: str, params: dict[str, str], errors: dict[str, str]
) -> None:
    answer = cluster.call("PUT", path, params)
    assert (answer.status, answer.errors) == (400, errors)


def test_a_refused_write_changes_nothing(cluster: Simulator) -> None:
    ok(cluster.call("PUT", OPTIONS, {"enable": "1"}))
    assert cluster.call("PUT", OPTIONS, {"enable": "0", "delete": "dhcp,nosuch"}).status == 400
    assert ok(cluster.call("GET", OPTIONS))["enable"] == 1


def test_a_stale_digest_of_options_is_refused(cluster: Simulator) -> None:
    ok(cluster.call("PUT", OPTIONS, {"enable": "1"}))
    answer = cluster.call("PUT", OPTIONS, {"enable": "0", "digest": "0" * 40})
    assert answer.status == 500
    digest = ok(cluster.call("GET", OPTIONS))["digest"]
    ok(cluster.call("PUT", OPTIONS, {"enable": "0", "digest": digest}))


def test_a_cluster_firewall_on_trial_is_off_after_a_minute(
    cluster: Simulator, clock: Clock
) -> None:
    ok(cluster.call("PUT", CLUSTER, {"enable": "2"}))
    assert ok(cluster.call("GET", CLUSTER))["enable"] == int(NOW)
    clock.now += 61
    assert ok(cluster.call("GET", CLUSTER))["enable"] == 0


def test_the_indexes_name_what_there_is(cluster: Simulator) -> None:
    vm = [row["name"] for row in ok(cluster.call("GET", FIREWALL))]
    whole = [row["name"] for row in ok(cluster.call("GET", "/cluster/firewall"))]
    assert vm == ["rules", "aliases", "ipset", "refs", "options"]
    assert sorted(whole) == ["aliases", "groups", "ipset", "macros", "options", "refs", "rules"]


def test_macros_are_listed_once_with_what_they_open(cluster: Simulator) -> None:
    rows = ok(cluster.call("GET", "/cluster/firewall/macros"))
    names = [row["macro"] for row in rows]
    assert len(names) == len(set(names)) > 80
    assert {"macro": "HTTP", "descr": "HTTP traffic (tcp 80)"} in rows
    assert {"macro": "GRE", "descr": "GRE traffic (47)"} in rows


def test_the_log_of_a_vm_is_empty(cluster: Simulator) -> None:
    params = {"limit": "1", "start": "0", "since": "1", "until": "2"}
    answer = cluster.call("GET", f"{FIREWALL}/log", params)
    assert (answer.data, answer.extras) == ([{"n": 1, "t": "no content"}], {"total": 1})


def test_references_come_from_both_levels_with_their_scope(cluster: Simulator) -> None:
    ok(cluster.call("POST", "/cluster/firewall/ipset", {"name": "Far", "comment": "c"}))
    ok(cluster.call("POST", f"{FIREWALL}/aliases", {"name": "Near", "cidr": "10.0.0.1"}))
    far = {"type": "ipset", "name": "far", "ref": "+far", "scope": "dc", "comment": "c"}
    near = {"type": "alias", "name": "near", "ref": "near", "scope": "guest"}
    assert ok(cluster.call("GET", f"{FIREWALL}/refs")) == [far, near]
    assert ok(cluster.call("GET", f"{FIREWALL}/refs", {"type": "alias"})) == [near]
    assert ok(cluster.call("GET", "/cluster/firewall/refs", {"type": "ipset"})) == [far]


def test_a_clone_takes_its_source_s_file_and_nothing_else(cluster: Simulator) -> None:
    ok(cluster.call("PUT", OPTIONS, {"enable": "1"}))
    world = cluster.world
    copy_firewall(world, 140, 141)
    ok(cluster.call("PUT", OPTIONS, {"enable": "0"}))
    assert world.firewall["141"]["options"] == {"enable": 1}
    copy_firewall(world, 150, 141)
    assert "141" not in world.firewall


def test_a_destroyed_vm_leaves_no_file(cluster: Simulator) -> None:
    ok(cluster.call("PUT", OPTIONS, {"enable": "1"}))
    drop_firewall(cluster.world, 140)
    drop_firewall(cluster.world, 140)
    assert ok(cluster.call("GET", OPTIONS)) == {"digest": EMPTY}


def test_the_files_survive_a_save(cluster: Simulator) -> None:
    ok(cluster.call("PUT", OPTIONS, {"enable": "1"}))
    ok(cluster.call("POST", f"{FIREWALL}/aliases", {"name": "Near", "cidr": "10.0.0.1"}))
    again = World.load(cluster.world.dump())
    assert again.firewall == cluster.world.firewall
