"""A lab whose VMs are named by real name servers, BIND and PowerDNS, holding the same zones."""

import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import yaml

from desired.zones import rdns_hint
from state.drivers import Applied, RRChange, RRset, ZoneDriver
from tests.lab import Lab
from tests.nameservers import KEY, Bind, PowerDNS

FLEET = """\
fleet: demo
clusters: {demo: {simulated: {nodes: 3}}}
defaults: {cluster: demo, template: debian-12, storage: local-lvm, domain: DOMAIN}
templates: {debian-12: {demo: [9000, 9001, 9002]}}
verify_every: 24h
guard: {destroys: 100%, restarts: 100%}
"""
POOLS = """\
v4: {bridge: vmbr0, vlan: 100, network: V4, gateway: V4_FIRST}
v6: {bridge: vmbr0, vlan: 100, network: "V6", gateway: "V6_FIRST"}
"""
PACKAGES = """\
small:
  memory: 1GiB
  nics: {net0: {ipv4: {pool: v4}, ipv6: {pool: v6}}}
"""


@dataclass(frozen=True, slots=True)
class NamedLab:
    """A lab, its domain, and the two servers that hold the zones of its addresses."""

    lab: Lab
    domain: str
    bind: Bind
    powerdns: PowerDNS

    def dig(self, name: str, kind: str = "A") -> tuple[str, ...]:
        """What both servers answer, which must be the same."""
        first, second = self.bind.dig(name, kind), self.powerdns.dig(name, kind)
        assert first == second, (name, kind, first, second)
        return first

    def watch(self) -> list[str]:
        """What the drivers of later runs are asked for."""
        asked: list[str] = []
        self.lab.driven = lambda driver: Watched(driver, asked)
        return asked

    def by_hand(self, *lines: str) -> None:
        """Change both servers' zones as a person would, with nsupdate."""
        for port, secret in (
            (self.bind.port, self.bind.secret),
            (self.powerdns.port, self.powerdns.secret),
        ):
            text = "\n".join(
                [f"server 127.0.0.1 {port}", f"zone {self.domain}", *lines, "send", ""]
            )
            asked = ["nsupdate", "-y", f"hmac-sha256:{KEY}:{secret}"]
            subprocess.run(asked, input=text, text=True, check=True, capture_output=True)

    def conditions(self, key: str) -> dict[str, str]:
        """What stands out about a VM, in words by type."""
        with self.lab.store() as store:
            return {one.type: one.message for one in store.conditions.all().get(key, ())}

    def lines(self) -> list[str]:
        """What the last run said of records."""
        texts = (getattr(one, "text", "") for one in self.lab.told.events)
        return [text for text in texts if text.startswith("·")]


def secret_file(folder: Path, name: str, text: str) -> str:
    """A secret by reference, in a file of its own."""
    path = folder / f"{name}.secret"
    path.write_text(text)
    path.chmod(0o600)
    return f"file:{path}"


class Watched:
    """A driver that notes what it is asked for."""

    def __init__(self, driver: ZoneDriver, asked: list[str]) -> None:
        self._driver, self._asked = driver, asked
        self.limits = driver.limits

    def check(self) -> str:
        self._asked.append("check")
        return self._driver.check()

    def serial(self) -> str | None:
        self._asked.append("serial")
        return self._driver.serial()

    def read(self) -> tuple[RRset, ...]:
        self._asked.append("read")
        return self._driver.read()

    def apply(self, batch: Sequence[RRChange]) -> Sequence[Applied]:
        self._asked.append(f"apply {len(batch)}")
        return self._driver.apply(batch)

    def close(self) -> None:
        self._driver.close()


def named_lab(
    folder: Path, bind: Bind, powerdns: PowerDNS, vms: str, **more: Mapping[str, object]
) -> NamedLab:
    """A lab over new zones; `more` are zones' fields by server (`bind`, `pdns`)."""
    domain = f"z{secrets.token_hex(4)}.example"
    octets = [secrets.randbelow(256) for _ in range(2)]
    v4 = ip_network(f"10.{octets[0]}.{octets[1]}.0/24")
    v6 = ip_network(f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::/64")
    tsig = {"name": KEY, "secret": secret_file(folder, "tsig", bind.secret)}
    first = {"rfc2136": {"server": "127.0.0.1", "port": bind.port, "key": tsig}}
    api_key = secret_file(folder, "api", powerdns.api_key)
    second = {"powerdns": {"url": powerdns.url, "api_key": api_key}}
    zones = {}
    for name in (domain, rdns_hint(v4), rdns_hint(v6)):
        zones[f"{bind.zone(name)}@bind"] = {**first, **more.get("bind", {})}
        zones[f"{powerdns.zone(name)}@pdns"] = {**second, **more.get("pdns", {})}
    pools = POOLS.replace("V4_FIRST", str(v4[1])).replace("V6_FIRST", str(v6[1]))
    files = {
        "fleet.yaml": FLEET.replace("DOMAIN", domain),
        "pools/pools.yaml": pools.replace("V4", str(v4)).replace("V6", str(v6)),
        "packages/small.yaml": PACKAGES,
        "zones/zones.yaml": yaml.safe_dump(zones),
        "vms/vms.yaml": vms,
    }
    return NamedLab(Lab(folder, files), domain, bind, powerdns)
