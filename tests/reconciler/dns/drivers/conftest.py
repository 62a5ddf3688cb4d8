"""The providers that every driver's tests run against."""

from collections.abc import Iterator
from itertools import count

import pytest

from tests.servers.cloudflare import Cloudflare
from tests.servers.hestia import Hestia
from tests.servers.providers import (
    CloudflareDouble,
    Ground,
    HestiaDouble,
    OctoYaml,
    PowerDnsApi,
    Updates,
)

GROUNDS = ("rfc2136-bind", "rfc2136-powerdns", "powerdns", "cloudflare", "hestiacp", "octodns")
_numbers = count(1)


@pytest.fixture
def number() -> int:
    """A number of this test's own, for zones of its own."""
    return next(_numbers)


@pytest.fixture(scope="session")
def cloudflare() -> Iterator[Cloudflare]:
    server = Cloudflare("right-token-of-forty-characters-and-more")
    yield server
    server.close()


@pytest.fixture(scope="session")
def hestia() -> Iterator[Hestia]:
    server = Hestia("adm!n & päss", f"{'A' * 20}:{'k/' * 20}")
    yield server
    server.close()


@pytest.fixture(params=GROUNDS)
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """Each provider in turn."""
    name: str = request.param
    match name:
        case "rfc2136-bind":
            return Updates(request.getfixturevalue("bind"), name)
        case "rfc2136-powerdns":
            return Updates(request.getfixturevalue("powerdns"), name)
        case "powerdns":
            return PowerDnsApi(request.getfixturevalue("powerdns"))
        case "cloudflare":
            return CloudflareDouble(request.getfixturevalue("cloudflare"))
        case "hestiacp":
            return HestiaDouble(request.getfixturevalue("hestia"))
    return OctoYaml(tmp_path_factory.mktemp("octodns"))
