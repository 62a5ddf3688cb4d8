"""A zone's turn when things go wrong: kills, refusals, strangers in between, time that runs out."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.dns.zone import HOPELESS
from state.drivers import (
    Applied,
    BadKey,
    DNSError,
    DNSRefused,
    DNSUnreachable,
    RRChange,
    RRset,
    ZoneDriver,
)
from tests.lab import Killed
from tests.nameservers import Bind, PowerDNS
from tests.reconciler.dns.naming import NamedLab, Watched, named_lab

ONE = "web-1: {package: small}\n"


@pytest.fixture
def named(tmp_path: Path, bind: Bind, powerdns: PowerDNS) -> NamedLab:
    """One VM that is made and named already."""
    found = named_lab(tmp_path, bind, powerdns, ONE)
    found.lab.run()
    return found


class Between(Watched):
    """A driver that has something happen before or after a call, or instead of it."""

    def __init__(
        self,
        driver: ZoneDriver,
        before: Callable[[Sequence[RRChange]], None] = lambda batch: None,
        after: Callable[[], None] = lambda: None,
        read: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(driver, [])
        self._before, self._after, self._reading = before, after, read

    def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
        self._before(batch)
        answers = super().apply(batch)
        self._after()
        return answers

    def read(self) -> tuple[RRset, ...]:
        found = super().read()
        self._reading()
        return found


def killed(*args: object) -> None:
    raise Killed("here")


def add_name(named: NamedLab, name: str) -> str:
    """Ask for one more name; the whole of it."""
    whole = f"{name}.{named.domain}"
    dns = f"dns: {{names: [{whole}]}}"
    named.lab.write({"vms/vms.yaml": f"web-1: {{package: small, {dns}}}\n"})
    return whole


@pytest.mark.parametrize("kill", ["before", "after", "read"])
def test_a_run_killed_anywhere_leaves_no_stranger_behind(named: NamedLab, kill: str) -> None:
    """A write whose answer nobody heard is ours all the same: kept, and later removed."""
    whole = add_name(named, "www")
    named.lab.driven = lambda driver: Between(driver, **{kill: killed})
    with pytest.raises(Killed):
        named.lab.run()
    named.lab.driven = lambda driver: driver
    named.lab.run()
    assert "RecordConflict" not in named.conditions("web-1")
    assert named.dig(whole) != ()
    with named.lab.store() as store:
        assert not any(row.pending for row in store.zones.all())
    named.lab.write({"vms/vms.yaml": ONE})
    named.lab.run()
    assert named.dig(whole) == ()


def test_who_comes_between_reading_and_writing_is_not_overwritten(named: NamedLab) -> None:
    """Compare-and-set: the update is refused, the zone read again, the stranger left."""
    whole = add_name(named, "www")

    def stranger(batch: Sequence[RRChange]) -> None:
        if not named.bind.dig(whole):
            named.by_hand(f"update add {whole} 300 A 192.0.2.99")

    named.lab.driven = lambda driver: Between(driver, before=stranger)
    named.lab.run()
    assert named.dig(whole) == ("192.0.2.99",)
    assert "RecordConflict" in named.conditions("web-1")


def refusing(error: DNSError, only: str = "") -> Callable[[ZoneDriver], ZoneDriver]:
    class Refusing(Watched):
        def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
            fine = [one for one in batch if only and only not in one.rrset.name]
            done = {one.change: one for one in (super().apply(fine) if fine else ())}
            return [done.get(one) or Applied(one, error) for one in batch]

    return lambda driver: Refusing(driver, [])


def test_one_refused_record_stops_no_other_and_is_tried_again_later(named: NamedLab) -> None:
    """DNS-08: each record isolated, attempts with back-off, the provider's own words."""
    whole = add_name(named, "www")
    named.lab.write({"vms/more.yaml": "web-2: {package: small}\n"})
    named.lab.driven = refusing(DNSRefused("that name is on our list"), only="www")
    summary = named.lab.run()
    assert named.dig(f"web-2.{named.domain}") != ()
    assert (summary.forward_ok, summary.forward_err) == (2, 2)
    assert named.conditions("web-1")["DNSReady"].endswith("that name is on our list")
    assert "DNSReady" not in named.conditions("web-2")
    with named.lab.store() as store:
        (first,) = [one for one in store.attempts.of(f"zone {named.domain}@bind").values()][:1]
        assert (first.count, first.error) == (1, "that name is on our list")
    assert named.lab.run().forward_err == 0
    assert "DNSReady" in named.conditions("web-1")
    named.lab.driven = lambda driver: driver
    named.lab.clock.sleep(30)
    assert named.lab.run().forward_ok == 2
    assert named.dig(whole) != ()
    assert "DNSReady" not in named.conditions("web-1")
    with named.lab.store() as store:
        assert not store.attempts.of(f"zone {named.domain}@bind")


def test_a_refused_record_that_nobody_wants_any_more_is_forgotten(named: NamedLab) -> None:
    add_name(named, "www")
    named.lab.driven = refusing(DNSRefused("no"))
    named.lab.run()
    named.lab.write({"vms/vms.yaml": ONE})
    named.lab.run()
    assert "DNSReady" not in named.conditions("web-1")
    with named.lab.store() as store:
        assert not store.attempts.of(f"zone {named.domain}@bind")


@pytest.mark.parametrize("error", [BadKey("the key is wrong"), DNSUnreachable("nobody there")])
def test_what_concerns_the_whole_zone_is_told_once_and_pauses_it(
    named: NamedLab, error: DNSError
) -> None:
    add_name(named, "www")
    named.lab.driven = refusing(error)
    named.lab.run()
    assert named.conditions("web-1")["DNSReady"].endswith(error.text)
    with named.lab.store() as store:
        assert set(store.attempts.of(f"zone {named.domain}@bind")) == {"zone"}
    asked = named.watch()
    named.lab.run()
    assert asked == ["serial"] * 4
    assert "DNSReady" in named.conditions("web-1")


def test_a_provider_that_refuses_everything_is_not_asked_for_each_record(
    named: NamedLab,
) -> None:
    names = ", ".join(f"n{number}.{named.domain}" for number in range(HOPELESS + 10))
    dns = f"dns: {{names: [{names}]}}"
    named.lab.write({"vms/vms.yaml": f"web-1: {{package: small, {dns}}}\n"})
    tried: list[int] = []

    class Small(Watched):
        def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
            tried.append(len(batch))
            return [Applied(one, DNSRefused("no")) for one in batch]

    def small(driver: ZoneDriver) -> ZoneDriver:
        found = Small(driver, [])
        found.limits = type(driver.limits)(batch=10)
        return found

    named.lab.driven = small
    named.lab.run()
    assert sum(tried) == 2 * HOPELESS


def test_a_secret_that_cannot_be_read_is_the_zones_trouble_alone(named: NamedLab) -> None:
    """DNS-13: said by its reference."""
    add_name(named, "www")
    for path in named.lab.fleet.parent.glob("tsig.secret"):
        path.unlink()
    summary = named.lab.run()
    assert summary.failed == 0
    words = named.conditions("web-1")["DNSReady"]
    assert "tsig.secret" in words and named.bind.secret not in words


def test_an_error_that_nobody_foresaw_is_that_zones_trouble(
    named: NamedLab, caplog: pytest.LogCaptureFixture
) -> None:
    add_name(named, "www")

    def odd(batch: Sequence[RRChange]) -> None:
        raise ZeroDivisionError("odd")

    named.lab.driven = lambda driver: Between(driver, before=odd)
    assert named.lab.run().failed == 0
    assert "ZeroDivisionError: odd" in caplog.text
    assert any("ZeroDivisionError: odd" in line for line in named.lines())


def test_a_provider_that_keeps_another_ttl_is_not_written_to_for_ever(named: NamedLab) -> None:
    class Rounding(Watched):
        def read(self) -> tuple[RRset, ...]:
            return tuple(replace(one, ttl=3600) for one in super().read())

    asked: list[str] = []
    named.lab.driven = lambda driver: Rounding(driver, asked)
    named.lab.clock.sleep(25 * 3600)
    assert named.lab.run().forward_ok == 2
    assert "the provider shows TTL 3600" in named.conditions("web-1")["DNSReady"]
    assert sum(one.startswith("apply") for one in asked) == 6
    asked.clear()
    assert named.lab.run().forward_ok == 0
    assert asked == ["serial"] * 6
    named.lab.clock.sleep(30)
    assert named.lab.run().forward_ok == 2
    named.lab.clock.sleep(30)
    assert named.lab.run().forward_ok == 0
    named.lab.driven = lambda driver: driver
    named.lab.clock.sleep(25 * 3600)
    named.lab.run()
    assert "DNSReady" not in named.conditions("web-1")


def test_a_zone_is_read_again_once_its_reading_is_old(named: NamedLab) -> None:
    named.lab.clock.sleep(25 * 3600)
    asked = named.watch()
    named.lab.run()
    assert sorted(asked) == ["read"] * 6 + ["serial"] * 6


def test_after_the_time_is_out_no_zone_is_begun(named: NamedLab) -> None:
    add_name(named, "www")
    asked = named.watch()
    named.lab.run(time_limit=0.0)
    assert asked == []
    assert any("the time was out" in str(event) for event in named.lab.told.events)
