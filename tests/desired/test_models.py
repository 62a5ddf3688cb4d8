"""The models by themselves, as a database or a test builds them."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_address

import pytest
from pydantic import ValidationError

from desired.catalog import Cluster, Pool
from desired.errors import Place, SpecError, UnusableSource
from desired.firewall import Firewall, Rule
from desired.hardware import Family, Nic
from desired.spec import Placement, VMSpec


def test_values_that_are_addresses_already_are_taken() -> None:
    family = Family(mode="static", static=IPv4Interface("10.0.0.5/24"))
    assert family.static == IPv4Interface("10.0.0.5/24")
    pool = Pool(network=IPv4Network("10.0.0.0/24"), gateway=IPv4Address("10.0.0.1"))
    assert pool.gateway == IPv4Address("10.0.0.1")


def test_a_pool_leases_neither_network_nor_broadcast_address() -> None:
    def span(**pool: str) -> tuple[str, str]:
        made = Pool.model_validate(pool)
        return str(made.first), str(made.last)

    assert span(network="10.0.0.0/24") == ("10.0.0.1", "10.0.0.254")
    assert span(network="10.0.0.0/31") == ("10.0.0.0", "10.0.0.1")
    assert span(network="10.0.0.7/32") == ("10.0.0.7", "10.0.0.7")
    assert span(network="2001:db8::/126") == ("2001:db8::1", "2001:db8::3")
    assert span(network="10.0.0.0/8", start="10.0.0.9", stop="10.0.1.1") == (
        "10.0.0.9",
        "10.0.1.1",
    )
    assert Pool.model_validate({"network": "2001:db8::/64"}).family == "ipv6"


def test_a_family_is_a_word_or_a_map() -> None:
    assert Family.model_validate("dhcp").mode == "dhcp"
    assert Family.model_validate({"pool": "p"}).mode == "pool"
    assert Family.model_validate({"static": "10.0.0.5/24"}).mode == "static"
    assert Family.model_validate(Family(mode="none")).mode == "none"
    with pytest.raises(ValidationError, match="Input should be"):
        Family.model_validate(5)


def test_a_link_is_up_or_down() -> None:
    links = [Nic.model_validate({"link": link}).link for link in ("up", "down", True)]
    assert links == [True, False, True]


def test_a_port_may_be_a_number() -> None:
    assert Rule.model_validate({"in": "ACCEPT", "proto": "tcp", "dport": 22}).dport == "22"
    assert Rule.model_validate({"in": "ACCEPT", "proto": "tcp", "dport": None}).dport is None
    assert Rule.model_validate({"group": "web"}).group == "web"
    with pytest.raises(ValidationError, match="exactly one"):
        Rule.model_validate({})
    with pytest.raises(ValidationError, match="Input should be"):
        Rule.model_validate(5)


def test_a_node_is_a_name_or_a_map() -> None:
    assert Placement.model_validate("pve1") == Placement(name="pve1")
    assert Placement.model_validate({"name": "pve1", "enforce": True}).enforce


def test_a_real_cluster_needs_endpoints_and_one_way_in() -> None:
    real = {"endpoints": ["https://pve1:8006"]}
    token = {"id": "a@pve!b", "secret": "env:T"}
    login = {"user": "root@pam", "password": "file:p"}
    made = Cluster.model_validate({**real, "token": token, "tls": {"fingerprints": ["ab" * 32]}})
    assert made.token and made.token.id == "a@pve!b"
    for wrong in ({}, real, {**real, "token": token, "login": login}, {"simulated": {}, **real}):
        with pytest.raises(ValidationError, match=r"expected|takes no"):
            Cluster.model_validate(wrong)


def test_the_domain_may_begin_with_a_dot_c_16() -> None:
    spec = {"key": "a", "cluster": "c", "name": "web"}
    for domain in (".example.net", "example.net", "example.net."):
        assert VMSpec.model_validate({**spec, "domain": domain}).fqdn == "web.example.net"


def test_errors_print_where_what_and_why() -> None:
    place = Place("f.yaml", 3, 5)
    errors = (SpecError(place, "cpu.cores", "too many"), SpecError(place, "", "no map"))
    assert str(UnusableSource(errors)) == "f.yaml:3:5: cpu.cores: too many\nf.yaml:3:5: no map"


def test_a_firewall_that_is_mentioned_has_its_defaults_fw_01() -> None:
    firewall = Firewall()
    assert (firewall.enable, firewall.dhcp, firewall.ndp, firewall.radv) == (
        True,
        True,
        True,
        False,
    )
    assert (firewall.macfilter, firewall.ipfilter, firewall.anti_spoofing) == (True, False, True)
    assert (firewall.log_in, firewall.log_out) == ("nolog", "nolog")


def test_a_pool_has_the_fields_of_ip_01() -> None:
    pool = Pool.model_validate(
        {
            "bridge": "vmbr0",
            "vlan": 0,
            "network": "192.0.2.0/24",
            "gateway": "192.0.2.1",
            "dns": ["192.0.2.2", "192.0.2.3"],
            "start": "192.0.2.10",
            "stop": "192.0.2.20",
        }
    )
    assert (str(pool.first), str(pool.last), pool.network.prefixlen) == (
        "192.0.2.10",
        "192.0.2.20",
        24,
    )


@pytest.mark.parametrize(("vlan", "sound"), [(0, True), (1, True), (4094, True), (4095, False)])
def test_vlan_0_is_none_and_4094_the_last_c_11(vlan: int, sound: bool) -> None:
    if sound:
        assert Nic(vlan=vlan).vlan == vlan
    else:
        with pytest.raises(ValidationError, match="less than or equal to 4094"):
            Nic(vlan=vlan)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"only": ["192.0.2.200"]}, r"only 192\.0\.2\.200 is not in 192\.0\.2\.0/25"),
        ({"only": ["192.0.2.5"], "start": "192.0.2.4"}, "only stands in place of start and stop"),
        ({"only": ["192.0.2.5"], "stop": "192.0.2.9"}, "only stands in place of start and stop"),
    ],
)
def test_ip_06_single_addresses_are_of_the_network_and_stand_alone(
    fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Pool.model_validate({"network": "192.0.2.0/25", **fields})


def test_a_pool_leases_its_range_but_not_its_own_addresses() -> None:
    """IP-01, IP-03"""
    wide = Pool.model_validate(
        {
            "network": "192.0.2.0/25",
            "gateway": "192.0.2.1",
            "dns": ["192.0.2.2"],
            "stop": "192.0.2.9",
        }
    )
    listed = Pool.model_validate({"network": "192.0.2.0/25", "only": ["192.0.2.5", "192.0.2.3"]})
    tried = [ip_address(f"192.0.2.{number}") for number in range(11)]
    assert [int(one) & 255 for one in tried if wide.leases(one)] == [3, 4, 5, 6, 7, 8, 9]
    assert [int(one) & 255 for one in tried if listed.leases(one)] == [3, 5]
    assert not wide.leases(ip_address("2001:db8::5"))
