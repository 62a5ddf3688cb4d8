"""What is wrong with addresses, looked for on a whole cluster."""

from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.config import open_preview
from reconciler.pools.check import Checked, check
from reconciler.show.pools import checked_json, render_checked
from reconciler.show.text import Paint
from state.api import Unavailable
from state.reservations import Reservation
from state.store import Store
from tests.lab import Lab, Told, WiredApi
from tests.laws.fleets import POOLS, Spec, fleet_files

V4: Spec = {"nics": {"net0": {"ipv4": {"pool": "public-v4"}}}, "node": "pve1"}
Look = Callable[[], Checked]


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A settled lab in which `one` has 203.0.113.2 and `two` 203.0.113.3."""
    here = Lab(tmp_path, fleet_files({"one": V4, "two": V4}))
    here.settle()
    return here


@pytest.fixture
def look(lab: Lab) -> Look:
    def looked() -> Checked:
        with lab._opening(open_preview)(lab.fleet, lab.where, lab.clock.now()) as opened:
            return check(opened, Told(), lab.clock)

    return looked


def kinds(found: Checked) -> list[tuple[str, str]]:
    return [(one.kind, one.about) for one in found.problems]


def test_a_sound_fleet_has_no_problem_and_looking_writes_nothing(lab: Lab, look: Look) -> None:
    before, writes = lab.bytes(), len(lab.wire.writes())
    found = look()
    assert (found.problems, found.vms, found.unknown) == ((), 2, ())
    assert len(lab.wire.writes()) == writes
    assert before["store.db"] == lab.bytes()["store.db"]
    assert render_checked(found, Paint()) == "Addresses: 0 problems, 2 VMs looked at."


def test_duplicates_and_what_nobody_leased_are_found(lab: Lab, look: Look) -> None:
    for vmid, last in ((700, 2), (701, 50), (702, 60)):
        ip = f"ip=203.0.113.{last}/24"
        lab.ask("POST", "/nodes/pve1/qemu", vmid=vmid, name=f"x{vmid}", memory=512, ipconfig0=ip)
    lab.ask("PUT", "/nodes/pve1/qemu/101/config", ipconfig0="ip=203.0.113.60/24")
    lab.clock.sleep(60.0)
    found = look()
    assert kinds(found) == [
        ("duplicate", "203.0.113.2"),
        ("unleased", "203.0.113.50"),
        ("duplicate", "203.0.113.60"),
    ]
    assert "vm 700 of cluster demo (ipconfig0)" in found.problems[0].text
    assert "`reconcile ip reserve 203.0.113.50` keeps it" in render_checked(found, Paint())
    assert len(checked_json(found)["problems"]) == 3  # type: ignore[arg-type]


def test_what_is_leased_to_one_and_used_by_another_is_found(lab: Lab, look: Look) -> None:
    lab.ask("PUT", "/nodes/pve1/qemu/100/config", delete="ipconfig0")
    lab.ask("PUT", "/nodes/pve1/qemu/101/config", ipconfig0="ip=203.0.113.2/24")
    lab.clock.sleep(60.0)
    found = [one for one in look().problems if one.kind == "foreign"]
    assert [one.about for one in found] == ["203.0.113.2"]
    assert "is one's, but in use by two, vm 101 of cluster demo" in found[0].text


def test_a_reserved_address_may_be_somebodys(lab: Lab, look: Look) -> None:
    ip = "ip=203.0.113.50/24"
    lab.ask("POST", "/nodes/pve1/qemu", vmid=700, name="x", memory=512, ipconfig0=ip)
    with Store.open(lab.where, at=lab.clock.now()) as store:
        store.reservations.put(Reservation("203.0.113.50", None, "x", "ann", lab.clock.now()))
    assert kinds(look()) == []


def test_leases_without_a_vm_and_of_lost_pools_are_found(lab: Lab, look: Look) -> None:
    lab.ask("POST", "/nodes/pve1/qemu/100/status/stop")
    lab.clock.sleep(60.0)
    lab.ask("DELETE", "/nodes/pve1/qemu/100")
    lab.clock.sleep(60.0)
    lab.write(
        {
            "pools/public.yaml": POOLS.replace("203.0.113.", "198.51.100.").replace(
                "public-v4:", "other-v4:"
            ),
            "vms/all.yaml": "one: {}\ntwo: {}\n",
        }
    )
    assert kinds(look()) == [
        ("without-vm", "203.0.113.2"),
        ("lost-pool", "203.0.113.2"),
        ("lost-pool", "203.0.113.3"),
    ]


def test_pools_that_overlap_are_found_across_files(lab: Lab, look: Look) -> None:
    """IP-11: validation refuses them too, whichever files they stand in."""
    lab.write({"pools/again.yaml": "again: {network: 203.0.113.128/25}\n"})
    (first, *_) = look().problems
    assert (first.kind, first.about) == ("overlap", "public-v4")
    assert "overlaps with pool again" in first.text


def test_a_cluster_that_cannot_be_looked_at_is_told(
    lab: Lab, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(name: str = "demo") -> WiredApi:
        raise Unavailable("connection refused")

    monkeypatch.setattr(lab, "api", down)
    found = look()
    assert found.problems == () and len(found.unknown) == 1
    assert "! cluster demo: " in render_checked(found, Paint())
