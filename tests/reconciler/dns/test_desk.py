"""`reconcile dns` by hand, on real servers."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from reconciler.clock import SystemClock
from state.store import Store
from tests.nameservers import Bind, PowerDNS
from tests.reconciler.dns.naming import NamedLab, named_lab


@pytest.fixture
def named(tmp_path: Path, bind: Bind, powerdns: PowerDNS) -> NamedLab:
    """One VM that is made and named already, with a reverse name of its own."""
    vms = "web-1: {package: small, dns: {reverse: {net0.ipv4: mail.example.org}}}\n"
    found = named_lab(tmp_path, bind, powerdns, vms)
    found.lab.run()
    return found


def dns(named: NamedLab, *words: str) -> Result:
    where = ["--fleet", str(named.lab.fleet), "--database", named.lab.where]
    return CliRunner().invoke(cli, [*where, "dns", *words])


def test_check_asks_every_provider_and_names_the_reverse_zones_of_pools(named: NamedLab) -> None:
    """DNS-14, DNS-12."""
    result = dns(named, "check")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert sum(line.startswith("[+] ") for line in lines) == 6
    assert any(line.startswith("v4 ") and ".in-addr.arpa" in line for line in lines)
    told = json.loads(dns(named, "check", named.domain, "--output", "json").output)
    assert [one["ok"] for one in told["zones"]] == [True, True]
    assert {one["pool"] for one in told["pools"]} == {"v4", "v6"}


def test_check_shows_the_providers_own_words(named: NamedLab) -> None:
    """DNS-14, DNS-13: the exact error, and no secret in it."""
    secret = named.lab.fleet.parent / "api.secret"
    secret.write_text("wrong")
    result = dns(named, "check", f"{named.domain}@pdns")
    assert result.exit_code == 1
    assert result.output.startswith(f"[!] {named.domain}@pdns  ")
    secret.unlink()
    result = dns(named, "check", f"{named.domain}@pdns", "--output", "json")
    (zone,) = json.loads(result.output)["zones"]
    assert "api.secret" in zone["error"]
    assert named.powerdns.api_key not in result.output


def test_check_tells_of_entries_that_cannot_be_used(named: NamedLab) -> None:
    """DNS-14: what is left out of a run is not left out of what a person is told."""
    wrong = "broken.test: {powerdns: {url: 'http://127.0.0.1', api_key: plain-words}}\n"
    (named.lab.fleet / "zones" / "wrong.yaml").write_text(wrong)
    result = dns(named, "check")
    assert result.exit_code == 1
    (line,) = [one for one in result.output.splitlines() if one.startswith("[!] ")]
    assert "wrong.yaml:1:" in line and "broken.test.powerdns.api_key: expected a reference" in line
    assert "plain-words" not in result.output
    assert dns(named, "check", named.domain).exit_code == 0
    for name in ("broken.test", "broken.test@powerdns"):
        told = dns(named, "show", name).output
        assert f"the entry of zone {name} cannot be used: " in told
    assert "no zone broken in fleet" in dns(named, "show", "broken").output
    told = json.loads(dns(named, "check", "--output", "json").output)
    assert len(told["unusable"]) == 1


def test_a_zone_that_nobody_knows_is_said_to_be_none(named: NamedLab) -> None:
    result = dns(named, "show", f"{named.domain}@pdn")
    assert result.exit_code == 1
    assert f"did you mean {named.domain}@pdns" in result.output
    assert "did you mean" not in dns(named, "show", "q").output


def test_show_says_how_each_record_stands(named: NamedLab) -> None:
    name = f"web-1.{named.domain}"
    plain = dns(named, "show")
    assert plain.exit_code == 0
    assert f"{named.domain}@bind  2 ok" in plain.output
    named.by_hand(f"update delete {name} A", f"update delete {name} AAAA")
    named.by_hand(f"update add {name} 300 AAAA 2001:db8::bad")
    named.lab.write({"vms/more.yaml": "broken: {package: none}\n"})
    shown = dns(named, "show", named.domain).output
    assert f"missing  A     {name}  (none), wanted: " in shown
    assert f"wrong    AAAA  {name}  2001:db8::bad, wanted: " in shown
    told = json.loads(dns(named, "show", "--output", "json").output)
    states = {one["zone"]: one["states"] for one in told["zones"]}
    assert states[f"{named.domain}@pdns"] == {"missing": 1, "wrong": 1}


def test_show_tells_strangers_what_is_left_over_and_what_is_kept(named: NamedLab) -> None:
    named.lab.write({"vms/vms.yaml": "web-1: {package: none}\nweb-2: {package: small}\n"})
    assert "kept     A " in dns(named, "show", named.domain).output
    www = f"www.{named.domain}"
    dns_part = f"dns: {{names: [{www}]}}"
    named.lab.write({"vms/vms.yaml": f"web-1: {{package: small, name: other, {dns_part}}}\n"})
    named.by_hand(f"update add {www} 300 A 192.0.2.99")
    shown = dns(named, "show", named.domain).output
    assert f"stale    A     web-1.{named.domain}" in shown
    assert f"foreign  A     {www}  192.0.2.99, wanted: " in shown


def test_show_tells_of_a_zone_that_is_not_reached_as_it_was_last_read(named: NamedLab) -> None:
    named.powerdns.stop()
    try:
        result = dns(named, "show", f"{named.domain}@pdns")
    finally:
        named.powerdns.start()
    assert result.exit_code == 1
    assert "not reached, as last read: " in result.output
    assert "ok       A " in result.output


def test_resync_reads_and_settles_at_once_whatever_pauses(named: NamedLab) -> None:
    """DNS-07: the full resync by hand."""
    name = f"web-1.{named.domain}"
    named.by_hand(f"update delete {name} A")
    result = dns(named, "resync", named.domain)
    assert (result.exit_code, result.stdout) == (
        0,
        "2 zones: forward 2 ok, 0 failed, reverse 0 ok, 0 failed\n",
    )
    assert named.dig(name) != ()
    named.powerdns.stop()
    try:
        failed = dns(named, "resync", f"{named.domain}@pdns", "--output", "json")
    finally:
        named.powerdns.start()
    assert failed.exit_code == 1
    (zone,) = json.loads(failed.stdout)["zones"]
    assert "no connection" in zone["trouble"]
    assert dns(named, "resync").exit_code == 0


def test_equal_records_become_ours_again_after_a_store_was_lost(named: NamedLab) -> None:
    with Store.open(named.lab.where, at=SystemClock().now()) as store:
        rows = store.zones.all()
        for row in rows:
            store.zones.forget(row.zone, [row.id])
    dns(named, "resync")
    with named.lab.store() as store:
        assert not [row for row in store.zones.all() if row.zone.endswith("@bind")]
    assert dns(named, "resync", "--adopt").exit_code == 0
    with named.lab.store() as store:
        assert [row.id for row in store.zones.all()] == [row.id for row in rows]


def test_a_zone_that_was_never_read_and_is_not_reached_is_no_difference(named: NamedLab) -> None:
    secret = named.lab.fleet.parent / "none.secret"
    powerdns = f"{{url: '{named.powerdns.url}', api_key: 'file:{secret}'}}"
    named.lab.write({"zones/more.yaml": f"web-1.{named.domain}: {{powerdns: {powerdns}}}\n"})
    zones = {one.zone: one for one in named.lab.dry().zones}
    new = zones[f"web-1.{named.domain}@powerdns"]
    assert (new.changes, new.wanted) == ((), 2)
    assert "none.secret" in new.problem


def test_export_lists_every_address_with_its_names_dns_15(named: NamedLab) -> None:
    with named.lab.store() as store:
        v4, v6 = (one.address for one in store.leases.of("web-1"))
    own = f"web-1.{named.domain}"
    assert json.loads(dns(named, "export").output) == [
        {"forward": own, "ip": v4, "reverse": "mail.example.org"},
        {"forward": own, "ip": v6, "reverse": own},
    ]


def test_a_fleet_without_zones_says_so(named: NamedLab) -> None:
    (named.lab.fleet / "zones" / "zones.yaml").unlink()
    for command in ("check", "show"):
        assert "no zone is defined" in dns(named, command).output
    assert dns(named, "resync").exit_code == 0
    named.lab.write({"vms/vms.yaml": "web-1: {package: small, domain: null}\n"})
    assert dns(named, "export").output == "[]\n"


def test_a_plan_lists_what_it_would_write_zone_by_zone(named: NamedLab) -> None:
    from reconciler.show.plan import plan_json, render_plan
    from reconciler.show.text import Paint
    from reconciler.show.zones import MOST

    name = f"web-1.{named.domain}"
    named.by_hand(f"update delete {name} A", f"update delete {name} AAAA")
    named.by_hand(f"update add {name} 300 AAAA 2001:db8::bad")
    vms = "web-1: {package: small}\nweb-2: {package: small}\n"
    named.lab.write({"vms/vms.yaml": vms})
    named.by_hand(f"update add web-2.{named.domain} 300 A 192.0.2.99")
    dry = named.lab.dry()
    text = render_plan(dry, Paint())
    assert f"~ zone {named.domain}@bind  1 to create, 1 to change" in text
    assert f"    + A {name} 10." in text
    assert f"    ~ AAAA {name} 2001:db8::bad -> 2001:db8:" in text
    assert f"A web-2.{named.domain} (192.0.2.99) is not ours; it is left alone" in text
    assert "DNS records to write or remove" in text
    zones = plan_json(dry)["zones"]
    assert isinstance(zones, list) and len(zones) == 6
    named.powerdns.stop()
    try:
        gone = named.lab.dry(only=("web-1",))
    finally:
        named.powerdns.start()
    assert "not reached: " in render_plan(gone, Paint())
    names = ", ".join(f"n{number}.{named.domain}" for number in range(MOST))
    named.lab.write({"vms/vms.yaml": f"web-3: {{package: small, dns: {{names: [{names}]}}}}\n"})
    assert "    and " in render_plan(named.lab.dry(), Paint())
