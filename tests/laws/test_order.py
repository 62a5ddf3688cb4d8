"""The order of VMs is irrelevant: only vmids and addresses go by it."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.lab import Lab
from tests.laws.effort import few, many
from tests.laws.fleets import Spec, fleet_files, fleets

_VMID = re.compile(r"\b(vm-|base-|vmid=)\d+")
_KEY = re.compile(r"key=\S+")
_ADDRESS = re.compile(r"203\.0\.113\.\d+|2001:db8:100::[0-9a-f]+")
shuffled = st.randoms(use_true_random=False)


def by_name(lab: Lab) -> dict[str, Any]:
    """The fleet's VMs by their Proxmox name, without what is given in order."""
    shot = lab.shot()
    vms = (vm for vmid, vm in shot["vms"].items() if vmid < 9000)
    return {vm["config"]["name"]: blurred(vm) for vm in vms}


def blurred(value: Any) -> Any:
    if isinstance(value, dict):
        return {blurred(key): blurred(one) for key, one in value.items()}
    if isinstance(value, list):
        return [blurred(one) for one in value]
    if not isinstance(value, str):
        return value
    text = _VMID.sub(r"\1N", _KEY.sub("key=K", value))
    return _ADDRESS.sub(lambda found: "A6" if ":" in found[0] else "A4", text)


def ends_alike(vms: dict[str, Spec], keys: list[str]) -> None:
    """The same machines under keys in another order, by one worker and by many."""
    named = [{**spec, "name": f"host-{key}"} for key, spec in vms.items()]
    ends = []
    for order in (list(vms), keys):
        with TemporaryDirectory() as folder:
            lab = Lab(Path(folder), fleet_files(dict(zip(order, named, strict=True))))
            lab.settle()
            ends.append(by_name(lab))
            with lab.store() as store:
                leased = [lease.address for own in store.leases.all().values() for lease in own]
            assert len(leased) == len(set(leased))
    assert ends[0] == ends[1]


@few
@given(fleets(4), shuffled)
def test_the_order_of_vms_is_irrelevant(vms: dict[str, Spec], chance: Any) -> None:
    """DEP-12, IP-11: no vmid and no address is given twice, whoever comes first."""
    ends_alike(vms, chance.sample(sorted(vms), len(vms)))


@pytest.mark.nightly
@many
@given(fleets(6), shuffled)
def test_the_order_of_vms_is_irrelevant_in_any_fleet(vms: dict[str, Spec], chance: Any) -> None:
    ends_alike(vms, chance.sample(sorted(vms), len(vms)))
