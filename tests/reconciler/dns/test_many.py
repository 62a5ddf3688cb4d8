"""A hundred VMs at once on BIND and PowerDNS: every record right, none stale, none twice."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path
from secrets import token_hex

import pytest

from desired.source import Fleet
from desired.spec import VMSpec
from desired.zones import ZoneSpec, rdns_hint
from reconciler.config import Opened
from reconciler.dns.farewell import Farewell
from reconciler.dns.fleet import FleetZones, Settled, by_server, verify_every
from reconciler.dns.tickets import EVENT
from state.memory import Binding, Lease, Phase
from state.store import Store
from tests.lab import LabClock, Told
from tests.nameservers import KEY, Bind, PowerDNS
from tests.reconciler.dns.naming import secret_file

MANY = 100
AT = datetime(2027, 1, 15, tzinfo=UTC)


class Fold:
    """VMs that exist by the store alone, named in zones on two servers."""

    def __init__(
        self, folder: Path, store: Store, bind: Bind, powerdns: PowerDNS, wide: bool = False
    ) -> None:
        self.domain, self.store, self.folder = f"z{token_hex(4)}.example", store, folder
        tens, length = int(token_hex(1), 16), 16 if wide else 24
        third = 0 if wide else int(token_hex(1), 16)
        self.v4 = ip_network(f"10.{tens}.{third}.0/{length}")
        self.v6 = ip_network(f"2001:db8:{token_hex(2)}:{token_hex(2)}::/64")
        self.servers = (bind, powerdns)
        self.zones: dict[str, ZoneSpec] = {}
        tsig = {"name": KEY, "secret": secret_file(folder, "tsig", bind.secret)}
        first = {"rfc2136": {"server": "127.0.0.1", "port": bind.port, "key": tsig}}
        api_key = secret_file(folder, "api", powerdns.api_key)
        second = {"powerdns": {"url": powerdns.url, "api_key": api_key}}
        for name in (self.domain, rdns_hint(self.v4), rdns_hint(self.v6)):
            self.add(bind.zone(name), "bind", first)
            self.add(powerdns.zone(name), "pdns", second)
        self.specs: dict[str, VMSpec] = {}
        self.told = Told()

    def add(self, name: str, label: str, fields: Mapping[str, object]) -> None:
        zone = ZoneSpec.model_validate({"name": name, "label": label, **fields})
        self.zones[zone.id] = zone

    def make(self, number: int, **more: object) -> str:
        """One machine that is there, with an address of each family."""
        key = f"vm-{number}"
        plain = {"key": key, "cluster": "lab", "name": key, "domain": self.domain}
        self.specs[key] = VMSpec.model_validate({**plain, "nics": {"net0": {}}, **more})
        self.store.bindings.bind(
            Binding(key, "lab", 100 + number, key, uuid=key, phase=Phase.READY, created_at=AT)
        )
        self.lease(key, number)
        return key

    def lease(self, key: str, number: int) -> None:
        for family, network in (("ipv4", self.v4), ("ipv6", self.v6)):
            address = str(network[number + 1])
            self.store.leases.take(Lease(key, "net0", family, 0, address, 24, "p"))  # type: ignore[arg-type]

    def opened(self) -> Opened:
        fleet = Fleet("demo", {}, self.specs, zones=self.zones, folder=str(self.folder))
        return Opened(fleet, self.store, self.folder, False)

    def settle(self) -> Settled:
        clock = LabClock()
        return FleetZones(self.opened(), self.told, clock, lambda: False).settle(self.specs)

    def dig(self, questions: Sequence[tuple[str, str]]) -> list[list[str]]:
        """What each server answers to all questions, in one go."""
        asked = self.folder / "questions"
        asked.write_text("".join(f"{name} {kind} +short\n" for name, kind in questions))
        found = []
        for server in self.servers:
            command = ["dig", "@127.0.0.1", "-p", str(server.port), "-f", str(asked)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found.append(done.stdout.split())
        return found


@pytest.fixture
def fold(tmp_path: Path, bind: Bind, powerdns: PowerDNS) -> Iterator[Fold]:
    with Store.temporary(at=AT) as store:
        yield Fold(tmp_path, store, bind, powerdns)


def questions(fold: Fold, keys: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Every question that the VMs' records answer, and the answers."""
    asked, answers = [], []
    for key in keys:
        name = f"{key}.{fold.domain}"
        for lease in fold.store.leases.of(key):
            asked.append((name, "A" if lease.family == "ipv4" else "AAAA"))
            asked.append((ip_address(lease.address).reverse_pointer, "PTR"))
            answers += [lease.address, f"{name}."]
    return asked, answers


def test_a_hundred_vms_are_right_by_dig_on_every_server_and_stay_so(fold: Fold) -> None:
    """DNS-03, DNS-05; CP-02: moved addresses leave no stale record; TERM-05: nor do ended VMs."""
    keys = [fold.make(number) for number in range(MANY)]
    settled = fold.settle()
    assert not any(turn.trouble for turn in settled.turns)
    assert (settled.counts.forward_ok, settled.counts.rev_ok) == (2 * MANY, 4 * MANY)
    asked, answers = questions(fold, keys)
    assert fold.dig(asked) == [answers, answers]
    assert all(turn.quiet for turn in fold.settle().turns)

    for key in keys[:20]:
        for lease in fold.store.leases.of(key):
            fold.store.leases.release(lease)
        fold.lease(key, int(key[3:]) + 120)
    for key in keys[-20:]:
        binding = fold.store.bindings.of(key)
        assert binding is not None
        fold.store.bindings.change(replace(binding, phase=Phase.ABANDONED))
    fold.settle()
    moved, right = questions(fold, keys[:-20])
    assert fold.dig(moved) == [right, right]
    gone = [one for one in asked if one not in moved]
    assert len(gone) >= 80
    assert fold.dig(gone) == [[], []]
    held = {(row.zone, row.name, row.type) for row in fold.store.zones.all()}
    assert len(held) == 2 * 4 * (MANY - 20)


def test_zones_of_one_server_have_their_turns_one_after_the_other(fold: Fold) -> None:
    turns = fold.settle().turns
    assert [len(group) for group in by_server(turns)] == [3, 3]
    kinds = {
        "cloudflare": {"token": "env:T"},
        "octodns": {"provider": "a.B"},
        "hestiacp": {"url": "https://h.example", "password": "env:P", "owner": "ann"},
    }
    servers = [
        ZoneSpec.model_validate({"name": "example.net", kind: fields}).server
        for kind, fields in kinds.items()
    ]
    assert servers == [
        ("cloudflare", "https://api.cloudflare.com/client/v4"),
        ("octodns", "a.B"),
        ("hestiacp", "https://h.example"),
    ]


def test_a_small_fleets_zones_are_verified_more_often(fold: Fold) -> None:
    fleet = fold.opened().fleet
    days = [verify_every(fleet, number).total_seconds() / 86400 for number in (499, 500)]
    assert days == [15 / 1440, 1]
    assert verify_every(replace(fleet, verify_every=60.0), 1).total_seconds() == 60


def test_of_many_records_that_cannot_be_written_some_are_told(fold: Fold) -> None:
    for number in range(30):
        fold.make(number)
    secret = fold.folder / "api.secret"
    secret.unlink()
    fold.settle()
    texts = [getattr(one, "text", "") for one in fold.told.events]
    assert sum(text.startswith("· fwd ERR [powerdns]") for text in texts) == 10
    assert f"· and 40 more records of {fold.domain}@pdns" in texts
    fold.told.events.clear()
    fold.settle()
    texts = [getattr(one, "text", "") for one in fold.told.events]
    assert sum(text.startswith("· and ") for text in texts) == 0
    assert sum("[powerdns]: " in text for text in texts) == 3


def test_a_farewell_removes_what_is_one_vms_alone(fold: Fold) -> None:
    """TERM-05: the lines of DNS-09; a shared name loses only its share, at the zone's turn."""
    shared = {"dns": {"names": [f"www.{fold.domain}"]}}
    keys = [fold.make(number, **shared) for number in range(2)]
    fold.settle()
    lines = list(Farewell(fold.opened()).records(keys[0]))
    assert f"· fwd-del OK [rfc2136] {fold.domain} ← vm-0.{fold.domain}" in lines
    assert len([line for line in lines if line.startswith("· rev-del OK")]) == 4
    www = [(f"www.{fold.domain}", "A")]
    assert [len(answers) for answers in fold.dig(www)] == [2, 2]
    assert fold.dig([(f"vm-0.{fold.domain}", "A")]) == [[], []]


def test_a_farewell_that_fails_is_told_and_left_to_the_zones_turn(fold: Fold) -> None:
    """TERM-05: per-zone errors hold nothing back; a zone that is no longer ours is left out."""
    key = fold.make(0)
    fold.settle()
    (fold.folder / "api.secret").unlink()
    del fold.zones[f"{rdns_hint(fold.v4)}@bind"]
    lines = list(Farewell(fold.opened()).records(key))
    assert sum(" OK [rfc2136] " in line for line in lines) == 2
    assert sum(" ERR [powerdns] " in line for line in lines) == 4 - 1
    assert len(fold.store.zones.of(key)) == 4 + 1


def test_reverse_names_that_no_zone_takes_are_asked_for_once_dns_11(fold: Fold) -> None:
    dns = {"ticket": "network", "reverse": {"net0.ipv4": "mail.example.org"}}
    fold.make(0, dns=dns)
    fold.make(1)
    for id in [one for one in fold.zones if one.startswith(rdns_hint(fold.v4))]:
        del fold.zones[id]
    fold.settle()
    fold.settle()
    (event,) = (one for one in fold.store.outbox.waiting() if one.event == EVENT)
    address = str(fold.v4[1])
    assert event.key == "vm-0"
    assert event.detail == {"address": address, "name": "mail.example.org", "department": "network"}
    fold.zones.clear()
    fold.settle()
    assert len([one for one in fold.store.outbox.waiting() if one.event == EVENT]) == 2
