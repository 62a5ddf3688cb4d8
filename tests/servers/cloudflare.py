"""A double of Cloudflare's API v4 as far as zones and DNS records go, after its documentation.

https://developers.cloudflare.com/api/resources/dns/subresources/records/
"""

import json
from itertools import count
from typing import TypedDict

from tests.servers.web import Asked, Told, Web

BASE = "/client/v4"
LIMIT = 200
"""Operations that a batch may have on the free plan."""


class Record(TypedDict):
    """A record as the API shows it."""

    id: str
    name: str
    type: str
    content: str
    ttl: int
    proxied: bool
    comment: str


Zone = dict[str, Record]


class Refused(Exception):
    """An answer that says no."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.told = Told(
            status,
            {
                "success": False,
                "errors": [{"code": code, "message": message}],
                "messages": [],
                "result": None,
            },
        )


class Cloudflare:
    """One account; `zone` adds an active zone, whose records `records` shows."""

    def __init__(self, token: str) -> None:
        self.token = token
        self.names: dict[str, str] = {}
        self.records: dict[str, Zone] = {}
        self._ids = count(1)
        self.web = Web(self._answer)
        self.url = f"{self.web.url}{BASE}"

    def close(self) -> None:
        self.web.close()

    def zone(self, name: str) -> str:
        id = self._new_id()
        self.names[id] = name
        self.records[id] = {}
        return id

    def _new_id(self) -> str:
        return f"{next(self._ids):032x}"

    def _answer(self, asked: Asked) -> Told:
        try:
            self._admit(asked)
            return self._route(asked)
        except Refused as refused:
            return refused.told

    def _admit(self, asked: Asked) -> None:
        word, _, token = asked.headers.get("authorization", "").partition(" ")
        if word != "Bearer" or not token.strip():
            raise Refused(400, 6003, "Invalid request headers")
        if token != self.token:
            raise Refused(403, 9109, "Invalid access token")

    def _route(self, asked: Asked) -> Told:
        parts = asked.path.removeprefix(f"{BASE}/").split("/")
        match (asked.method, parts):
            case ("GET", ["zones"]):
                wanted = asked.query.get("name")
                ids = [id for id, name in self.names.items() if name == wanted]
                return _page([self._shown(id) for id in ids], asked)
            case ("GET", ["zones", id]):
                return _ok(self._shown(self._known(id)))
            case ("GET", ["zones", id, "dns_records"]):
                return _page(self._listed(self.records[self._known(id)], asked), asked)
            case ("POST", ["zones", id, "dns_records", "batch"]):
                return self._batch(self._known(id), asked)
        raise Refused(404, 7000, "No route for that URI")

    def _known(self, id: str) -> str:
        if id not in self.names:
            raise Refused(404, 7003, f"Could not route to /zones/{id}, perhaps your object id")
        return id

    def _shown(self, id: str) -> dict[str, object]:
        account = {"id": "a" * 32, "name": "Double"}
        return {"id": id, "name": self.names[id], "status": "active", "account": account}

    def _listed(self, zone: Zone, asked: Asked) -> list[Record]:
        name, kind = asked.query.get("name.exact"), asked.query.get("type")
        found = [
            one
            for one in zone.values()
            if name in (None, one["name"]) and kind in (None, one["type"])
        ]
        return sorted(found, key=lambda one: (one["name"], one["id"]))

    def _batch(self, id: str, asked: Asked) -> Told:
        """Deletes, patches, puts and posts, in this order; all or nothing."""
        body = json.loads(asked.body)
        if sum(len(body.get(one, ())) for one in ("deletes", "patches", "puts", "posts")) > LIMIT:
            raise Refused(400, 81045, "The record quota of this batch has been exceeded")
        zone: Zone = {key: {**one} for key, one in self.records[id].items()}
        names: dict[str, set[str]] = {}
        for one in zone.values():
            names.setdefault(one["name"], set()).add(one["id"])
        for one in body.get("deletes", ()):
            if zone.pop(one["id"], None) is None:
                raise Refused(404, 81044, "Record does not exist.")
        for one in body.get("patches", ()):
            if one["id"] not in zone:
                raise Refused(404, 81044, "Record does not exist.")
            self._put(id, zone, names, {**zone[one["id"]], **one})
        for one in body.get("posts", ()):
            made = {"ttl": 1, "proxied": False, "comment": "", **one, "id": self._new_id()}
            self._put(id, zone, names, made)  # type: ignore[arg-type]
        self.records[id] = zone
        return _ok({"deletes": [], "patches": [], "posts": []})

    def _put(self, id: str, zone: Zone, names: dict[str, set[str]], new: Record) -> None:
        if new["ttl"] != 1 and not 60 <= new["ttl"] <= 86400:
            raise Refused(400, 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1.")
        if len(new["comment"]) > 100:
            raise Refused(400, 9210, "Comment is longer than 100 characters")
        name = new["name"]
        if name != self.names[id] and not name.endswith(f".{self.names[id]}"):
            raise Refused(400, 9000, "DNS name is invalid.")
        beside = names.setdefault(name, set())
        for other in [zone[one] for one in beside if one in zone and one != new["id"]]:
            if "CNAME" in (new["type"], other["type"]):
                raise Refused(400, 81053, "An A, AAAA, or CNAME record with that host exists.")
            if (other["type"], other["content"]) == (new["type"], new["content"]):
                raise Refused(400, 81058, "An identical record already exists.")
        zone[new["id"]] = new
        beside.add(new["id"])


def _ok(result: object, **more: object) -> Told:
    return Told(200, {"success": True, "errors": [], "messages": [], "result": result, **more})


def _page(rows: list[Record] | list[dict[str, object]], asked: Asked) -> Told:
    size, page = int(asked.query.get("per_page", "100")), int(asked.query.get("page", "1"))
    shown = rows[(page - 1) * size : page * size]
    told = {
        "page": page,
        "per_page": size,
        "count": len(shown),
        "total_count": len(rows),
        "total_pages": -(-len(rows) // size),
    }
    return _ok(shown, result_info=told)
