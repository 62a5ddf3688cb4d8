"""Merge order: fleet defaults < package < VM."""

from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from desired.merge import merge
from desired.units import GIB
from tests.desired.fleets import load

AT = datetime(2026, 11, 20, tzinfo=UTC)
Trees = st.recursive(
    st.dictionaries(st.sampled_from("abc"), st.none() | st.integers(), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner | st.integers(), max_size=3),
    max_leaves=8,
)


def test_maps_merge_lists_replace_and_null_removes() -> None:
    base = {"a": {"x": 1, "y": {"z": 1}}, "l": [1, 2], "gone": {"x": 1}}
    over = {"a": {"y": {"w": 2}}, "l": [3], "gone": None, "new": {"x": None, "y": 1}}
    assert merge(base, over) == {
        "a": {"x": 1, "y": {"z": 1, "w": 2}},
        "l": [3],
        "new": {"y": 1},
    }
    assert base["gone"] == {"x": 1}


@given(Trees)
def test_merging_a_tree_on_itself_changes_nothing(tree: dict[str, object]) -> None:
    once = merge({}, tree)
    assert merge(once, tree) == once


@given(Trees, Trees, Trees)
def test_the_strongest_layer_wins(
    low: dict[str, object], middle: dict[str, object], high: dict[str, object]
) -> None:
    merged = merge(merge(low, middle), high)
    for key, value in high.items():
        if not isinstance(value, dict):
            assert merged.get(key) == value


def test_a_vm_inherits_from_its_package_and_from_the_defaults(tmp_path: Path) -> None:
    vms = "web: {package: small, memory: 2GiB, nics: {net0: {vlan: 0, ipv4: null}}}\nbare: {}\n"
    fleet = load(tmp_path, {"vms/web.yaml": vms})
    assert not fleet.errors
    web = fleet.vms["web"]
    assert web.memory == 2 * GIB
    assert web.cpu and web.cpu.cores == 1
    assert web.nics["net0"].ipv4 is None
    assert web.nics["net0"].vlan == 0
    assert (web.storage, web.template, web.fqdn) == ("local-lvm", "debian-12", "web.example.net")
    assert fleet.vms["bare"].memory is None
