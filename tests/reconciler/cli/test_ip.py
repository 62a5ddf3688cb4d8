"""`reconcile ip`: what a person sees of pools and addresses, and does with them."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from reconciler.cli import cli
from state.memory import Binding, Lease
from state.store import Store
from tests.engine import AT

FLEET = """\
fleet: lab
clusters: {lab: {simulated: {nodes: 1, speed: 600}}}
defaults: {cluster: lab, template: t}
templates: {t: {lab: [9000]}}
"""
POOLS = """\
public-v4: {bridge: vmbr0, vlan: 100, network: 203.0.113.0/28, gateway: 203.0.113.1}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fleet with one pool, of which web-1 has 203.0.113.2; its cluster was never spoken to."""
    for name, text in {
        "fleet.yaml": FLEET,
        "vms/a.yaml": "web-1: {}\n",
        "pools/a.yaml": POOLS,
    }.items():
        path = tmp_path / "fleet" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with Store.open(str(tmp_path / "lab.db"), at=AT) as store:
        store.bindings.bind(Binding("web-1", "lab", 101, "web-1", uuid="u"))
        store.leases.take(Lease("web-1", "net0", "ipv4", 0, "203.0.113.2", 28, "public-v4"))
    return tmp_path


def call(folder: Path, *words: str) -> Result:
    options = ["--fleet", str(folder / "fleet"), "--database", str(folder / "lab.db")]
    return CliRunner().invoke(cli, [*options, "ip", *words])


def told(folder: Path, *words: str) -> dict[str, object]:
    return json.loads(call(folder, *words, "--output", "json").output)  # type: ignore[no-any-return]


def test_a_list_shows_how_full_each_pool_is(folder: Path) -> None:
    """IP-01: server, bridge, VLAN, total, usage bar."""
    said = call(folder, "list").output
    assert "public-v4  any/vmbr0.100  203.0.113.1 - 203.0.113.14  [##.................." in said
    pool = told(folder, "list")["pools"][0]  # type: ignore[index]
    assert (pool["total"], pool["leased"], pool["free"], pool["vlan"]) == (13, 1, 12, 100)


def test_a_pool_is_shown_with_its_addresses_and_its_reverse_zone(folder: Path) -> None:
    """DNS-12: a /28 has no zone of its own."""
    said = call(folder, "show", "public-v4").output
    assert "rDNS zone  classless delegation required" in said
    assert "203.0.113.2  leased  web-1/net0" in said
    shown = told(folder, "show", "public-v4")
    assert shown["addresses"][0]["vm"] == "web-1"  # type: ignore[index]


def test_an_address_is_shown_whatever_it_is(folder: Path) -> None:
    assert "leased  web-1/net0" in call(folder, "show", "203.0.113.2").output
    assert told(folder, "show", "203.0.113.3")["state"] == "free"
    wrong = call(folder, "show", "nothing")
    assert wrong.exit_code == 1
    assert "nothing is no address and no pool; pools: public-v4" in wrong.output


def test_an_address_is_reserved_and_released(folder: Path) -> None:
    done = call(folder, "reserve", "203.0.113.5", "--for", "web-1", "--why", "its twin")
    assert done.output == "203.0.113.5 is reserved for web-1\n"
    assert told(folder, "show", "203.0.113.5")["why"] == "its twin"
    assert call(folder, "release", "203.0.113.5").output == "203.0.113.5 is free; it was reserved\n"
    again = call(folder, "release", "203.0.113.5")
    assert again.exit_code == 1 and "there is nothing to release" in again.output
    ghost = call(folder, "reserve", "203.0.113.5", "--for", "web-7", "--why", "x")
    assert "no VM web-7 in fleet lab" in ghost.output
    leased = call(folder, "reserve", "203.0.113.2", "--why", "x")
    assert leased.exit_code == 1 and "is leased to web-1" in leased.output


def test_an_address_is_let_rest(folder: Path) -> None:
    done = call(folder, "quarantine", "203.0.113.5", "--for", "7d", "--why", "listed")
    assert done.output.startswith("203.0.113.5 rests until 2")
    done = call(folder, "quarantine", "203.0.113.6", "--why", "listed")
    assert done.output == "203.0.113.6 rests until it is released\n"
    assert call(folder, "release", "203.0.113.6").output == "203.0.113.6 is free; it rested\n"
    refused = call(folder, "quarantine", "203.0.113.2", "--why", "x")
    assert refused.exit_code == 1 and "is leased to web-1" in refused.output


def test_a_check_tells_what_is_wrong_by_its_exit_status(folder: Path) -> None:
    """The lease's VM is not on the cluster: nothing but a person or its end gives it back."""
    found = call(folder, "check")
    assert found.exit_code == 2
    assert "without-vm  203.0.113.2: leased to web-1, but vm 101 of cluster lab" in found.output
    assert "Addresses: 1 problem, 0 VMs looked at." in found.output
    problems = told(folder, "check")["problems"]
    assert [one["kind"] for one in problems] == ["without-vm"]  # type: ignore[attr-defined]
