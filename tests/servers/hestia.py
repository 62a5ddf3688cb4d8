"""A double of HestiaCP's API as far as DNS goes, after its documentation and its commands' help.

https://hestiacp.com/docs/server-administration/rest-api.html (return codes, user and password or
`ACCESS_KEY:SECRET_KEY` in `hash`), https://hestiacp.com/docs/reference/cli.html (v-*-dns-*).
"""

from collections.abc import Sequence

from tests.servers.web import Asked, Told, Web

OK, INVALID, NOT_EXIST, PASSWORD = 0, 2, 3, 9
NAMES = ("CNAME", "MX", "NS", "PTR", "SRV")
Record = dict[str, str]


class Failed(Exception):
    """A command's exit code other than 0, and its words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code


class Hestia:
    """A server with one zone owner, `OWNER`; `zone` adds a zone as its template would."""

    OWNER = "tenant"

    def __init__(self, password: str, access_key: str) -> None:
        self.password, self.access_key = password, access_key
        self.zones: dict[str, dict[str, Record]] = {}
        self.serials: dict[str, int] = {}
        self.reloads = 0
        self.web = Web(self._answer)
        self.url = self.web.url

    def close(self) -> None:
        self.web.close()

    def zone(self, name: str) -> str:
        self.zones[name] = {}
        self.serials[name] = 2026010101
        self._put(name, "1", "@", "NS", "ns1.servers.test.", "")
        self._put(name, "2", "@", "A", "192.0.2.250", "")
        return name

    def _answer(self, asked: Asked) -> Told:
        form = asked.form
        if (asked.method, asked.path) != ("POST", "/api/"):
            return Told(404, "<html>not found</html>")
        given = [form[f"arg{at}"] for at in range(1, 14) if f"arg{at}" in form]
        try:
            self._admit(form)
            words, code = self._run(form.get("cmd", ""), given), OK
        except Failed as failed:
            words, code = f"Error: {failed}", failed.code
        status = 401 if code == PASSWORD else 200
        if form.get("returncode") == "yes":
            return Told(status, str(code))
        return Told(status, words or "OK")

    def _admit(self, form: dict[str, str]) -> None:
        if "hash" in form:
            admitted = form["hash"] == self.access_key
        else:
            admitted = (form.get("user"), form.get("password")) == ("admin", self.password)
        if not admitted:
            raise Failed(PASSWORD, "authentication failed")

    def _run(self, command: str, given: Sequence[str]) -> object:
        if command == "v-restart-dns":
            self.reloads += 1
            return ""
        owner, *rest = given
        if owner != self.OWNER:
            raise Failed(NOT_EXIST, f"user {owner} doesn't exist")
        if command == "v-list-dns-domains":
            return {name: self._domain(name) for name in self.zones}
        zone, *rest = rest
        if zone not in self.zones:
            raise Failed(NOT_EXIST, f"domain {zone} doesn't exist")
        match command:
            case "v-list-dns-domain":
                return {zone: self._domain(zone)}
            case "v-list-dns-records":
                return self.zones[zone]
            case "v-add-dns-record":
                self._add(zone, *rest)
            case "v-change-dns-record":
                self._change(zone, *rest)
            case "v-delete-dns-record":
                self._delete(zone, *rest)
            case _:
                raise Failed(INVALID, f"{command} command invalid")
        self.serials[zone] += 1
        return ""

    def _domain(self, zone: str) -> Record:
        return {
            "TTL": "14400",
            "SERIAL": str(self.serials[zone]),
            "RECORDS": str(len(self.zones[zone])),
        }

    def _add(
        self,
        zone: str,
        record: str,
        kind: str,
        value: str,
        priority: str = "",
        id: str = "",
        restart: str = "",
        ttl: str = "",
    ) -> None:
        # A new record is the last of its zone: dictionaries keep the order.
        id = id or str(int(next(reversed(self.zones[zone]), "0")) + 1)
        self._put(zone, id, record, kind, value, ttl)

    def _change(
        self,
        zone: str,
        id: str,
        record: str,
        kind: str,
        value: str,
        priority: str = "",
        restart: str = "",
        ttl: str = "",
    ) -> None:
        self._there(zone, id)
        self._put(zone, id, record, kind, value, ttl)

    def _delete(self, zone: str, id: str, restart: str = "") -> None:
        kind = self._there(zone, id)["TYPE"]
        last = sum(one["TYPE"] == kind for one in self.zones[zone].values()) == 1
        if last and kind in ("A", "NS"):
            raise Failed(INVALID, f"at least one {kind} record should remain active")
        del self.zones[zone][id]

    def _there(self, zone: str, id: str) -> Record:
        if id not in self.zones[zone]:
            raise Failed(NOT_EXIST, f"ID {id} doesn't exist")
        return self.zones[zone][id]

    def _put(self, zone: str, id: str, record: str, kind: str, value: str, ttl: str) -> None:
        if kind in NAMES:
            value = value if value.endswith(".") else f"{value}."
            if value.count(".") < 2:
                raise Failed(INVALID, f"{kind} record {value} should be a FQDN")
        if ttl and not ttl.isdecimal():
            raise Failed(INVALID, f"invalid ttl format :: {ttl}")
        self.zones[zone][id] = {
            "RECORD": record.lower(),
            "TYPE": kind,
            "PRIORITY": "",
            "VALUE": value,
            "ID": id,
            "SUSPENDED": "no",
            "TIME": "12:00:00",
            "DATE": "2026-03-01",
            "TTL": ttl,
        }
