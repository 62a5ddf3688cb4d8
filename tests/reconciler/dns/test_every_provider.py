"""One fleet's zone on every kind of provider at once, and no secret of any in what is shown."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from reconciler.show.events import JsonReporter
from reconciler.show.run import TextReporter
from reconciler.show.text import Paint
from tests.nameservers import Bind, PowerDNS
from tests.reconciler.dns.naming import NamedLab, named_lab, secret_file
from tests.servers.cloudflare import Cloudflare
from tests.servers.hestia import Hestia
from tests.servers.providers import (
    RIGHT,
    WRONG,
    CloudflareDouble,
    Ground,
    HestiaDouble,
    OctoYaml,
    driver,
)

TWO = "web: {package: small, count: 2}\n"


@pytest.fixture
def grounds(tmp_path: Path) -> Iterator[tuple[Ground, ...]]:
    """The providers beside BIND and PowerDNS."""
    with ExitStack() as stack:
        cloudflare, hestia = Cloudflare("t0ken-of-cloudflare"), Hestia("p4ss-of-hestia", "")
        stack.callback(cloudflare.close)
        stack.callback(hestia.close)
        files = tmp_path / "octodns"
        files.mkdir()
        yield CloudflareDouble(cloudflare), HestiaDouble(hestia), OctoYaml(files)


@pytest.fixture
def named(tmp_path: Path, bind: Bind, powerdns: PowerDNS, grounds: tuple[Ground, ...]) -> NamedLab:
    """Two VMs in zones on BIND and PowerDNS, and their forward zone on all others too."""
    named = named_lab(tmp_path, bind, powerdns, TWO)
    for ground in grounds:
        ground.zone(named.domain)
    write_zones(named, grounds, RIGHT)
    return named


def write_zones(named: NamedLab, grounds: tuple[Ground, ...], secret: str) -> None:
    """The zones of the other providers, with the right secrets or wrong ones."""
    zones = {}
    for ground in grounds:
        which = ground.secrets[(RIGHT, WRONG).index(secret)]
        file = secret_file(named.lab.fleet, ground.name, which)
        section = yaml.safe_dump(dict(ground.section(RIGHT, down=False))).replace(RIGHT, file)
        zones[f"{named.domain}@{ground.name}"] = {ground.name: yaml.safe_load(section)}
    named.lab.write({"zones/others.yaml": yaml.safe_dump(zones)})


def shown(named: NamedLab, caplog: pytest.LogCaptureFixture) -> str:
    """Everything that the last run said, in every form, and what the store holds open."""
    lines: list[str] = []
    for reporter in (
        TextReporter(lines.append, Paint(), verbose=True),
        JsonReporter(lines.append, verbose=True),
    ):
        reporter.report(*named.lab.told.events)
    rows = b"".join(path.read_bytes() for path in named.lab.database.parent.glob("*.db*"))
    return "\n".join([*lines, repr(named.lab.told.events), caplog.text, rows.decode("latin-1")])


def values(ground: Ground, zone: str) -> dict[tuple[str, str], frozenset[str]]:
    held = driver(ground, zone).read()
    return {(one.name, one.type): one.values for one in held if one.name != zone}


def test_a_zone_is_kept_equal_on_every_provider(
    named: NamedLab, grounds: tuple[Ground, ...]
) -> None:
    """DNS-01, DNS-03."""
    named.lab.settle()
    wanted = {
        (f"web-{n}.{named.domain}", kind): frozenset(named.dig(f"web-{n}.{named.domain}", kind))
        for n in (1, 2)
        for kind in ("A", "AAAA")
    }
    assert all(wanted.values())
    for ground in grounds:
        assert values(ground, named.domain) == wanted, ground.name
    named.lab.write({"vms/vms.yaml": "web: {package: small, count: 2, dns: {records: off}}\n"})
    named.lab.settle()
    for ground in grounds:
        assert values(ground, named.domain) == {}, ground.name


def test_a_quiet_run_writes_to_no_provider(named: NamedLab) -> None:
    named.lab.settle()
    asked = named.watch()
    named.lab.run()
    assert not [one for one in asked if one.startswith("apply")]


def test_no_secret_is_in_anything_that_a_run_shows(
    named: NamedLab, grounds: tuple[Ground, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """DNS-13: right keys and wrong ones, at the most talkative."""
    hidden = [named.bind.secret, named.powerdns.api_key]
    hidden += [secret for ground in grounds for secret in ground.secrets]
    with caplog.at_level(logging.DEBUG):
        write_zones(named, grounds, WRONG)
        named.lab.run()
        text = shown(named, caplog)
        assert text.count("fwd ERR") >= len(grounds)
        write_zones(named, grounds, RIGHT)
        named.lab.settle()
        text += shown(named, caplog)
    assert not [secret for secret in hidden if secret in text]
