"""What a cluster must have before the first write: one line each, with what to do.

Used on first contact and by `reconcile doctor`; `facts` are kept between runs.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from desired.source import Fleet
from desired.units import format_size
from reconciler.pve.contact import Contact
from reconciler.pve.files import Stored, nodes_of, stored
from reconciler.pve.form import quote_segment
from reconciler.pve.rights import Need, Permissions, grant, lacking, needs
from reconciler.pve.usage import Usage, usage
from state.api import ApiError, Forbidden, Json, Misconfigured
from state.view import Row, rows

MAJORS = ("8", "9")
"""Major versions whose behaviour is known; others are only read."""
SKEW = 10.0
"""Seconds that clocks may differ."""

FIREWALL_ADVICE = (
    "rules and anti-spoofing of VMs have no effect until it is on: allow your own access first, "
    "then `pvesh set /cluster/firewall/options --enable 1`"
)

FILES = {"iso": "iso", "snippets": "snippet"}
"""What a file of each content is called."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what was seen, and what to do when it is not `ok`.

    With `readonly` nothing may be written to the cluster while it lasts; it may be `passing`.
    """

    ok: bool
    what: str
    message: str
    advice: str = ""
    readonly: bool = False
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Preflight:
    """All findings of one cluster, and the facts worth keeping (plain JSON)."""

    findings: tuple[Finding, ...]
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def problem(self) -> str | None:
        """Why nothing may be written, if so."""
        return next((f"{one.what}: {one.message}; {one.advice}" for one in self._grave), None)

    @property
    def passing(self) -> bool:
        """Whether to ask again soon may well succeed."""
        return any(one.passing for one in self._grave)

    @property
    def _grave(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.readonly and not one.ok)

    @property
    def missing(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if not one.ok)


class _Look:
    """One preflight under way: the answers that several checks need, and the facts so far."""

    def __init__(self, api: Contact, used: Usage) -> None:
        self.api = api
        self.used = used
        self.facts: dict[str, Json] = {}
        self._rows: list[Row] | None = None
        self._permissions: Permissions | None = None
        self.online: list[str] = []

    def _resources(self) -> list[Row]:
        if self._rows is None:
            self._rows = rows(self.api.get("/cluster/resources"))
        return self._rows

    def version(self) -> Iterator[Finding]:
        answer = self.api.get("/version")
        text = str(answer.get("version", "")) if isinstance(answer, dict) else ""
        self.facts["version"] = text
        known = text.partition(".")[0] in MAJORS
        advice = "" if known else "only Proxmox VE 8 and 9 are written to; this cluster is read"
        yield Finding(known, "version", f"Proxmox VE {text or '?'}", advice, readonly=True)

    def cluster(self) -> Iterator[Finding]:
        found = rows(self.api.get("/cluster/status"))
        whole = [row for row in found if row.get("type") == "cluster"]
        nodes = [row for row in found if row.get("type") == "node"]
        self.online = sorted(str(row["name"]) for row in nodes if row.get("online"))
        self.facts["nodes"] = {str(row["name"]): row.get("ip") for row in nodes}
        self.facts["servers"] = self._servers(nodes)
        quorate = all(row.get("quorate") for row in whole)
        seen = f"{len(self.online)} of {len(nodes)} nodes online"
        advice = "" if quorate else "bring nodes back until `pvecm status` says quorate"
        text = "quorate" if quorate else "no quorum"
        yield Finding(quorate, "quorum", f"{text}, {seen}", advice, readonly=True)
        for row in nodes:
            if not row.get("online"):
                text = "offline: its VMs are left alone"
                yield Finding(False, f"node {row['name']}", text, "start it, or wait")

    def _servers(self, nodes: list[Row]) -> list[Json]:
        """Each node by name, address and certificate: what no two clusters have in common."""
        try:
            prints = {
                row.get("node"): row["ssl_fingerprint"] for row in rows(self.api.get("/nodes"))
            }
        except (ApiError, KeyError):
            return []
        return [f"{row['name']} {row.get('ip')} {prints.get(row['name'])}" for row in nodes]

    def clock(self) -> Iterator[Finding]:
        skew = self.api.skew
        if skew is not None:
            ok = abs(skew) <= SKEW
            text = f"{abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}" if skew else "the same"
            yield Finding(ok, "clock", text, "" if ok else "run chrony here and on every node")

    def templates(self) -> Iterator[Finding]:
        machines = {row.get("vmid"): row for row in self._resources() if row.get("type") == "qemu"}
        for alias, vmids in self.used.templates.items():
            if not vmids:
                advice = (
                    f"name its vmids in fleet.yaml: templates: {{{alias}: {{CLUSTER: [9000]}}}}"
                )
                yield Finding(False, f"template {alias}", "has no copy in this cluster", advice)
            for vmid in vmids:
                yield self._template(f"template {alias}", vmid, machines.get(vmid))
                yield from self._too_big(alias, vmid, machines.get(vmid))

    def _template(self, what: str, vmid: int, row: Row | None) -> Finding:
        if row is None:
            advice = f"make it, or grant VM.Audit on /vms/{vmid} so that it can be seen"
            return Finding(False, what, f"VM {vmid} does not exist", advice)
        node = str(row["node"])
        flag: Json = row.get("template")
        if flag is None:  # Younger than the last broadcast: only its config tells.
            answer = self.api.get(f"/nodes/{quote_segment(node)}/qemu/{vmid}/config")
            flag = answer.get("template") if isinstance(answer, dict) else None
        if str(flag or "0") == "0":
            advice = f"convert it: qm template {vmid}"
            return Finding(False, what, f"VM {vmid} on {node} is no template", advice)
        return Finding(True, what, f"VM {vmid} on {node}")

    def _too_big(self, alias: str, vmid: int, row: Row | None) -> Iterator[Finding]:
        """Disks only grow, so a template must not be larger than what is made of it (CI-04)."""
        size, least = int(str((row or {}).get("maxdisk") or 0)), self.used.smallest.get(alias, 0)
        if least and size > least:
            text = f"VM {vmid} has {format_size(size)}, a spec asks for {format_size(least)} only"
            advice = f"make the specs' system disk {format_size(size)}, or the template smaller"
            yield Finding(False, f"template {alias}", text, advice)

    def images(self) -> Iterator[Finding]:
        """Disk images that VMs are made from: on one node at least (CI-04)."""
        every = {one for volumes in self.used.images.values() for one in volumes}
        storages = frozenset(volume.partition(":")[0] for volume in every)
        there: dict[str, Stored] = {}
        for content in ("import", "images") if every else ():
            found = stored(self.api, content, self._resources(), storages)
            there |= {one.volume: one for one in found}
        for alias, volumes in self.used.images.items():
            for volume in volumes:
                nodes = set(there[volume].nodes) if volume in there else set()
                yield _file(f"template {alias}", volume, nodes, [])

    def storages(self) -> Iterator[Finding]:
        listed = [row for row in self._resources() if row.get("type") == "storage"]
        for name in self.used.storages:
            own = [row for row in listed if row.get("storage") == name]
            nodes = sorted(str(row["node"]) for row in own)
            holds = any("images" in str(row.get("content", "")).split(",") for row in own)
            if not own:
                advice = f"add it, or grant Datastore.Audit on /storage/{name}"
                yield Finding(False, f"storage {name}", "does not exist", advice)
            elif not holds:
                advice = f"pvesm set {name} --content …,images"
                yield Finding(False, f"storage {name}", "holds no disk images", advice)
            else:
                yield Finding(True, f"storage {name}", f"on {', '.join(nodes)}")

    def bridges(self) -> Iterator[Finding]:
        there: dict[str, list[str]] = {}
        for node in self.online:
            path = f"/nodes/{quote_segment(node)}/network"
            found = rows(self.api.get(path, {"type": "any_bridge"}))
            there[node] = sorted(str(row["iface"]) for row in found)
        self.facts["bridges"] = {node: list(names) for node, names in there.items()}
        for bridge in self.used.bridges:
            wanted = [n for n in self.used.bridge_nodes[bridge] if n in there] or self.online
            bare = [node for node in wanted if bridge not in there[node]]
            text = f"not on {', '.join(bare)}" if bare else f"on {', '.join(wanted)}"
            advice = "add it there, or grant SDN.Use on it, or fix `node:` of its VMs"
            yield Finding(not bare, f"bridge {bridge}", text, advice if bare else "")

    def files(self) -> Iterator[Finding]:
        """ISOs and snippets: a VM that is made where a file is not has no use of it."""
        for content, volumes in self.used.files.items():
            if not volumes:
                continue
            storages = frozenset(volume.partition(":")[0] for volume in volumes)
            there = {
                one.volume: one for one in stored(self.api, content, self._resources(), storages)
            }
            for volume, wanted in volumes.items():
                storage = volume.partition(":")[0]
                if content == "snippets" and not self._shows_snippets(storage):
                    text = f"not verified: only Datastore.Allocate on /storage/{storage} shows it"
                    yield Finding(True, f"snippet {volume}", text)
                    continue
                nodes = set(there[volume].nodes) if volume in there else set()
                every = wanted or nodes_of(storage, self._resources())
                yield _file(FILES[content], volume, nodes, sorted(set(every) - nodes))

    def _shows_snippets(self, storage: str) -> bool:
        """Whether a listing names snippets to us: Proxmox asks more for them than for ISOs."""
        return not lacking(self._had(), Need(f"/storage/{storage}", ("Datastore.Allocate",)))

    def firewall(self) -> Iterator[Finding]:
        enabled = firewall_enabled(self.api)
        self.facts["firewall_enabled"] = enabled
        ok = enabled or not self.used.firewall
        advice = "" if ok else FIREWALL_ADVICE
        yield Finding(ok, "firewall", f"cluster firewall {'on' if enabled else 'off'}", advice)

    def _had(self) -> Permissions:
        """Our own rights, by path."""
        if self._permissions is None:
            answer = self.api.get("/access/permissions")
            paths = answer if isinstance(answer, dict) else {}
            self._permissions = {p: owned for p, owned in paths.items() if isinstance(owned, dict)}
        return self._permissions

    def _zones(self) -> dict[str, str]:
        """In which zone each vnet is that serves as a bridge; asked where a name may be one's."""
        if all(re.fullmatch(r"vmbr\d+", bridge) for bridge in self.used.bridges):
            return {}
        try:
            found = rows(self.api.get("/cluster/sdn/vnets"))
        except ApiError:
            return {}  # No SDN there: then every bridge is the nodes' own.
        return {str(row["vnet"]): str(row["zone"]) for row in found if row.get("zone")}

    def rights(self) -> Iterator[Finding]:
        had, every = self._had(), needs(self.used, self._zones())
        short = [(need.path, lacking(had, need)) for need in every]
        who = self.api.identity
        for path, privileges in short:
            if privileges:
                text = f"{who} lacks {', '.join(privileges)} on {path}"
                yield Finding(False, "rights", text, grant(who, path, privileges))
        if not any(privileges for _, privileges in short):
            yield Finding(True, "rights", f"{who} has all it needs on {len(every)} paths")

    def token(self) -> Iterator[Finding]:
        user, mark, name = self.api.identity.partition("!")
        if mark:
            try:
                row = self.api.get(f"/access/users/{quote_segment(user)}/token/{name}")
            except Forbidden:
                return  # Only for others' eyes: nothing to say.
            separate = not isinstance(row, dict) or str(row.get("privsep", "1")) != "0"
            text = "only what its user has too" if separate else "everything that its user has"
            yield Finding(True, "token", f"{self.api.identity} may do {text}")


def preflight(api: Contact, fleet: Fleet, cluster_name: str, at: datetime) -> Preflight:
    """Look at everything that the fleet needs of the cluster; never raises ApiError.

    Facts: version, nodes (name -> ip), servers, bridges (node -> names), firewall_enabled,
    checked_at.
    """
    look = _Look(api, usage(fleet, cluster_name))
    checks: tuple[tuple[str, Callable[[], Iterator[Finding]]], ...] = (
        ("version", look.version),
        ("quorum", look.cluster),
        ("clock", look.clock),
        ("templates", look.templates),
        ("images", look.images),
        ("storages", look.storages),
        ("bridges", look.bridges),
        ("files", look.files),
        ("firewall", look.firewall),
        ("rights", look.rights),
        ("token", look.token),
    )
    findings: list[Finding] = []
    for what, check in checks:
        try:
            findings += check()
        except ApiError as error:
            grave = what in ("version", "quorum")
            passing = not isinstance(error, Forbidden | Misconfigured)
            advice = _advice(error)
            findings.append(Finding(False, what, error.text, advice, grave, passing))
            if grave:
                break
    return Preflight(tuple(findings), {**look.facts, "checked_at": at.isoformat()})


def _file(what: str, volume: str, nodes: set[str], bare: list[str]) -> Finding:
    """Its content is never shown by Proxmox, so of a snippet only that it is there is known."""
    if not nodes:
        advice = "put it there, or grant Datastore.Audit on its storage so that it can be seen"
        return Finding(False, f"{what} {volume}", "is on no node that was seen", advice)
    text = f"on {', '.join(sorted(nodes))}" + (f", not on {', '.join(bare)}" if bare else "")
    return Finding(not bare, f"{what} {volume}", text, "copy it to them" if bare else "")


def firewall_enabled(api: Contact) -> bool:
    """Whether the cluster's firewall is on (`GET /cluster/firewall/options`). Raises ApiError."""
    answer = api.get("/cluster/firewall/options")
    return isinstance(answer, dict) and str(answer.get("enable") or "0") != "0"


def _advice(error: ApiError) -> str:
    if isinstance(error, Forbidden):
        return "check the login in fleet.yaml and the rights below"
    if isinstance(error, Misconfigured):
        return "check its entry in fleet.yaml: the endpoints, tls, and what the secret refers to"
    return "check the endpoints in fleet.yaml, the way to them, and pveproxy on the nodes"
