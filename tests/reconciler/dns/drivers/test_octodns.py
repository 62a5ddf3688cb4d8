"""Any provider of octoDNS: what it cannot hold, half-done writes, its own kinds of errors."""

import sys
from pathlib import Path

import pytest

from desired.zones import ZoneSpec
from reconciler.dns.drivers.opening import open_driver
from state.drivers import (
    BadKey,
    DNSError,
    DNSRefused,
    DNSUnreachable,
    ZoneDriver,
    ZoneNotFound,
)
from state.secret import Secret
from tests.reconciler.dns.drivers.records import create, errors, held, put, rrset

ZONE = "example.net"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a provider with an empty zone."""
    (tmp_path / "token").write_text("t0ken")
    (tmp_path / f"{ZONE}.yaml").write_text("---\n{}\n")
    return tmp_path


def opened(folder: Path, provider: str = "tests.servers.octo.GuardedYaml") -> ZoneDriver:
    section = {
        "provider": provider,
        "options": {"directory": str(folder)},
        "secrets": {"token": "env:TOKEN"},
    }
    spec = ZoneSpec.model_validate({"name": ZONE, "octodns": section})
    return open_driver(spec, lambda _: Secret("t0ken"))


def test_the_files_of_octodns_hold_what_was_written(folder: Path) -> None:
    put(opened(folder), *create(rrset(f"a.{ZONE}", "A", "192.0.2.1", ttl=600)))
    text = (folder / f"{ZONE}.yaml").read_text()
    assert "192.0.2.1" in text and "600" in text


def test_without_octodns_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "octodns.zone", None)
    with pytest.raises(DNSRefused, match=r"pve-reconcile\[octodns\]"):
        opened(folder).check()


@pytest.mark.parametrize("provider", ("tests.servers.octo.Missing", "nowhere.to.be.Found"))
def test_a_class_that_is_not_there_is_named(folder: Path, provider: str) -> None:
    with pytest.raises(DNSRefused, match="no such class"):
        opened(folder, provider).check()


def test_options_that_a_class_does_not_take_are_told(folder: Path) -> None:
    with pytest.raises(DNSRefused, match="TypeError"):
        opened(folder, "octodns.provider.base.BaseProvider").check()


def test_what_the_provider_refuses_fails_alone(folder: Path) -> None:
    wanted = [rrset(f"n{n}.{ZONE}", "A", "192.0.2.1") for n in range(9)]
    wanted[4] = rrset(f"refused.{ZONE}", "A", "192.0.2.1")
    found = errors(opened(folder).apply(create(*wanted)))
    assert [at for at, error in enumerate(found) if error] == [4]
    assert isinstance(found[4], DNSRefused) and "ProviderException" in found[4].text
    assert len(held(opened(folder), "A")) == 8


def test_what_a_failed_write_did_write_is_not_written_twice(folder: Path) -> None:
    """The provider writes all and then says no: the next reading finds it done."""
    wanted = [rrset(f"n{n}.{ZONE}", "A", "192.0.2.1") for n in range(4)]
    assert (
        errors(opened(folder, "tests.servers.octo.Faltering").apply(create(*wanted))) == [None] * 4
    )
    assert len(held(opened(folder), "A")) == 4


def test_a_type_that_the_provider_lacks_is_refused(folder: Path) -> None:
    (error,) = errors(
        opened(folder, "tests.servers.octo.OnlyA").apply(create(rrset(f"a.{ZONE}", "AAAA", "::1")))
    )
    assert isinstance(error, DNSRefused) and "no records of type AAAA" in error.text


def test_a_value_that_octodns_does_not_take_is_refused(folder: Path) -> None:
    (error,) = errors(opened(folder).apply(create(rrset(f"a.{ZONE}", "A", "192.0.2.500"))))
    assert isinstance(error, DNSRefused) and "ValidationError" in error.text


@pytest.mark.parametrize(
    ("name", "kind"),
    (
        ("status-401", BadKey),
        ("status-403", BadKey),
        ("status-404", ZoneNotFound),
        ("status-500", DNSUnreachable),
        ("forbidden", BadKey),
        ("notfound", ZoneNotFound),
        ("timeout", DNSUnreachable),
        ("other", DNSRefused),
    ),
)
def test_errors_of_plug_ins_are_sorted(folder: Path, name: str, kind: type[DNSError]) -> None:
    """DNS-13: and none shows the token."""
    (folder / "fails").write_text(name)
    with pytest.raises(DNSError) as caught:
        opened(folder, "tests.servers.octo.Failing").read()
    assert type(caught.value) is kind
    assert "t0ken" not in str(caught.value) and "***" in str(caught.value)


def test_a_provider_without_the_zone_says_so(folder: Path) -> None:
    (folder / f"{ZONE}.yaml").unlink()
    with pytest.raises(ZoneNotFound, match="has no zone"):
        opened(folder).read()
