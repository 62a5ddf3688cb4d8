"""Lists of single addresses, as older panels keep them."""

from pathlib import Path

import pytest

from desired.addressing import sources
from desired.catalog import Pool
from desired.errors import Place
from desired.legacy import FORM, read_legacy
from desired.source import Fleet
from tests.desired.fleets import lines, load

LIST = """\
# bridge | vlan | address | mask | gateway | name servers

vmbr0|100|198.51.100.7|24|198.51.100.1|198.51.100.1,198.51.100.2
 vmbr1 | 0 | 2001:db8:7::9 | 64 | |
vmbr0|100|198.51.100.9|255.255.255.0|198.51.100.1|198.51.100.1, 198.51.100.2
"""


def only(text: str) -> tuple[Place, str]:
    (fault,) = read_legacy("old.legacy", text).faults
    return fault.place, fault.message


def test_ip_03_lines_that_agree_are_one_pool() -> None:
    read = read_legacy("pools/old.legacy", LIST)
    assert not read.faults
    pools = {name: Pool.model_validate(tree) for name, tree in read.entries.items()}
    one, two = pools["old"], pools["old-2"]
    assert [str(address) for address in one.only] == ["198.51.100.7", "198.51.100.9"]
    assert (one.bridge, one.vlan, str(one.network), len(one.dns)) == (
        "vmbr0",
        100,
        "198.51.100.0/24",
        2,
    )
    assert (two.bridge, two.vlan, two.family, two.gateway, two.dns) == (
        "vmbr1",
        0,
        "ipv6",
        None,
        (),
    )
    assert one.legacy and two.legacy
    assert read.place(("old-2", "network")) == Place("pools/old.legacy", 4, 1)
    assert read.place(()) == Place("pools/old.legacy")


@pytest.mark.parametrize(
    ("line", "column", "message"),
    [
        ("vmbr0|100|198.51.100.7|24", 1, "line: expected BRIDGE|VLAN|ADDRESS|MASK|GATEWAY|DNS1,D"),
        ("no bridge|1|198.51.100.7|24||", 1, "bridge: expected a bridge such as vmbr0, seen 'no b"),
        ("vmbr0|4095|198.51.100.7|24||", 7, "vlan: expected a VLAN from 1 to 4094, or 0 for none"),
        ("vmbr0|x|198.51.100.7|24||", 7, "vlan: expected a VLAN"),
        ("vmbr0|1| 198.51.100|24||", 10, "address: expected an IP address, seen '198.51.100'"),
        ("vmbr0|1|198.51.100.0|24||", 9, "address: 198.51.100.0 is not a host address of 198.51"),
        ("vmbr0|1|198.51.100.255|24||", 9, "address: 198.51.100.255 is not a host address"),
        ("vmbr0|1|198.51.100.7|33||", 22, "mask: expected a prefix length from 1 to 32, seen '33'"),
        ("vmbr0|1|2001:db8::7|129||", 21, "mask: expected a prefix length from 1 to 128"),
        ("vmbr0|1|198.51.100.7|0||", 22, "mask: expected a prefix length from 1 on, seen 0"),
        (
            "vmbr0|1|198.51.100.7|24|2001:db8::1|",
            25,
            "gateway: expected an IPv4 address, seen 2001",
        ),
        ("vmbr0|1|198.51.100.7|24|192.0.2.1|", 25, "gateway: expected an address in 198.51.100.0"),
        (
            "vmbr0|1|198.51.100.7|24|198.51.100.7|",
            25,
            "gateway: 198.51.100.7 is the address itself",
        ),
        ("vmbr0|1|198.51.100.7|24||1.1.1", 26, "dns: expected an IP address, seen '1.1.1'"),
        (
            "vmbr0|1|198.51.100.7|24||1.1.1.1,1.0.0.1,9.9.9.9",
            26,
            "dns: expected two name servers at",
        ),
    ],
)
def test_ip_06_what_is_wrong_has_its_line_and_column(line: str, column: int, message: str) -> None:
    place, text = only(f"# a list\n{line}\n")
    assert place == Place("old.legacy", 2, column)
    assert text.startswith(message)


def test_an_address_stands_in_one_line_only() -> None:
    line = "vmbr0|1|198.51.100.7|24||\n"
    assert only(line + line) == (
        Place("old.legacy", 2, 9),
        "address: 198.51.100.7 stands in line 1 already",
    )


def test_ip_07_one_name_server_or_two_or_none_of_either_family() -> None:
    lines = ["1.1.1.1", "1.1.1.1,1.0.0.1", ",1.0.0.1", "", "2606:4700::1111"]
    text = "".join(f"vmbr0|{n}|198.51.100.7{n}|24||{dns}\n" for n, dns in enumerate(lines))
    pools = [Pool.model_validate(tree) for tree in read_legacy("l", text).entries.values()]
    assert [len(pool.dns) for pool in pools] == [1, 2, 1, 0, 1]


AUTO = "a: {nics: {net0: {bridge: vmbr0, vlan: 100, ipv4: {pool: auto}}}}\n"
ORDINARY = "new: {bridge: vmbr0, vlan: 100, network: 203.0.113.0/24}\n"


def listed(folder: Path, **files: str) -> Fleet:
    """A fleet of one VM, with the list above, and files of pools over it."""
    base = {"pools/pools.yaml": None, "vms/ok.yaml": None, "vms/a.yaml": AUTO}
    pools = {f"pools/{name.replace('_', '.')}": text for name, text in files.items()}
    return load(folder, {**base, "pools/old.legacy": LIST, **pools})


def pool_of(fleet: Fleet) -> str | None:
    family = fleet.vms["a"].nics["net0"].ipv4
    return family.pool if family else None


def test_ip_02_auto_means_a_pool_and_a_list_only_where_there_is_none(tmp_path: Path) -> None:
    fleet = listed(tmp_path)
    assert not fleet.errors and pool_of(fleet) == "old"
    fleet = listed(tmp_path, new_yaml=ORDINARY)
    assert not fleet.errors and pool_of(fleet) == "new"


def test_a_wrong_line_is_left_out_and_told(tmp_path: Path) -> None:
    fleet = listed(tmp_path, old_legacy=LIST + "vmbr0|1\n")
    assert len(fleet.pools["old"].only) == 2
    assert lines(fleet.errors, tmp_path) == [
        f"pools/old.legacy:6:1: line: expected {FORM}, seen 2 fields"
    ]


def test_ip_11_a_list_may_lie_between_the_addresses_of_others_but_share_none(
    tmp_path: Path,
) -> None:
    beside = "new: {bridge: vmbr0, vlan: 100, network: 198.51.100.0/24, start: 198.51.100.8, stop: "
    assert not listed(tmp_path, new_yaml=beside + "198.51.100.8}\n").errors
    fleet = listed(tmp_path, new_yaml=beside + "198.51.100.9}\n")
    (told,) = lines(fleet.errors, tmp_path)
    assert told.startswith("pools/old.legacy:3:1: old.network: overlaps with pool new")


def test_lists_of_several_places_are_named_and_not_guessed(tmp_path: Path) -> None:
    """One that stands elsewhere is no second choice for a nic that says where it is."""
    elsewhere = LIST + "vmbr9|0|192.0.2.7|24||\n"
    assert pool_of(listed(tmp_path, old_legacy=elsewhere)) == "old"
    vms = "a: {nics: {net0: {ipv4: {pool: auto}}}}\n"
    fleet = load(tmp_path, {"pools/pools.yaml": None, "vms/ok.yaml": None, "vms/a.yaml": vms})
    assert "several pools fit ipv4 on any bridge, any VLAN: old, old-3" in str(fleet.errors[0])


def test_sources_are_the_pool_and_the_lists_of_its_place(tmp_path: Path) -> None:
    """IP-02"""
    elsewhere = LIST + "vmbr9|100|192.0.2.7|24||\nvmbr0|100|192.0.2.8|24||\n"
    fleet = listed(tmp_path, old_legacy=elsewhere, new_yaml=ORDINARY)
    nic = fleet.vms["a"].nics["net0"]
    assert sources("demo", nic, "ipv4", "new", fleet.pools) == ["new", "old", "old-4"]
    assert sources("demo", nic, "ipv4", "gone", fleet.pools) == ["gone"]
