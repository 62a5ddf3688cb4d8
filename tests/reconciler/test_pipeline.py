"""The pipeline table: its states, steps and what is derived from what still differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.pipeline import CHANGE, DEPLOY, derive, passed

STATES = [
    "creation",
    "set_ip",
    "clone",
    "set_dns",
    "migrated",
    "set_cpu_ram",
    "set_system_disk_size",
    "set_system_disk_bandwidth",
    "set_created_additional_disk",
    "set_additional_disk_size",
    "set_additional_disk_bandwidth",
    "set_network",
    "set_firewall",
    "set_cloudinit",
    "starting",
    "ready",
]

LABELS = [
    "Allocate IP",
    "Clone VM",
    "Configure DNS records",
    "Migrate to target node",
    "Set CPU & RAM",
    "Resize system disk",
    "Set system disk I/O",
    "Create additional disk",
    "Resize additional disk",
    "Set additional disk I/O",
    "Configure network",
    "Configure firewall",
    "Configure cloud-init",
    "Start VM",
    "Verify running + Email",
]


def test_dep_02_the_deploy_has_sixteen_states_in_the_contracts_order() -> None:
    """DEP-02, C-03"""
    assert list(DEPLOY.names) == STATES
    assert len(DEPLOY.names) == 16


def test_dep_04_the_deploy_has_fifteen_labelled_steps() -> None:
    """DEP-04, C-03"""
    assert [step.label for step in DEPLOY.transitions] == LABELS
    assert len(DEPLOY.transitions) == 15


def test_a_change_has_thirteen_states_and_twelve_steps_and_starts_with_the_addresses() -> None:
    assert len(CHANGE.names) == 13
    assert len(CHANGE.transitions) == 12
    assert CHANGE.names[:3] == ("change_package", "cp_update_ip", "cp_stop")
    assert CHANGE.number("Start VM") == 11


@pytest.mark.parametrize(
    ("remaining", "state"),
    [
        ([("allocate", "net0.ipv4")], "creation"),
        ([("exists", "vm")], "set_ip"),
        ([("placement", "node")], "set_dns"),
        ([("cpu", "cores")], "migrated"),
        ([("memory", "balloon")], "migrated"),
        ([("disks", "system.size")], "set_cpu_ram"),
        ([("disks", "system.iops_rd_max_length")], "set_system_disk_size"),
        ([("disks", "system.ssd")], "set_system_disk_size"),
        ([("disks", "scsi1")], "set_system_disk_bandwidth"),
        ([("disks", "virtio12.size")], "set_created_additional_disk"),
        ([("disks", "scsi1.mbps_wr")], "set_additional_disk_size"),
        ([("network", "net0.rate")], "set_additional_disk_bandwidth"),
        ([("firewall", "rules")], "set_network"),
        ([("cloudinit", "password")], "set_firewall"),
        ([("options", "onboot")], "set_cloudinit"),
        ([("power", "power")], "set_cloudinit"),
        ([("power", "verify")], "starting"),
        ([("tags", "tags"), ("pool", "pool")], "ready"),
        ([("firewall", "rules"), ("cpu", "cores")], "migrated"),
        ([], "ready"),
    ],
)
def test_dep_03_a_state_names_the_last_completed_step(
    remaining: list[tuple[str, str]], state: str
) -> None:
    """DEP-03"""
    assert derive(remaining) == state


def test_the_steps_between_two_states_are_listed_in_order() -> None:
    assert passed("creation", "clone") == (
        ("Allocate IP", "creation", "set_ip"),
        ("Clone VM", "set_ip", "clone"),
    )
    assert passed("creation", "ready") == DEPLOY.transitions


def test_no_step_lies_between_a_state_and_itself_or_an_earlier_one() -> None:
    assert passed("clone", "clone") == ()
    assert passed("ready", "clone") == ()


def test_steps_are_numbered_from_one_and_strange_ones_have_no_number() -> None:
    assert DEPLOY.number("Allocate IP") == 1
    assert DEPLOY.number("Verify running + Email") == 15
    assert DEPLOY.number("Set tags") == 0


def test_a_failure_is_told_at_the_step_of_its_own_handler() -> None:
    assert DEPLOY.label_for("network", "clone") == "Configure network"
    assert DEPLOY.label_for("disks", "set_system_disk_size") == "Set system disk I/O"
    assert DEPLOY.label_for("pool", "migrated") == ""
    assert DEPLOY.label_for("cpu", "no such state") == ""


def test_the_next_step_is_named_until_there_is_none() -> None:
    assert DEPLOY.next_label("set_cloudinit") == "Start VM"
    assert DEPLOY.next_label("ready") == ""


FIELDS = [
    ("allocate", "net0.ipv4"),
    ("exists", "vm"),
    ("cpu", "cores"),
    ("disks", "system.size"),
    ("disks", "scsi1"),
    ("network", "net0.tag"),
    ("tags", "tags"),
    ("options", "name"),
    ("power", "power"),
]


@given(st.sets(st.sampled_from(FIELDS)), st.sampled_from(FIELDS))
def test_settling_a_difference_never_moves_the_state_back(
    remaining: set[tuple[str, str]], settled: tuple[str, str]
) -> None:
    before = STATES.index(derive(remaining | {settled}))
    after = STATES.index(derive(remaining - {settled}))
    assert before <= after
