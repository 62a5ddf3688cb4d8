"""Every provider a zone may be on, each as the same thing: add a zone, name its spec, its driver.

BIND and PowerDNS are the real ones; Cloudflare and HestiaCP are doubles after their documentation;
octoDNS is octoDNS with its own YAML files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from desired.zones import ZoneSpec
from reconciler.dns.drivers.opening import open_driver
from state.drivers import ZoneDriver
from state.secret import Secret
from tests.nameservers import KEY, Bind, PowerDNS
from tests.servers.cloudflare import Cloudflare
from tests.servers.hestia import Hestia
from tests.servers.scratch import ADDRESS, free_port

RIGHT, WRONG = "env:RIGHT", "env:WRONG"
Section = Mapping[str, object]


class Ground(Protocol):
    """A provider of the tests. `secrets` are the right one and one that it does not take."""

    name: str
    secrets: tuple[str, str]
    marks: bool
    serials: bool

    def zone(self, name: str) -> str:
        """Add an empty zone; its name again."""
        ...

    def section(self, secret: str, *, down: bool) -> Section:
        """The section of a zone's spec; `down` names a place where nobody listens."""
        ...


def spec(ground: Ground, zone: str, secret: str = RIGHT, *, down: bool = False) -> ZoneSpec:
    """A zone's spec on a provider."""
    kind = ground.name.partition("-")[0]
    return ZoneSpec.model_validate({"name": zone, kind: ground.section(secret, down=down)})


def driver(ground: Ground, zone: str, secret: str = RIGHT, *, down: bool = False) -> ZoneDriver:
    """The driver of a zone on a provider."""
    found = dict(zip((RIGHT, WRONG), map(Secret, ground.secrets), strict=True))
    return open_driver(spec(ground, zone, secret, down=down), found.__getitem__)


@dataclass
class Updates:
    """A name server by RFC 2136."""

    server: Bind | PowerDNS
    name: str
    marks: bool = False
    serials: bool = True

    @property
    def secrets(self) -> tuple[str, str]:
        return self.server.secret, self.server.stranger

    def zone(self, name: str) -> str:
        return self.server.zone(name)

    def section(self, secret: str, *, down: bool) -> Section:
        port = free_port() if down else self.server.port
        return {"server": ADDRESS, "port": port, "key": {"name": KEY, "secret": secret}}


@dataclass
class PowerDnsApi:
    """PowerDNS by its HTTP API."""

    server: PowerDNS
    name: str = "powerdns"
    marks: bool = True
    serials: bool = True

    @property
    def secrets(self) -> tuple[str, str]:
        return self.server.api_key, "0" * 32

    def zone(self, name: str) -> str:
        return self.server.zone(name)

    def section(self, secret: str, *, down: bool) -> Section:
        url = f"http://{ADDRESS}:{free_port()}" if down else self.server.url
        return {"url": url, "api_key": secret}


@dataclass
class CloudflareDouble:
    """Cloudflare's double."""

    server: Cloudflare
    name: str = "cloudflare"
    marks: bool = True
    serials: bool = False

    @property
    def secrets(self) -> tuple[str, str]:
        return self.server.token, "wrong-token-of-forty-characters-and-more"

    def zone(self, name: str) -> str:
        self.server.zone(name)
        return name

    def section(self, secret: str, *, down: bool) -> Section:
        url = f"http://{ADDRESS}:{free_port()}" if down else self.server.url
        return {"url": url, "token": secret}


@dataclass
class HestiaDouble:
    """HestiaCP's double; `secrets` by password, or by access key."""

    server: Hestia
    name: str = "hestiacp"
    marks: bool = False
    serials: bool = True
    by_key: bool = False

    @property
    def secrets(self) -> tuple[str, str]:
        right = self.server.access_key if self.by_key else self.server.password
        return right, right[::-1].replace(":", "") if self.by_key else right[::-1]

    def zone(self, name: str) -> str:
        return self.server.zone(name)

    def section(self, secret: str, *, down: bool) -> Section:
        url = f"http://{ADDRESS}:{free_port()}" if down else self.server.url
        return {"url": url, "password": secret, "owner": Hestia.OWNER}


@dataclass
class OctoYaml:
    """octoDNS with YAML files of its own in a folder, behind a token."""

    folder: Path
    name: str = "octodns"
    marks: bool = False
    serials: bool = False
    secrets: tuple[str, str] = ("token-of-the-yaml-files", "another-token")

    def zone(self, name: str) -> str:
        (self.folder / "token").write_text(self.secrets[0])
        (self.folder / f"{name}.yaml").write_text("---\n{}\n")
        return name

    def section(self, secret: str, *, down: bool) -> Section:
        if down:
            (self.folder / "token").write_text("down")
        return {
            "provider": "tests.servers.octo.GuardedYaml",
            "options": {"directory": str(self.folder)},
            "secrets": {"token": secret},
        }
