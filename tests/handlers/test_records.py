"""Which records VMs want, under which names, and in which zones they belong."""

from collections.abc import Mapping

import pytest

from desired.spec import VMSpec
from desired.zones import ZoneSpec
from handlers.classless import classless
from handlers.records import Named, by_zone, wanted_of
from state.memory import Lease

BOTH = (("net0", "ipv4", 0, "192.0.2.7"), ("net0", "ipv6", 0, "2001:db8::7"))


def vm(key: str, *leases: tuple[str, str, int, str], **more: object) -> Named:
    nics: dict[str, dict[str, str]] = {nic: {} for nic, *_ in leases}
    spec = {"key": key, "cluster": "lab", "name": key, "domain": ".Example.net", "nics": nics}
    held = tuple(
        Lease(key, nic, family, ordinal, address, 24, "pool")  # type: ignore[arg-type]
        for nic, family, ordinal, address in leases
    )
    return Named(VMSpec.model_validate({**spec, **more}), held)


def zones(*names: str, **fields: object) -> Mapping[str, ZoneSpec]:
    found = {}
    for text in names:
        name, _, label = text.partition("@")
        rfc2136 = {"server": "192.0.2.53"}
        zone = ZoneSpec.model_validate({"name": name, "label": label, "rfc2136": rfc2136, **fields})
        found[zone.id] = zone
    return found


def told(machine: Named) -> list[str]:
    return [f"{r.type} {r.name} {' '.join(sorted(r.values))}" for r in wanted_of(machine)]


def placed(names: Mapping[str, ZoneSpec], *vms: Named) -> dict[str, list[str]]:
    return {
        id: [f"{r.type} {r.name} {' '.join(sorted(r.values))}" for r in records.values()]
        for id, records in by_zone(names, vms).items()
    }


def test_forward_for_the_first_address_of_each_family_and_ptr_for_every_one() -> None:
    """DNS-09, DNS-05, C-16: IPv6 by its 32 nibbles; the domain with or without a dot."""
    machine = vm(
        "web-1",
        ("net10", "ipv4", 0, "192.0.2.9"),
        ("net2", "ipv4", 1, "192.0.2.8"),
        ("net2", "ipv4", 0, "192.0.2.7"),
        ("net2", "ipv6", 0, "2001:db8::7"),
    )
    assert told(machine) == [
        "A web-1.example.net 192.0.2.7",
        "AAAA web-1.example.net 2001:db8::7",
        "PTR 7.2.0.192.in-addr.arpa web-1.example.net",
        "PTR 8.2.0.192.in-addr.arpa web-1.example.net",
        "PTR 7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        " web-1.example.net",
        "PTR 9.2.0.192.in-addr.arpa web-1.example.net",
    ]


def test_static_addresses_count_as_leased_ones_do() -> None:
    nics = {
        "net0": {"ipv4": {"static": "192.0.2.4/24"}, "ipv6": {"static": "2001:db8::4/64"}},
        "net1": {"ipv4": "dhcp"},
    }
    assert [text.split()[0] for text in told(vm("s", nics=nics))] == ["A", "AAAA", "PTR", "PTR"]


def test_addresses_may_have_reverse_names_of_their_own_dns_10() -> None:
    leases = (*BOTH, ("net0", "ipv4", 1, "192.0.2.8"), ("net0", "ipv4", 2, "192.0.2.9"))
    reverse = {
        "net0.ipv4": "mail.example.org",
        "net0.ipv4.1": "Second.example.org.",
        "192.0.2.9": "third.example.org",
    }
    found = [one.split() for one in told(vm("web-1", *leases, dns={"reverse": reverse}))]
    assert [f"{one[1][:2]}{one[2]}" for one in found if one[0] == "PTR"] == [
        "7.mail.example.org",
        "8.second.example.org",
        "9.third.example.org",
        "7.web-1.example.net",
    ]


def test_extra_names_have_the_same_addresses_and_aliases_point_at_the_own_name() -> None:
    dns = {"names": ["www.example.net", "web-1.example.net"], "cnames": ["shop.example.net"]}
    found = told(vm("web-1", BOTH[0], dns=dns))
    assert found[:3] == [
        "A web-1.example.net 192.0.2.7",
        "A www.example.net 192.0.2.7",
        "CNAME shop.example.net web-1.example.net",
    ]


def test_a_vm_without_a_domain_has_only_the_names_it_was_given() -> None:
    assert told(vm("web-1", BOTH[0], domain=None)) == []
    dns = {"names": ["www.example.net"], "reverse": {"net0.ipv4": "www.example.net"}}
    assert told(vm("web-1", BOTH[0], domain=None, dns=dns)) == [
        "A www.example.net 192.0.2.7",
        "PTR 7.2.0.192.in-addr.arpa www.example.net",
    ]


def test_records_off_wants_none() -> None:
    assert told(vm("web-1", *BOTH, dns={"records": "off"})) == []


def test_vms_that_share_a_name_share_its_records() -> None:
    dns = {"names": ["www.example.net"]}
    first = vm("web-1", BOTH[0], dns=dns)
    second = vm("web-2", ("net0", "ipv4", 0, "192.0.2.8"), dns=dns)
    found = by_zone(zones("example.net"), [first, second])["example.net@rfc2136"]
    shared = found["www.example.net", "A"]
    assert (sorted(shared.values), shared.keys) == (["192.0.2.7", "192.0.2.8"], ("web-1", "web-2"))


def test_the_longest_matching_zone_takes_a_record_on_all_its_providers() -> None:
    """C-25, DNS-03, DNS-04: a label suffix, not a text suffix."""
    known = zones("net", "example.net@a", "example.net@b", "ample.net", "deep.web-1.example.net")
    found = placed(known, vm("web-1", BOTH[0]))
    assert found == {
        "net@rfc2136": [],
        "example.net@a": ["A web-1.example.net 192.0.2.7"],
        "example.net@b": ["A web-1.example.net 192.0.2.7"],
        "ample.net@rfc2136": [],
        "deep.web-1.example.net@rfc2136": [],
    }


def test_reverse_zones_are_known_by_their_names_at_any_octet_or_nibble() -> None:
    """DNS-02, DNS-04, DNS-05."""
    nibbles = "0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
    found = placed(zones("192.in-addr.arpa", "2.0.192.in-addr.arpa", nibbles), vm("w", *BOTH))
    assert [len(records) for records in found.values()] == [0, 1, 1]
    assert all(zone.reverse for zone in zones(nibbles, "10.in-addr.arpa").values())
    assert not zones("in-addr.arpa.example.net")["in-addr.arpa.example.net@rfc2136"].reverse


@pytest.mark.parametrize("zone", ["0/26.2.0.192.in-addr.arpa", "0-63.2.0.192.in-addr.arpa"])
def test_a_delegation_of_rfc_2317_has_names_of_its_own(zone: str) -> None:
    far = vm("far", ("net0", "ipv4", 0, "192.0.2.77"))
    found = placed(zones(zone, "2.0.192.in-addr.arpa"), vm("web-1", BOTH[0]), far)
    assert found == {
        f"{zone}@rfc2136": [f"PTR 7.{zone} web-1.example.net"],
        "2.0.192.in-addr.arpa@rfc2136": ["PTR 77.2.0.192.in-addr.arpa far.example.net"],
    }


@pytest.mark.parametrize(
    ("label", "ends"),
    [
        ("0/26", (0, 63)),
        ("64/26", (64, 127)),
        ("70/26", (64, 127)),
        ("0-26", (0, 63)),
        ("0-31", (0, 31)),
        ("64-127", (64, 127)),
        ("10-20", (10, 20)),
        ("128_25", (128, 255)),
        ("7/32", (7, 7)),
    ],
)
def test_the_names_of_classless_zones_say_which_addresses_they_hold(
    label: str, ends: tuple[int, int]
) -> None:
    found = classless(f"{label}.2.0.192.in-addr.arpa")
    assert found is not None
    assert (found.first, found.last) == ends


@pytest.mark.parametrize(
    "zone",
    [
        "2.0.192.in-addr.arpa",
        "0/26.0.192.in-addr.arpa",
        "0/26.a.b.c.d.e",
        "9-3.2.0.192.in-addr.arpa",
        "0/24.2.0.192.in-addr.arpa",
        "0_99.2.0.192.in-addr.arpa",
        "300/26.2.0.192.in-addr.arpa",
    ],
)
def test_other_zones_are_not_classless(zone: str) -> None:
    assert classless(zone) is None


def test_a_zone_takes_only_the_types_that_it_is_told_to() -> None:
    dns = {"cnames": ["shop.example.net"]}
    found = placed(zones("example.net", takes=["CNAME"]), vm("web-1", *BOTH, dns=dns))
    assert found == {"example.net@rfc2136": ["CNAME shop.example.net web-1.example.net"]}
