"""Zones as they are written: ids, directions, hints; and the names of a VM."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from desired.hostnames import Dns
from desired.zones import ZoneSpec, rdns_hint
from tests.desired.fleets import load

ZONES = """\
example.net: {rfc2136: {server: ns1}, ttl: 60}
example.net@pdns: {powerdns: {url: "http://127.0.0.1:8081", api_key: env:K}}
other: {name: Example.ORG., cloudflare: {token: env:T}}
2.0.192.in-addr.arpa: {hestiacp: {url: "https://h.example:8083", password: env:P, owner: ann}}
0/26.2.0.192.in-addr.arpa: {octodns: {provider: octodns.provider.yaml.YamlProvider}}
"""


def test_zones_are_known_by_their_names_and_who_holds_them(tmp_path: Path) -> None:
    """DNS-02, DNS-03: forward or reverse by the name alone, one name at several providers."""
    fleet = load(tmp_path, {"zones/zones.yaml": ZONES})
    assert fleet.errors == ()
    assert {id: (zone.provider, zone.reverse) for id, zone in fleet.zones.items()} == {
        "0/26.2.0.192.in-addr.arpa@octodns": ("octodns", True),
        "2.0.192.in-addr.arpa@hestiacp": ("hestiacp", True),
        "example.net@pdns": ("powerdns", False),
        "example.net@rfc2136": ("rfc2136", False),
        "example.org@cloudflare": ("cloudflare", False),
    }
    assert fleet.zones["example.net@rfc2136"].types == {"A", "AAAA", "CNAME"}
    assert fleet.zones["2.0.192.in-addr.arpa@hestiacp"].types == {"PTR", "CNAME"}


def test_an_edit_of_a_zone_is_another_revision(tmp_path: Path) -> None:
    first = load(tmp_path, {"zones/zones.yaml": ZONES})
    second = load(tmp_path, {"zones/zones.yaml": ZONES.replace("ttl: 60", "ttl: 61")})
    assert first.revision != second.revision


def test_names_that_are_no_names_are_refused() -> None:
    with pytest.raises(ValidationError, match="expected a zone's name"):
        ZoneSpec.model_validate({"name": "a..b", "rfc2136": {"server": "ns1"}})
    with pytest.raises(ValidationError):
        ZoneSpec.model_validate({"name": 5, "rfc2136": {"server": "ns1"}})
    with pytest.raises(ValidationError):
        Dns.model_validate({"names": [5]})
    with pytest.raises(ValidationError):
        Dns.model_validate({"reverse": {5: "a.example.net"}})


@pytest.mark.parametrize(
    ("network", "hint"),
    [
        ("10.0.0.0/8", "10.in-addr.arpa"),
        ("172.16.0.0/16", "16.172.in-addr.arpa"),
        ("192.0.2.0/24", "2.0.192.in-addr.arpa"),
        ("192.0.2.0/26", "classless delegation required"),
        ("10.0.0.0/12", "classless delegation required"),
        ("192.0.2.7/32", "classless delegation required"),
        ("0.0.0.0/0", "classless delegation required"),
        ("2001:db8::/32", "8.b.d.0.1.0.0.2.ip6.arpa"),
        ("2001:db8::/33", "classless delegation required"),
        ("2001:db8:10::/44", "1.0.0.8.b.d.0.1.0.0.2.ip6.arpa"),
    ],
)
def test_a_pool_hints_at_the_reverse_zone_that_it_needs_dns_12(network: str, hint: str) -> None:
    assert rdns_hint(ip_network(network)) == hint


def test_the_hint_of_a_long_prefix_has_all_its_nibbles_dns_12() -> None:
    hint = rdns_hint(ip_network("2001:db8::/120"))
    assert hint.endswith(".8.b.d.0.1.0.0.2.ip6.arpa")
    assert len(hint.split(".")) == 30 + 2
