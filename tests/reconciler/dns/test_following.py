"""DNS on real servers: forward and reverse follow the VMs, and nothing else is touched."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from reconciler.skips import FOLLOWS
from tests.nameservers import Bind, PowerDNS
from tests.reconciler.dns.naming import NamedLab, named_lab

TWO = "web: {package: small, count: 2}\n"


@pytest.fixture
def named(tmp_path: Path, bind: Bind, powerdns: PowerDNS) -> NamedLab:
    """Two VMs with both families, named in three zones on each of two servers."""
    return named_lab(tmp_path, bind, powerdns, TWO)


def addresses(named: NamedLab, key: str) -> dict[str, str]:
    with named.lab.store() as store:
        return {one.family: one.address for one in store.leases.of(key)}


def reverse(named: NamedLab, address: str) -> tuple[str, ...]:
    return named.dig(ip_address(address).reverse_pointer, "PTR")


def test_forward_and_reverse_stand_on_every_server_once_a_vm_is_made(named: NamedLab) -> None:
    """DEP-14, DNS-03, DNS-09: the lines, the counts in the summary and in the VM's log."""
    summary = named.lab.run()
    assert (summary.ready, summary.forward_ok, summary.rev_ok) == (2, 4, 8)
    assert (summary.forward_err, summary.rev_err) == (0, 0)
    for number in (1, 2):
        own, name = addresses(named, f"web/{number}"), f"web-{number}.{named.domain}"
        assert named.dig(name) == (own["ipv4"],)
        assert named.dig(name, "AAAA") == (own["ipv6"],)
        assert [reverse(named, one) for one in own.values()] == [(f"{name}.",)] * 2
    own, name = addresses(named, "web/1"), f"web-1.{named.domain}"
    lines = named.lines()
    assert f"· fwd OK [rfc2136] {named.domain} ← {name} (2 IPs)" in lines
    zone = ip_address(own["ipv4"]).reverse_pointer.partition(".")[2]
    assert f"· rev OK [powerdns] {zone} ← {own['ipv4']} → {name}" in lines
    with named.lab.store() as store:
        steps = store.journal.vm_runs("web/1", 1)[0].steps
    assert [step.detail for step in steps if step.after == "set_dns"] == [FOLLOWS]
    assert steps[-1].detail == "forward_ok=2 forward_err=0 rev_ok=4 rev_err=0"


def test_a_quiet_run_asks_each_zone_once_and_reads_none(named: NamedLab) -> None:
    named.lab.run()
    asked = named.watch()
    summary = named.lab.run()
    assert named.lines() == []
    assert (summary.forward_ok, summary.rev_ok) == (0, 0)
    assert asked == ["serial"] * 6


def test_a_record_that_was_deleted_comes_back_and_a_wrong_one_is_corrected(
    named: NamedLab,
) -> None:
    """C-18: create missing, change wrong."""
    named.lab.run()
    own, name = addresses(named, "web/1"), f"web-1.{named.domain}"
    named.by_hand(f"update delete {name} A")
    named.by_hand(f"update delete {name} AAAA", f"update add {name} 300 AAAA 2001:db8::bad")
    summary = named.lab.run()
    assert summary.forward_ok == 2
    assert named.dig(name) == (own["ipv4"],)
    assert named.dig(name, "AAAA") == (own["ipv6"],)


def test_a_hand_made_record_survives_everything(named: NamedLab) -> None:
    """DNS-07: never overwritten, and the VM says so; it ends when the record is gone."""
    taken, other = f"web-1.{named.domain}", f"printer.{named.domain}"
    named.by_hand(f"update add {taken} 300 A 192.0.2.99", f"update add {other} 300 A 192.0.2.98")
    named.lab.run()
    assert named.dig(taken) == ("192.0.2.99",)
    assert named.dig(taken, "AAAA") == ()
    conditions = named.conditions("web/1")
    assert "is not ours; it is left alone" in conditions["RecordConflict"]
    assert "RecordConflict" not in named.conditions("web/2")
    named.lab.run()
    assert "RecordConflict" in named.conditions("web/1")
    named.by_hand(f"update delete {taken} A")
    named.lab.run()
    assert named.dig(taken) == (addresses(named, "web/1")["ipv4"],)
    assert "RecordConflict" not in named.conditions("web/1")
    assert named.dig(other) == ("192.0.2.98",)


def test_a_renamed_vm_leaves_no_record_behind(named: NamedLab) -> None:
    """CP-02: old records go, new ones come."""
    named.lab.run()
    named.lab.write({"vms/vms.yaml": 'web: {package: small, count: 2, name: "new-{{ index }}"}\n'})
    named.lab.settle()
    own = addresses(named, "web/1")
    assert named.dig(f"web-1.{named.domain}") == ()
    assert named.dig(f"new-1.{named.domain}") == (own["ipv4"],)
    assert reverse(named, own["ipv6"]) == (f"new-1.{named.domain}.",)
    assert any(line.startswith("· fwd-del OK [powerdns]") for line in named.lines()) is False


def test_names_of_ones_own_stand_beside_the_vms_name(named: NamedLab) -> None:
    """DNS-10: extra names, aliases, reverse names; and they go when the spec drops them."""
    dns = (
        f"dns: {{names: [www.{named.domain}], cnames: [shop.{named.domain}],"
        f" reverse: {{net0.ipv4: mail.{named.domain}}}}}"
    )
    named.lab.write({"vms/vms.yaml": f"one: {{package: small, {dns}}}\n"})
    named.lab.run()
    own = addresses(named, "one")
    assert named.dig(f"www.{named.domain}") == (own["ipv4"],)
    assert named.dig(f"shop.{named.domain}", "CNAME") == (f"one.{named.domain}.",)
    assert reverse(named, own["ipv4"]) == (f"mail.{named.domain}.",)
    named.lab.write({"vms/vms.yaml": "one: {package: small}\n"})
    named.lab.run()
    assert named.dig(f"www.{named.domain}") == ()
    assert named.dig(f"shop.{named.domain}", "CNAME") == ()
    assert reverse(named, own["ipv4"]) == (f"one.{named.domain}.",)


def test_a_terminated_vm_leaves_no_record_behind(named: NamedLab) -> None:
    """TERM-05: its records go with it, a hand-made one beside them stays."""
    named.lab.run()
    own, name = addresses(named, "web/2"), f"web-2.{named.domain}"
    named.by_hand(f"update add {name} 300 TXT by-hand")
    named.lab.write(
        {"vms/vms.yaml": "web: {package: small, count: 1}\nweb-2: {package: small, was: web/2}\n"}
    )
    named.lab.run()
    assert named.dig(name) == (own["ipv4"],)
    named.lab.write({"vms/vms.yaml": "web: {package: small, count: 1}\nweb-2: {state: absent}\n"})
    (planned,) = (vm for vm in named.lab.dry().vms if vm.kind == "destroy")
    assert planned.details[-1] == "8 DNS records"
    said = []
    for _ in range(8):
        named.lab.run()
        said += named.lines()
        named.lab.clock.sleep(60)
    assert named.dig(name) == named.dig(name, "AAAA") == ()
    assert [reverse(named, one) for one in own.values()] == [(), ()]
    assert named.dig(name, "TXT") == ('"by-hand"',)
    with named.lab.store() as store:
        assert {key for row in store.zones.all() for key in row.keys} == {"web/1"}


def test_a_provider_that_is_down_holds_nothing_up_and_gets_its_records_later(
    named: NamedLab,
) -> None:
    """DEP-14, DNS-08: VMs become ready; the words stand in the condition; nothing twice."""
    named.powerdns.stop()
    try:
        summary = named.lab.run()
    finally:
        named.powerdns.start()
    assert (summary.ready, summary.failed) == (2, 0)
    assert summary.forward_err > 0 and summary.rev_err > 0
    assert "refused" in named.conditions("web/1")["DNSReady"].lower()
    assert any(line.startswith("· fwd ERR [powerdns]") for line in named.lines())
    named.lab.run()
    assert named.lines() == []
    assert "DNSReady" in named.conditions("web/1")
    named.lab.clock.sleep(60)
    named.lab.run()
    assert "DNSReady" not in named.conditions("web/1")
    assert named.dig(f"web-1.{named.domain}") == (addresses(named, "web/1")["ipv4"],)


def test_a_broken_spec_and_a_run_for_others_leave_records_alone(named: NamedLab) -> None:
    named.lab.run()
    name = f"web-1.{named.domain}"
    held = named.dig(name)
    named.lab.write(
        {"vms/vms.yaml": "web: {package: nowhere, count: 2}\nother: {package: small}\n"}
    )
    named.lab.run()
    assert named.dig(name) == held
    named.lab.write({"vms/vms.yaml": "other: {package: small}\n"})
    named.lab.run(only=("other",))
    assert named.dig(name) == held
    assert named.dig(f"other.{named.domain}") != ()


def test_a_dry_run_lists_records_and_writes_none(named: NamedLab) -> None:
    before = named.bind.log(), named.lab.bytes()
    dry = named.lab.dry()
    assert {len(zone.changes) for zone in dry.zones} == {2, 4}
    assert all(zone.problem == "" for zone in dry.zones)
    assert named.dig(f"web-1.{named.domain}") == ()
    assert named.lab.bytes() == before[1]
    named.lab.run()
    dry = named.lab.dry()
    assert [zone.changes for zone in dry.zones] == [()] * 6
    assert {(zone.wanted, zone.held) for zone in dry.zones} == {(2, 2), (4, 4)}
    assert not dry.differs
