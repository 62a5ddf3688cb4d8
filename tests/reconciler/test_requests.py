"""Every request that the engine makes is one that Proxmox's own schema allows."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from reconciler.pve import form
from state.propstring import parse
from tests.lab import Lab, Sent
from tests.laws.fleets import EVERYTHING, everything, fleet_files

FLEET = Path(__file__).resolve().parents[2] / "desired" / "fleet"
Paths = dict[str, Any]


@pytest.fixture(scope="module")
def paths(shared: Path) -> Paths:
    with open(shared / "pve-schema.json", encoding="utf-8") as file:
        found: Paths = json.load(file)["paths"]
        return found


def sample_files() -> dict[str, str]:
    """The sample fleet of `desired/fleet`, with fewer machines at work at once."""
    files = {str(one.relative_to(FLEET)): one.read_text() for one in FLEET.rglob("*.yaml")}
    files["fleet.yaml"] = files["fleet.yaml"].replace("limits: {", "limits: {workers: 1, ")
    return files


def wrongs(paths: Paths, sent: Sent) -> Iterator[str]:
    """Why Proxmox's schema would not have this request."""
    found = template(paths, sent)
    if found is None:
        yield f"{sent.method} {sent.path}: no such call"
        return
    path, ids = found
    where = f"{sent.method} {path}"
    described = paths[path][sent.method]["parameters"]
    known = described.get("properties", {})
    texts = {name: form.plain(value) for name, value in sent.params.items()}
    for name, values in {**ids, **texts}.items():
        entry = known.get(name) or known.get(re.sub(r"\d+\Z", "[n]", name))
        if entry is None:
            yield f"{where}: {name} is unknown"
            continue
        for value in values:
            yield from (f"{where}: {name}: {why}" for why in misfits(entry, value))
    for name, entry in known.items():
        if not entry.get("optional") and name not in texts and name not in ids:
            yield f"{where}: {name} is missing"


def template(paths: Paths, sent: Sent) -> tuple[str, dict[str, list[str]]] | None:
    """The path with its ids as names, and the ids; a literal part goes before a named one."""
    parts = sent.path.strip("/").split("/")
    for path in sorted(paths, key=lambda one: one.count("{")):
        names = path.strip("/").split("/")
        if len(names) == len(parts) and sent.method in paths[path]:
            pairs = list(zip(names, parts, strict=True))
            if all(name == part or name.startswith("{") for name, part in pairs):
                return path, {n[1:-1]: [unquote(p)] for n, p in pairs if n.startswith("{")}
    return None


def misfits(entry: dict[str, Any], value: str) -> Iterator[str]:
    """Why a value is not of the type, range, enum, pattern or parts that are described."""
    kind = entry.get("type", "string")
    if kind == "boolean" and value not in ("0", "1"):
        yield f"a boolean expected, seen {value}"
    if kind in ("integer", "number"):
        number = re.fullmatch(r"-?\d+" if kind == "integer" else r"-?\d+(\.\d+)?", value)
        if not number:
            yield f"a {kind} expected, seen {value}"
        elif float(value) < entry.get("minimum", float(value)):
            yield f"at least {entry['minimum']} expected, seen {value}"
        elif float(value) > entry.get("maximum", float(value)):
            yield f"at most {entry['maximum']} expected, seen {value}"
    if "enum" in entry and value not in entry["enum"]:
        yield f"one of {entry['enum']} expected, seen {value}"
    if len(value) > entry.get("maxLength", len(value)):
        yield f"at most {entry['maxLength']} letters expected, seen {len(value)}"
    pattern = str(entry.get("pattern", "")).replace("(?^:", "(?:").replace("(?^i:", "(?i:")
    if pattern and not re.fullmatch(pattern, value):
        yield f"{entry['pattern']} expected, seen {value}"
    if isinstance(entry.get("format"), dict):
        yield from unfit_parts(entry["format"], value)


def unfit_parts(described: dict[str, Any], value: str) -> Iterator[str]:
    """Why a property string is not of the parts that are described."""
    default = next((name for name, one in described.items() if one.get("default_key")), "")
    for name, text in parse(value, default).items():
        entry = described.get(name) or described.get(re.sub(r"\d+\Z", "[n]", name))
        if entry is None:
            yield f"the part {name} is unknown"
        elif "alias" not in entry:
            yield from (f"{name}: {why}" for why in misfits(entry, text))


def assert_allowed(paths: Paths, lab: Lab) -> None:
    assert len(lab.wire.calls) > 20
    found = {why for sent in lab.wire.calls for why in wrongs(paths, sent)}
    assert sorted(found) == []


def test_all_that_the_sample_fleet_asks_for_is_allowed(paths: Paths, tmp_path: Path) -> None:
    lab = Lab(tmp_path, sample_files())
    assert lab.settle().ready == 12
    assert_allowed(paths, lab)


@pytest.mark.parametrize("clone", ["linked", "full"])
def test_all_that_a_vm_with_every_feature_asks_for_is_allowed(
    paths: Paths, tmp_path: Path, clone: str
) -> None:
    lab = Lab(tmp_path, everything(clone))
    lab.settle()
    assert_allowed(paths, lab)


def test_all_that_changes_ask_for_is_allowed(paths: Paths, tmp_path: Path) -> None:
    """Edits, removals, moves of rules, a hot-plug that fails and what takes it back."""
    first = {**EVERYTHING, "node": "pve1", "pool": "customers"}
    lab = Lab(tmp_path, fleet_files({"one": first}))
    lab.settle()
    lab.ask("POST", "/pools", poolid="others")
    lab.world.vms[100].stubborn = True
    rules = list(reversed(first["firewall"]["rules"][1:]))
    rules.insert(1, {"in": "REJECT", "proto": "udp", "sport": "53", "log": "info"})
    second = {
        **first,
        "name": "other-name",
        "pool": "others",
        "agent": False,
        "onboot": True,
        "startup": {"order": 2, "up": 30},
        "boot": ["system", "net0"],
        "memory": "5GiB",
        "tags": ["c"],
        "disks": {
            "system": {"size": "12GiB", "iops_rd": 0, "mbps_wr": 50},
            "scsi1": {"size": "6GiB", "cache": "writeback"},
            "scsi2": {"size": "1GiB"},
        },
        "nics": {"net0": {"rate": 0, "model": "e1000", "ipv4": {"pool": "public-v4"}}},
        "firewall": {**first["firewall"], "policy_in": "REJECT", "rules": rules},
        "cloudinit": {**first["cloudinit"], "keys": [], "dns": []},
    }
    lab.write(fleet_files({"one": second}))
    for _ in range(4):
        lab.run()
        lab.clock.sleep(900)
    lab.world.vms[100].stubborn = False
    lab.settle(apart=900)
    asked = {f"{one.method} {one.path.rpartition('/')[2]}" for one in lab.wire.writes()}
    assert {"PUT resize", "POST config", "PUT pools", "PUT options"} <= asked
    assert any("revert" in one.params for one in lab.wire.writes())
    assert any("moveto" in one.params for one in lab.wire.writes())
    assert any("delete" in one.params for one in lab.wire.writes())
    assert_allowed(paths, lab)


@pytest.mark.parametrize(
    ("method", "path", "params", "why"),
    [
        ("GET", "/nodes/pve1/qemo", {}, "no such call"),
        ("PUT", "/nodes/pve1/qemu/100/config", {"coars": 1}, "coars is unknown"),
        ("PUT", "/nodes/pve1/qemu/100/config", {"cores": "two"}, "an? integer expected"),
        ("PUT", "/nodes/pve1/qemu/100/config", {"net0": "virtio,tag=5000"}, "at most 4094"),
        ("PUT", "/nodes/pve1/qemu/100/config", {"net0": "virtio,vlan=5"}, "vlan is unknown"),
        ("POST", "/nodes/pve1/qemu/100/clone", {}, "newid is missing"),
        ("PUT", "/nodes/pve1/qemu/100/firewall/options", {"policy_in": "deny"}, "one of"),
    ],
)
def test_what_the_schema_does_not_allow_is_seen(
    paths: Paths, method: str, path: str, params: dict[str, str | int], why: str
) -> None:
    (found,) = wrongs(paths, Sent(0, method, path, params))
    assert re.search(why, found)
