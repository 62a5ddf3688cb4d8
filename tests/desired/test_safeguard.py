"""What a person writes of a guarded change, in short and in full, and what is refused."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from desired.safeguard import Health
from desired.spec import VMSpec
from tests.desired.fleets import load


def spec(guard: object) -> VMSpec:
    return VMSpec.model_validate({"key": "web", "cluster": "lab", "name": "web", "guard": guard})


def test_the_word_snapshot_stands_for_all_that_is_default() -> None:
    guard = spec("snapshot").guard
    assert guard == spec({}).guard == spec({"snapshot": True}).guard
    assert guard is not None
    assert (guard.within, guard.required) == (300.0, True)
    assert guard.effects == ("hotplug", "next-boot", "stop-start")
    assert guard.health == Health()


@pytest.mark.parametrize(
    "guard",
    [
        "snapshot",
        {"within": "5min", "effects": ["live"], "required": False},
        {"health": {"agent": False, "tcp": [22, 443], "http": "https://{{ip}}:8443/up"}},
    ],
)
def test_a_guard_survives_being_written_down(guard: object) -> None:
    made = spec(guard)
    assert VMSpec.model_validate_json(made.document()) == made


def test_one_port_needs_no_list() -> None:
    guard = spec({"health": {"tcp": 22}}).guard
    assert guard is not None
    assert guard.health.tcp == (22,)


@pytest.mark.parametrize(
    ("guard", "told"),
    [
        ("snapshots", "expected snapshot, or a map such as {within: 5min}"),
        ({"within": "5s"}, "expected a time from 10s to 24h, seen 5s"),
        ({"effects": ["destroy"]}, "Input should be 'live', 'hotplug'"),
        ({"health": {"tcp": 0}}, "greater than or equal to 1"),
        ({"health": {"http": "http://example.net/"}}, "expected a URL such as"),
        ({"health": {"http": "http://{{ip}}@example.net/"}}, "expected a URL such as"),
        ({"health": {"http": "ftp://{{ip}}/"}}, "expected a URL such as"),
    ],
)
def test_what_cannot_be_meant_is_refused(guard: object, told: str) -> None:
    """Only the VM itself may be asked whether it is well."""
    with pytest.raises(ValidationError) as error:
        spec(guard)
    assert told in str(error.value)


def test_the_address_in_a_check_is_no_template_of_the_files(tmp_path: Path) -> None:
    """It is known only once it is leased; the rest of the spec is rendered as ever."""
    guard = "guard: {health: {http: 'http://{{ ip }}/'}}"
    fleet = load(tmp_path, {"vms/web.yaml": f"web: {{description: '{{{{ key }}}}', {guard}}}\n"})
    found = fleet.vms["web"]
    assert found.description == "web"
    assert found.guard is not None
    assert found.guard.health.http == "http://{{ ip }}/"


def test_a_vm_turns_off_what_its_package_turns_on(tmp_path: Path) -> None:
    packages = "small: {guard: {within: 1min, health: {tcp: 22}}}\n"
    vms = "a: {package: small, guard: {within: 2min}}\nb: {package: small, guard: null}\n"
    fleet = load(tmp_path, {"packages/small.yaml": packages, "vms/ok.yaml": vms})
    guard = fleet.vms["a"].guard
    assert guard is not None
    assert (guard.within, guard.health.tcp) == (120.0, (22,))
    assert fleet.vms["b"].guard is None
