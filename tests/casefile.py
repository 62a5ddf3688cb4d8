"""Reads a case: a spec and what is seen of its VM, in a few lines of YAML.

about: the rule that the case shows
spec: {memory: 2GiB}                       # key, cluster and name are filled in
seen:
  config: {memory: "1024", cores: 2}       # Proxmox's keys, as its file holds them
  pending: {memory: "2048", cores: null}   # laid over the config; null is a pending delete
  row: {status: running}                   # null: the VM is not in /cluster/resources
  leases: [net0 203.0.113.7/24 gateway=203.0.113.1]
  intents: {stop: [130, 9, "3f9a1c5b sent", 5]}      # begun 130 s ago, looked at 5 s ago
  tasks: [{kind: qmshutdown, began: 130}]
  attempts: {power: [60, no room, 30]}     # failed 60 s ago, tried again in 30 s (or at once)
  placing: {target: pve2}                  # what is open about its place
  shared: [ceph]                           # storages that all nodes see
  holders: {150: {name: h, config: {}}}    # rows of VMs that hold disks; `config` if it was read
  ha: {state: started}                     # the VM's HA resource; null: they were not read
  firewall: {options: {enable: 1}, rules: [{type: in, action: ACCEPT}], ipsets: {wm-1042: []}}
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

import yaml

from desired.spec import VMSpec
from handlers.handler import Handler
from state.change import Change, Note
from state.conf import VMConfig
from state.memory import Attempt, Binding, Intent, Lease, Memory, OpenTask, Phase
from state.observed import (
    ClusterView,
    HAResource,
    Presence,
    SeenConfig,
    SeenFirewall,
    SeenHolder,
    SeenRule,
    SeenVM,
    StorageRow,
    TaskRow,
    VMRow,
)
from state.placing import Placing
from state.secret import Secret

AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
UUID = "8a6f3c5e-0000-4000-8000-000000001042"
MARKER = "reconcile: store=ab12cd34 fleet=demo key=web-1 vmid=1042"


def read_spec(document: dict[str, Any]) -> VMSpec:
    return VMSpec.model_validate({"key": "web-1", "cluster": "lab", "name": "web-1"} | document)


def read_seen(document: dict[str, Any]) -> SeenVM:
    """Return a present, stopped VM 1042 on pve1, but for what the document says."""
    row = {"vmid": 1042, "node": "pve1", "status": "stopped", "name": "web-1"}
    asked = document.get("row", {})
    seen_row = None if asked is None else VMRow(**(row | asked))
    resource, others = document.get("ha", {}), document.get("holders", {})
    cluster = ClusterView(
        "lab",
        AT,
        tasks=tuple(_task(**task) for task in document.get("tasks", ())),
        storages=tuple(
            StorageRow(name, "pve1", shared=True) for name in document.get("shared", ())
        ),
        firewall_enabled=document.get("cluster_firewall", True),
        release=tuple(document.get("release", (8, 4))),  # type: ignore[arg-type]
        ha=None if resource is None else {1042: HAResource(1042, **resource)} if resource else {},
    )
    return SeenVM(
        key="web-1",
        at=AT,
        cluster=cluster,
        memory=_memory(document),
        presence=Presence(document.get("presence", "present")),
        row=seen_row,
        config=None if document.get("config", {}) is None else _config(document),
        firewall=_firewall(document["firewall"]) if "firewall" in document else None,
        status=document.get("status", seen_row.status if seen_row else "unknown"),
        secrets={use: Secret(text) for use, text in document.get("secrets", {}).items()},
        store="ab12cd34",
        fleet="demo",
        holders={vmid: _holder(vmid, **one) for vmid, one in others.items()},
    )


def _holder(vmid: int, config: dict[str, Any] | None = None, **row: Any) -> SeenHolder:
    fields = {"node": "pve1", "status": "stopped", **row, "tags": tuple(row.get("tags", ()))}
    return SeenHolder(VMRow(vmid, **fields), None if config is None else VMConfig(config))


def _config(document: dict[str, Any]) -> SeenConfig:
    live = document.get("config", {})
    pending = document.get("pending", {})
    kept = {**live, **pending}
    wanted = {key: value for key, value in kept.items() if value is not None}
    return SeenConfig(VMConfig(wanted), VMConfig(live), frozenset(pending), "d1")


def _memory(document: dict[str, Any]) -> Memory:
    binding: dict[str, Any] = {
        "phase": "deploy",
        "template": 9000,
        "template_node": "pve1",
        "node": "pve1",
    }
    binding |= {"key": "web-1", "cluster": "lab", "vmid": 1042, "name": "web-1", "uuid": UUID}
    fields = binding | document.get("binding", {})
    intents = {kind: _intent(kind, *told) for kind, told in document.get("intents", {}).items()}
    attempts = {
        name: Attempt("web-1", name, 1, error, _ago(ago), _ago(-sum(wait)))
        for name, (ago, error, *wait) in document.get("attempts", {}).items()
    }
    task = OpenTask(document["task"], "web-1", "lab", "exists", AT) if "task" in document else None
    return Memory(
        binding=Binding(**{**fields, "phase": Phase(fields["phase"])}),
        leases=tuple(_lease(text) for text in document.get("leases", ())),
        task=task,
        attempts=attempts,
        intents=intents,
        fingerprints=document.get("fingerprints", {}),
        placing=Placing(**document["placing"]) if "placing" in document else None,
    )


def _ago(seconds: float) -> datetime:
    return AT - timedelta(seconds=seconds)


def _intent(
    kind: str, ago: float, looks: int = 0, detail: str = "", looked: float | None = None
) -> Intent:
    """`[seconds ago, looks, detail, last look seconds ago]`, the last three may be left out."""
    last = None if looked is None else _ago(looked)
    return Intent("web-1", kind, _ago(ago), looks, str(detail), last)


def _task(kind: str, began: float, ended: float | None = None, vmid: int = 1042) -> TaskRow:
    """A task of the VM that began, and ended if it did, so many seconds ago."""
    upid = f"UPID:pve1:00000001:00000002:65E1D2C0:{kind}:{vmid}:root@pam:"
    end = None if ended is None else int(_ago(ended).timestamp())
    begin = int(_ago(began).timestamp())
    return TaskRow(upid, "pve1", kind, str(vmid), "root@pam", begin, end)


def _lease(text: str) -> Lease:
    """`net0 203.0.113.7/24 [ordinal=1] [gateway=…] [dns=…,…]`."""
    nic, address, *rest = text.split()
    named = dict(part.split("=") for part in rest)
    interface = ip_interface(address)
    return Lease(
        key="web-1",
        nic=nic,
        family="ipv4" if interface.version == 4 else "ipv6",
        ordinal=int(named.get("ordinal", 0)),
        address=str(interface.ip),
        prefix=interface.network.prefixlen,
        pool="p",
        gateway=named.get("gateway"),
        dns=tuple(named["dns"].split(",")) if "dns" in named else (),
    )


def _firewall(document: dict[str, Any]) -> SeenFirewall:
    rules = enumerate(document.get("rules", ()))
    return SeenFirewall(
        options={name: str(value) for name, value in document.get("options", {}).items()},
        rules=tuple(SeenRule(pos, {k: str(v) for k, v in rule.items()}) for pos, rule in rules),
        ipsets={name: tuple(cidrs) for name, cidrs in document.get("ipsets", {}).items()},
    )


@dataclass(frozen=True)
class Case:
    """One case file, by the handler whose folder it is in."""

    path: Path
    handler: str
    spec: VMSpec
    seen: SeenVM
    changes: list[dict[str, object]]
    notes: list[dict[str, object]]


def read_case(path: Path) -> Case:
    document = yaml.safe_load(path.read_text())
    unknown = document.keys() - {"about", "spec", "seen", "changes", "notes"}
    assert not unknown, f"{path}: unknown {sorted(unknown)}"
    return Case(
        path,
        path.parent.name,
        read_spec(document.get("spec", {})),
        read_seen(document.get("seen", {})),
        document.get("changes", []),
        document.get("notes", []),
    )


def shown_change(change: Change) -> dict[str, object]:
    """A change as a case file writes it: what has its default is left out."""
    shown: dict[str, object] = {"field": change.field}
    for name in ("old", "new"):
        value = getattr(change, name)
        if value is not None:
            shown[name] = list(value) if isinstance(value, tuple) else _plain(value)
    if change.effect.value != "live":
        shown["effect"] = change.effect.value
    shown |= {name: True for name in ("gate", "approval") if getattr(change, name)}
    if change.group:
        shown["group"] = change.group
    if change.remember:
        shown["remember"] = dict(change.remember)
    shown["calls"] = [str(call) for call in change.calls]
    return shown


def shown_note(note: Note) -> dict[str, object]:
    shown: dict[str, object] = {"field": note.field, "reason": note.reason}
    if note.condition:
        shown["condition"] = note.condition
    return shown | ({"blocking": True} if note.blocking else {})


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Secret) else value


def compared(handler: Handler, spec: VMSpec, seen: SeenVM) -> tuple[list[Change], list[Note]]:
    """What one diff yields, apart."""
    found = list(handler.diff(spec, seen))
    changes = [one for one in found if isinstance(one, Change)]
    return changes, [one for one in found if isinstance(one, Note)]
