"""Pools, bridges and VLANs of a VM's nics."""

from pathlib import Path

import pytest

from desired.addressing import pool_clashes
from desired.catalog import Pool
from tests.desired.fleets import lines, load


def test_a_pool_fills_an_unset_bridge_and_vlan_ip_04(tmp_path: Path) -> None:
    vms = "a: {nics: {net0: {ipv4: {pool: v4}}, net1: {bridge: vmbr1, ipv4: {pool: inner}}}}\n"
    nics = load(tmp_path, {"vms/a.yaml": vms}).vms["a"].nics
    assert (nics["net0"].bridge, nics["net0"].vlan) == ("vmbr0", 100)
    assert (nics["net1"].bridge, nics["net1"].vlan) == ("vmbr1", None)


def test_auto_is_the_pool_of_cluster_bridge_vlan_and_family_dep_11(tmp_path: Path) -> None:
    files = {
        "pools/more.yaml": "far: {cluster: other, bridge: vmbr0, network: 10.8.0.0/24}\n"
        "open: {network: 10.9.0.0/24, vlan: 9}\n",
        "vms/a.yaml": "a: {nics: {net0: {bridge: vmbr0, vlan: 100, ipv4: {pool: auto}}}}\n"
        "b: {nics: {net0: {ipv4: {pool: auto}, ipv6: {pool: v6}}}}\n"
        "c: {nics: {net0: {bridge: vmbr7, vlan: 9, ipv4: {pool: auto}}}}\n"
        "d: {nics: {net0: {bridge: vmbr1, vlan: 0, ipv4: {pool: auto}}}}\n",
    }
    fleet = load(tmp_path, files)
    assert not fleet.errors
    found = [fleet.vms[key].nics["net0"].ipv4 for key in "abcd"]
    assert [family and family.pool for family in found] == ["v4", "v4", "open", "inner"]
    assert fleet.vms["b"].nics["net0"].vlan == 100
    assert fleet.vms["c"].nics["net0"].bridge == "vmbr7"


def test_static_dhcp_and_none_need_no_pool_ip_10(tmp_path: Path) -> None:
    vms = (
        "a:\n  nics:\n"
        "    net0: {ipv4: {static: 10.9.0.5/24, gateway: 10.9.0.1}, ipv6: dhcp}\n"
        "    net1: {ipv4: none, ipv6: auto}\n"
        '    net2: {ipv4: {static: 10.9.1.0/31}, ipv6: {static: "2001:db8:1::5/64"}}\n'
        '    net3: {ipv4: {static: 10.0.0.9/24}, ipv6: {static: "2001:db8:1::6/64"}}\n'
    )
    pools = "inner: {network: 10.0.0.0/24, exclude: [10.0.0.9]}\n"
    fleet = load(tmp_path, {"vms/a.yaml": vms, "pools/pools.yaml": pools, "vms/ok.yaml": None})
    assert not fleet.errors
    assert fleet.vms["a"].nics["net0"].bridge is None


def test_count_zero_is_no_address_ip_09(tmp_path: Path) -> None:
    fleet = load(tmp_path, {"vms/a.yaml": "a: {nics: {net0: {ipv4: {pool: v4, count: 0}}}}\n"})
    family = fleet.vms["a"].nics["net0"].ipv4
    assert family and family.count == 0


@pytest.mark.parametrize(
    ("one", "two", "clash"),
    [
        ({"network": "10.0.0.0/24"}, {"network": "10.0.0.0/25"}, True),
        ({"network": "10.0.0.0/24", "stop": "10.0.0.9"}, {"network": "10.0.0.128/25"}, False),
        ({"network": "10.0.0.0/24"}, {"network": "::a00:0/120"}, False),
        ({"network": "2001:db8::/64"}, {"network": "2001:db8::/96"}, True),
        ({"network": "10.1.0.0/24"}, {"network": "10.0.0.0/24"}, False),
    ],
)
def test_pools_may_not_overlap_ip_11(one: object, two: object, clash: bool) -> None:
    pools = {"b": Pool.model_validate(one), "a": Pool.model_validate(two)}
    assert list(pool_clashes(pools)) == ([("a", "b")] if clash else [])


def test_a_wide_pool_clashes_with_all_within_it() -> None:
    texts = {"wide": "10.0.0.0/8", "one": "10.1.0.0/24", "two": "10.2.0.0/24"}
    pools = {name: Pool.model_validate({"network": text}) for name, text in texts.items()}
    assert sorted(pool_clashes(pools)) == [("one", "wide"), ("two", "wide")]


def test_two_pools_that_clash_in_many_addresses_are_told_once() -> None:
    wide = Pool.model_validate({"network": "10.1.0.0/24"})
    single = Pool.model_validate({"network": "10.1.0.0/24", "only": ["10.1.0.7", "10.1.0.9"]})
    assert list(pool_clashes({"wide": wide, "list": single})) == [("list", "wide")]


def test_a_bad_gateway_family_names_the_pool_ip_06(tmp_path: Path) -> None:
    pools = 'v4: {network: 10.0.0.0/24, gateway: "2001:db8::1"}\n'
    fleet = load(tmp_path, {"pools/pools.yaml": pools})
    assert lines(fleet.errors, tmp_path) == [
        "pools/pools.yaml:1:1: v4: gateway 2001:db8::1 is not in 10.0.0.0/24 (breaks ok)"
    ]


def test_what_a_pool_excludes_is_its_own_ip_06(tmp_path: Path) -> None:
    pools = "v4: {network: 10.0.0.0/24, exclude: [10.0.0.5, 10.0.1.5]}\n"
    fleet = load(tmp_path, {"pools/pools.yaml": pools})
    assert [error.message for error in fleet.errors] == [
        "exclude 10.0.1.5 is not in 10.0.0.0/24 (breaks ok)"
    ]


def test_one_or_two_name_servers_serve_a_pool_ip_07(tmp_path: Path) -> None:
    pools = "v4: {network: 10.0.0.0/24, dns: [10.0.0.2]}\n"
    pools += 'v6: {network: "2001:db8::/64", dns: ["2001:db8::2", "2001:db8::3"]}\n'
    fleet = load(tmp_path, {"pools/pools.yaml": pools})
    assert [len(pool.dns) for pool in fleet.pools.values()] == [1, 2]
