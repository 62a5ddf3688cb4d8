"""VMs of an inventory: config with what is pending, snapshots, firewall, run state."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from reconciler.sim.copied.answers import Answers, Row, picked
from reconciler.sim.firewall.file import Alias, Entry, FirewallFile, Group, IpSet
from reconciler.sim.firewall.files import CLUSTER, write
from reconciler.sim.vm.machine import Machine, Value
from reconciler.sim.world import World

RAN_FOR = 3600.0
"""Seconds that a copied VM has been running for; an inventory holds no uptimes."""

_RULE = [
    "type",
    "action",
    "enable",
    "comment",
    "macro",
    "source",
    "dest",
    "proto",
    "dport",
    "sport",
    "iface",
    "log",
    "icmp-type",
]


def add_guests(world: World, answers: Answers) -> None:
    for row in answers.resources("qemu"):
        vmid = int(row["vmid"])
        base = f"/nodes/{row['node']}/qemu/{vmid}"
        machine = Machine(vmid, str(row["node"]), made_at=world.now - RAN_FOR)
        _config(machine, answers.rows(f"{base}/pending"))
        _snapshots(machine, answers, base)
        if row.get("status") == "running":
            machine.status, machine.started_at = "running", world.now - RAN_FOR
            machine.pid = 2000 + vmid
        world.vms[vmid] = machine
        write(world, str(vmid), _firewall(answers, f"{base}/firewall"))
    write(world, CLUSTER, _firewall(answers, "/cluster/firewall"))


def _config(machine: Machine, rows: list[Row]) -> None:
    for row in rows:
        key = str(row["key"])
        if key == "digest":
            continue
        if "value" in row:
            machine.config[key] = _value(row["value"])
        if "pending" in row:
            machine.pending[key] = _value(row["pending"])
        if row.get("delete"):
            machine.pending_delete[key] = int(row["delete"])


def _snapshots(machine: Machine, answers: Answers, base: str) -> None:
    for row in answers.rows(f"{base}/snapshot"):
        name = str(row["name"])
        if name == "current":
            if row.get("parent"):
                machine.config["parent"] = str(row["parent"])
            continue
        config = answers.mapping(f"{base}/snapshot/{name}/config")
        section = {str(key): _value(value) for key, value in config.items() if key != "digest"}
        section.update(picked(row, ("snaptime", "parent", "description")))
        machine.snapshots[name] = section


def _value(value: Any) -> Value:
    return value if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _firewall(answers: Answers, base: str) -> FirewallFile:
    options = answers.mapping(f"{base}/options")
    sets = {str(row["name"]): row for row in answers.rows(f"{base}/ipset")}
    groups = {str(row["group"]): row for row in answers.rows(f"{base}/groups")}
    return FirewallFile(
        options={key: value for key, value in options.items() if key != "digest"},
        rules=_rules(answers, f"{base}/rules"),
        aliases={
            str(row["name"]).lower(): Alias(
                str(row["name"]),
                str(row["cidr"]),
                int(row.get("ipversion") or 4),
                str(row.get("comment") or ""),
            )
            for row in answers.rows(f"{base}/aliases")
        },
        ipsets={
            name.lower(): IpSet(
                [_entry(one) for one in answers.rows(f"{base}/ipset/{quote(name)}")],
                str(row.get("comment") or ""),
            )
            for name, row in sets.items()
        },
        groups={
            name.lower(): Group(
                _rules(answers, f"{base}/groups/{quote(name)}"), str(row.get("comment") or "")
            )
            for name, row in groups.items()
        },
    )


def _rules(answers: Answers, path: str) -> list[dict[str, str | int]]:
    return [picked(row, _RULE) for row in sorted(answers.rows(path), key=lambda one: one["pos"])]


def _entry(row: Row) -> Entry:
    return Entry(str(row["cidr"]), bool(row.get("nomatch")), str(row.get("comment") or ""))
