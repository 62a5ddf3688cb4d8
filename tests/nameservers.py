"""Real name servers on loopback: BIND 9 and PowerDNS, each test with zones of its own.

Fixtures `bind` and `powerdns` (tests/conftest.py) start one of each per session; `zone(name)` adds
an empty zone that takes signed updates and transfers, `dig` is what a resolver sees.
"""

import base64
import json
import secrets
import sqlite3
import subprocess
from pathlib import Path

import urllib3

from tests.servers.scratch import ADDRESS, Daemon, free_port, listens

BIND_NEEDS = {"named": "bind9", "rndc": "bind9-utils", "dig": "bind9-dnsutils"}
POWERDNS_NEEDS = {"pdns_server": "pdns-server", "dig": "bind9-dnsutils"}
SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
MASTER = "ns1.servers.test."
CONTACT = "hostmaster.servers.test."
TTL = 300
KEY = "reconciler"
"""The name of the TSIG key that may read and write (hmac-sha256); `KEY-ALGORITHM` for others."""
ALGORITHMS = (
    "hmac-md5",
    "hmac-sha1",
    "hmac-sha224",
    "hmac-sha256",
    "hmac-sha384",
    "hmac-sha512",
)


def new_secret() -> str:
    """A TSIG secret as configuration files have it."""
    return base64.b64encode(secrets.token_bytes(48)).decode()


def dig(port: int, name: str, kind: str = "A") -> tuple[str, ...]:
    """The values of a name by that server, sorted, as `dig +short` prints them."""
    asked = ["dig", "+short", "+time=5", "+tries=1", f"@{ADDRESS}", "-p", str(port), name, kind]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True)
    return tuple(sorted(answer.stdout.split("\n")[:-1]))


class Bind:
    """A BIND 9: dynamic zones, updates and transfers by TSIG only; zones come by `rndc`."""

    def __init__(self) -> None:
        self._daemon = Daemon("reconcile-bind-", "bind")
        self.port = free_port()
        self.keys = {KEY: new_secret()} | {f"{KEY}-{one}": new_secret() for one in ALGORITHMS}
        self.secret = self.keys[KEY]
        self.stranger = new_secret()
        """The secret of the key `stranger`: known to the server, but it may do nothing."""
        self._control = free_port()
        self._rndc = new_secret()
        self._daemon.write("named.conf", self._configuration())
        self._daemon.write("rndc.conf", self._rndc_configuration())
        self.start()

    def start(self) -> None:
        conf = str(self._daemon.folder / "named.conf")
        self._daemon.start("named", "-g", "-4", "-n", "1", "-c", conf, answers=self._answers)

    def stop(self) -> None:
        self._daemon.stop()

    def close(self) -> None:
        self._daemon.close()

    def zone(self, name: str, *lines: str, policy: str = "") -> str:
        """Add a zone with these records (zone file lines); its name again.

        All keys but `stranger` may update it, unless an update-policy says who may what.
        """
        safe = name.replace("/", "_")
        text = [
            f"$TTL {TTL}",
            f"@ IN SOA {MASTER} {CONTACT} 1 3600 600 86400 60",
            f"@ IN NS {MASTER}",
            *lines,
            "",
        ]
        file = self._daemon.write(f"{safe}.db", "\n".join(text))
        keys = " ".join(f'key "{one}";' for one in self.keys)
        granted = f"update-policy {{ {policy} }};" if policy else f"allow-update {{ {keys} }};"
        self.rndc(
            "addzone",
            f'"{name}"',
            f'{{ type primary; file "{file}"; {granted} allow-transfer {{ {keys} }}; }};',
        )
        return name

    def rndc(self, *words: str) -> str:
        """A command to the server, and what it answers."""
        conf = str(self._daemon.folder / "rndc.conf")
        done = subprocess.run(["rndc", "-c", conf, *words], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"rndc {' '.join(words)}: {done.stderr}")
        return done.stdout

    def log(self) -> str:
        """All that the server has said."""
        return (self._daemon.folder / "output").read_text()

    def dig(self, name: str, kind: str = "A") -> tuple[str, ...]:
        return dig(self.port, name, kind)

    def _answers(self) -> bool:
        return listens(self.port) and listens(self._control)

    def _configuration(self) -> str:
        folder = self._daemon.folder
        algorithms = {f"{KEY}-{one}": one for one in ALGORITHMS}
        lines = [
            f'key "{name}" {{ algorithm {algorithms.get(name, "hmac-sha256")};'
            f' secret "{secret}"; }};'
            for name, secret in {**self.keys, "stranger": self.stranger}.items()
        ]
        return "\n".join(
            [
                *lines,
                f'key "control" {{ algorithm hmac-sha256; secret "{self._rndc}"; }};',
                f"controls {{ inet {ADDRESS} port {self._control} allow {{ {ADDRESS}; }}"
                ' keys { "control"; }; };',
                f'options {{ directory "{folder}"; pid-file "{folder}/named.pid";'
                f' session-keyfile "{folder}/session.key"; managed-keys-directory "{folder}";'
                f" listen-on port {self.port} {{ {ADDRESS}; }}; listen-on-v6 {{ none; }};"
                " recursion no; allow-query { any; }; dnssec-validation no; notify no;"
                " empty-zones-enable no; allow-new-zones yes; serial-query-rate 100; };",
                "",
            ]
        )

    def _rndc_configuration(self) -> str:
        return (
            f'key "control" {{ algorithm hmac-sha256; secret "{self._rndc}"; }};\n'
            f'options {{ default-key "control"; default-server {ADDRESS};'
            f" default-port {self._control}; }};\n"
        )


class PowerDNS:
    """A PowerDNS with SQLite: its HTTP API, and signed updates and transfers."""

    def __init__(self) -> None:
        self._daemon = Daemon("reconcile-pdns-", "pdns")
        self.port, self.api_port = free_port(), free_port()
        self.secret = new_secret()
        self.stranger = new_secret()
        self.api_key = secrets.token_hex(16)
        self.url = f"http://{ADDRESS}:{self.api_port}"
        self._pool = urllib3.PoolManager(retries=False, timeout=10.0)
        self._ids: dict[str, str] = {}
        self._configure()
        self.start()
        for name, secret in ((KEY, self.secret), ("stranger", self.stranger)):
            made = {"name": name, "algorithm": "hmac-sha256", "key": secret}
            self._ids[name] = str(self.api("POST", "tsigkeys", made)["id"])

    def start(self) -> None:
        folder = f"--config-dir={self._daemon.folder}"
        self._daemon.start("pdns_server", folder, answers=self._answers)

    def stop(self) -> None:
        self._daemon.stop()

    def close(self) -> None:
        self._pool.clear()
        self._daemon.close()

    def zone(self, name: str) -> str:
        """Add an empty zone; its name again."""
        ids = [self._ids[KEY]]
        zone = self.api(
            "POST",
            "zones",
            {
                "name": f"{name}.",
                "kind": "Master",
                "nameservers": [MASTER],
                "soa_edit_api": "INCREASE",
                "master_tsig_key_ids": ids,
            },
        )
        for kind, value in (("TSIG-ALLOW-DNSUPDATE", KEY), ("SOA-EDIT-DNSUPDATE", "INCREASE")):
            made = {"kind": kind, "metadata": [value]}
            self.api("POST", f"zones/{zone['id']}/metadata", made)
        return name

    def api(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """A request to the server's own API as its administrator; its answer."""
        answer = self._pool.request(
            method,
            f"{self.url}/api/v1/servers/localhost/{path}",
            body=None if body is None else json.dumps(body),
            headers={"X-API-Key": self.api_key},
        )
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.data!r}")
        found: dict[str, object] = json.loads(answer.data) if answer.data else {}
        return found

    def log(self) -> str:
        """All that the server has said."""
        return (self._daemon.folder / "output").read_text()

    def dig(self, name: str, kind: str = "A") -> tuple[str, ...]:
        return dig(self.port, name, kind)

    def _answers(self) -> bool:
        return listens(self.port) and listens(self.api_port)

    def _configure(self) -> None:
        database = self._daemon.folder / "pdns.sqlite3"
        with sqlite3.connect(database) as link:
            link.executescript(SCHEMA.read_text())
            link.execute("PRAGMA journal_mode=WAL")
        link.close()
        settings = {
            "setuid": "",
            "setgid": "",
            "launch": "gsqlite3",
            "gsqlite3-database": database,
            "gsqlite3-pragma-foreign-keys": "yes",
            "gsqlite3-pragma-synchronous": "0",
            "local-address": ADDRESS,
            "local-port": self.port,
            "socket-dir": self._daemon.folder,
            "daemon": "no",
            "guardian": "no",
            "primary": "yes",
            "dnsupdate": "yes",
            "allow-dnsupdate-from": f"{ADDRESS}/32",
            "allow-axfr-ips": "",
            "api": "yes",
            "api-key": self.api_key,
            "webserver": "yes",
            "webserver-address": ADDRESS,
            "webserver-port": self.api_port,
            "webserver-allow-from": ADDRESS,
            "cache-ttl": "0",
            "query-cache-ttl": "0",
            "negquery-cache-ttl": "0",
            "zone-cache-refresh-interval": "0",
        }
        text = "".join(f"{name}={value}\n" for name, value in settings.items())
        self._daemon.write("pdns.conf", text)


NameServer = Bind | PowerDNS
