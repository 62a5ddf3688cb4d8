"""NICs and cloud-init addresses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.net import MODELS, IpConfig, Net, parse_ipconfig, parse_net

MACS = st.sampled_from(["BC:24:11:AA:BB:CC", "52:54:00:12:34:56", "bc:24:11:00:00:01"])
NETS = st.builds(
    Net,
    model=st.sampled_from(sorted(MODELS)),
    mac=st.none() | MACS,
    bridge=st.none() | st.sampled_from(["vmbr0", "vnet1"]),
    tag=st.none() | st.integers(1, 4094),
    rate=st.none() | st.integers(0, 100_000).map(lambda thousandths: thousandths / 1000),
    firewall=st.booleans(),
    link_down=st.booleans(),
    mtu=st.none() | st.integers(1, 65520),
    others=st.dictionaries(st.sampled_from(["queues", "trunks"]), st.sampled_from(["2", "1;2-4"])),
)
TEXTS = st.none() | st.sampled_from(["dhcp", "auto", "10.0.0.5/24", "2001:db8::5/64", "10.0.0.1"])


@given(NETS)
def test_nics_round_trip_under_the_normal_form(net: Net) -> None:
    assert parse_net(net.render()) == net
    assert parse_net(net.render()).render() == net.render()


@given(st.builds(IpConfig, TEXTS, TEXTS, TEXTS, TEXTS))
def test_addresses_round_trip(addresses: IpConfig) -> None:
    assert parse_ipconfig(addresses.render()) == addresses


def test_a_nic_always_echoes_its_mac() -> None:
    text = "virtio=BC:24:11:AA:BB:CC,bridge=vmbr0,link_down=1,mtu=1400,queues=2,rate=12.5,tag=7"
    net = parse_net(text)
    assert net.mac == "BC:24:11:AA:BB:CC"
    assert net.render() == text


@pytest.mark.parametrize(
    "text",
    [
        "model=e1000,macaddr=52:54:00:12:34:56",
        "e1000=52:54:00:12:34:56",
        "e1000,macaddr=52:54:00:12:34:56",
    ],
)
def test_a_model_is_named_in_three_ways(text: str) -> None:
    assert parse_net(text) == Net("e1000", "52:54:00:12:34:56")


def test_a_new_nic_has_no_mac_yet() -> None:
    assert Net("virtio", bridge="vmbr0", firewall=True).render() == "virtio,bridge=vmbr0,firewall=1"


def test_a_nic_without_a_model_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a NIC"):
        parse_net("bridge=vmbr0")


def test_addresses_read_by_name() -> None:
    seen = parse_ipconfig("gw=10.0.0.1,ip=10.0.0.5/24,ip6=auto")
    assert seen == IpConfig("10.0.0.5/24", "10.0.0.1", "auto")
    assert seen.render() == "ip=10.0.0.5/24,gw=10.0.0.1,ip6=auto"
    assert parse_ipconfig(" ") == IpConfig()


def test_an_unknown_key_of_ipconfig_is_refused() -> None:
    with pytest.raises(ValueError, match="'mask'"):
        parse_ipconfig("ip=10.0.0.5/24,mask=8")
