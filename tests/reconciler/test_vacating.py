"""An address is given back when nothing uses it any more: not the spec, not the guest."""

from pathlib import Path

import pytest

from tests.lab import Lab
from tests.laws.fleets import Spec, fleet_files


def vm(**nic: object) -> dict[str, Spec]:
    return {"one": {"node": "pve1", "nics": {"net0": nic}}}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A running VM with two leased addresses, of which it is to have none any more."""
    lab = Lab(tmp_path, fleet_files(vm(ipv4={"pool": "public-v4", "count": 2})))
    lab.settle()
    lab.clock.sleep(60)
    lab.write(fleet_files(vm(ipv4="none")))
    lab.run()
    return lab


def leased(lab: Lab) -> list[str]:
    with lab.store() as store:
        return [one.address for one in store.leases.of("one")]


def test_a_running_guest_keeps_its_first_address_until_it_boots(lab: Lab) -> None:
    """C26 frees the further ones at once: the guest was never told of them."""
    assert leased(lab) == ["203.0.113.2"]
    lab.clock.sleep(3600)
    lab.run()
    assert leased(lab) == ["203.0.113.2"]


def test_nobody_else_gets_the_address_meanwhile(lab: Lab) -> None:
    two: Spec = {"nics": {"net0": {"ipv4": {"pool": "public-v4", "count": 2}}}}
    lab.write(fleet_files({**vm(ipv4="none"), "two": two}))
    lab.run()
    with lab.store() as store:
        assert "203.0.113.2" not in [one.address for one in store.leases.of("two")]


def test_it_is_given_back_after_the_boot(lab: Lab) -> None:
    for verb in ("stop", "start"):
        lab.ask("POST", f"/nodes/pve1/qemu/100/status/{verb}")
        lab.clock.sleep(30)
    lab.run()
    assert leased(lab) == []
    with lab.store() as store:
        assert store.intents.of("one") == {}


def test_it_is_given_back_at_once_when_the_guest_is_off(tmp_path: Path) -> None:
    off = {"one": {**vm(ipv4={"pool": "public-v4"})["one"], "power": "stopped"}}
    lab = Lab(tmp_path, fleet_files(off))
    lab.settle()
    lab.clock.sleep(60)
    lab.write(fleet_files({"one": {**vm(ipv4="none")["one"], "power": "stopped"}}))
    lab.run()
    assert leased(lab) == []
    with lab.store() as store:
        assert store.intents.of("one") == {}


def test_a_spec_that_asks_for_it_again_has_the_same_address(lab: Lab) -> None:
    lab.write(fleet_files(vm(ipv4={"pool": "public-v4"})))
    lab.clock.sleep(60)
    lab.settle()
    assert leased(lab) == ["203.0.113.2"]
    with lab.store() as store:
        assert store.intents.of("one") == {}
