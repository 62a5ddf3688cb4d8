"""A product's options, laid over its spec."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from desired.options import NAMES, PREFIXES, lay_over
from desired.spec import VMSpec
from desired.units import GIB, MIB
from tests.desired.fleets import load

CONTRACT = {
    "CPU Cores": 4,
    "RAM": 8,
    "System Disk": 40,
    "Additional Disk": 100,
    "System Disk Read Bandwidth": 200,
    "System Disk Write Bandwidth": 100.5,
    "System Disk Read IOPS": 2000,
    "System Disk Write IOPS": 1000,
    "Additional Disk Read Bandwidth": 20,
    "Additional Disk Write Bandwidth": 10,
    "Additional Disk Read IOPS": 200,
    "Additional Disk Write IOPS": 0,
    "Network Bandwidth": 12.5,
    "IPv4 Addresses": 2,
    "IPv6 Addresses": 1,
    "Backups": 3,
    "Snapshots": 2,
    "Operating System": "debian-12",
}
"""OPT-01: the names of the contract, exact."""


def product(folder: Path, options: Mapping[str, object], package: str = "small") -> VMSpec:
    """The spec of one VM `p` with these options."""
    lines = "".join(f"    {name}: {value!r}\n" for name, value in options.items())
    vm = f"p:\n  package: {package}\n  options:{'' if options else ' {}'}\n{lines}"
    package_text = """\
small: {cpu: {cores: 2}, memory: 2GiB, nics: {net0: {ipv4: {pool: v4}}}}
bare: {nics: {net0: {bridge: vmbr0, vlan: 100}}}
extra:
  disks: {virtio3: {size: 5GiB, storage: slow}, scsi9: {size: 1GiB}}
  nics: {net0: {ipv4: dhcp}}
"""
    fleet = load(folder, {"vms/p.yaml": vm, "packages/small.yaml": package_text})
    assert not fleet.errors, fleet.errors
    return fleet.vms["p"]


def test_the_18_options_have_their_exact_names_opt_01(tmp_path: Path) -> None:
    assert set(NAMES) == set(CONTRACT) and len(NAMES) == 18
    spec = product(tmp_path, CONTRACT)
    assert spec.cpu is not None and spec.cpu.cores == 4
    assert spec.memory == 8 * GIB
    system, extra = spec.disks["system"], spec.disks["scsi1"]
    assert (system.size, extra.size) == (40 * GIB, 100 * GIB)
    assert (system.mbps_rd, system.mbps_wr) == (200, 100.5)
    assert (system.iops_rd, system.iops_wr) == (2000, 1000)
    assert (extra.mbps_rd, extra.mbps_wr, extra.iops_rd, extra.iops_wr) == (20, 10, 200, 0)
    nic = spec.nics["net0"]
    assert nic.ipv4 is not None and nic.ipv6 is not None
    assert (nic.rate, nic.ipv4.count, nic.ipv6.count) == (12.5, 2, 1)
    assert spec.quota is not None and (spec.quota.backups, spec.quota.snapshots) == (3, 2)
    assert spec.template == "debian-12"


def test_names_are_case_sensitive_opt_01() -> None:
    assert [one.path for one in lay_over({}, {"ram": 8}, {})[1]] == [("options", "ram")]


@pytest.mark.parametrize(("prefix", "name"), PREFIXES.items())
def test_the_plain_name_wins_over_the_prefix_of_an_older_panel_opt_02(
    prefix: str, name: str
) -> None:
    aliases = {"debian-12": (9000,), "2": (9001,), "3": (9002,)}

    def laid(**given: object) -> dict[str, Any]:
        tree, wrong = lay_over({}, given, aliases)
        assert not wrong
        return tree

    old, plain = f"{prefix}Choose", name
    assert laid(**{old: "2"}) == laid(**{plain: "2"})
    assert laid(**{old: "2", plain: "3"}) == laid(**{plain: "3"}) != laid(**{plain: "2"})
    assert laid(**{plain: "3", old: "2"}) == laid(**{plain: "3"})


def test_an_option_wins_over_the_package_also_when_it_is_0_opt_03(tmp_path: Path) -> None:
    zero = {"System Disk": 0, "Network Bandwidth": 0, "IPv4 Addresses": 0, "Backups": 0}
    spec = product(tmp_path, {**zero, "CPU Cores": 1, "System Disk Read IOPS": "0"})
    assert spec.cpu is not None and spec.cpu.cores == 1, "the package says 2"
    assert spec.memory == 2 * GIB, "the package's, as no option says otherwise"
    assert (spec.disks["system"].size, spec.disks["system"].iops_rd) == (0, 0)
    nic = spec.nics["net0"]
    assert nic.rate == 0 and nic.ipv4 is not None and nic.ipv4.count == 0


def test_what_neither_option_nor_package_names_has_the_product_s_default_opt_03(
    tmp_path: Path,
) -> None:
    spec = product(tmp_path, {}, "bare")
    assert spec.cpu is not None and (spec.cpu.cores, spec.memory) == (1, GIB)
    assert spec.quota is not None and (spec.quota.backups, spec.quota.snapshots) == (0, 0)
    assert spec.clone == "linked" and spec.node is None and spec.disks == {}
    assert spec.nics["net0"].ipv6 is None and spec.nics["net0"].rate is None


def test_a_product_works_without_any_option_opt_04(tmp_path: Path) -> None:
    text = "p: {package: small}\n"
    spec = load(tmp_path, {"vms/p.yaml": text}).vms["p"]
    assert spec.cpu is not None and spec.cpu.cores == 1 and spec.quota is None


def test_the_operating_system_names_the_template_by_alias_or_vmid_ci_05(tmp_path: Path) -> None:
    for number, choice in enumerate(("debian-12", 9000, "9000")):
        spec = product(tmp_path / str(number), {"Operating System": choice})
        assert spec.template == "debian-12"


def test_the_additional_disk_is_the_package_s_first_dep_20(tmp_path: Path) -> None:
    spec = product(tmp_path, {"Additional Disk": 7, "Additional Disk Read IOPS": 5}, "extra")
    disk = spec.disks["virtio3"]
    assert (disk.size, disk.storage, disk.iops_rd) == (7 * GIB, "slow", 5)
    assert spec.disks["scsi9"].size == GIB


def test_without_an_additional_disk_its_limits_mean_nothing_dep_20(tmp_path: Path) -> None:
    options = {"Additional Disk": 0, "Additional Disk Read IOPS": 5}
    assert product(tmp_path, options).disks == {}


def test_addresses_come_from_the_pool_that_fits_where_the_package_names_none(
    tmp_path: Path,
) -> None:
    options = {"IPv4 Addresses": 2, "IPv6 Addresses": 0}
    spec = product(tmp_path, options, "bare")
    family = spec.nics["net0"].ipv4
    assert family is not None and (family.pool, family.count) == ("v4", 2)
    assert spec.nics["net0"].ipv6 is None


def test_no_address_is_asked_of_a_nic_that_uses_dhcp_ip_10(tmp_path: Path) -> None:
    spec = product(tmp_path, {"IPv4 Addresses": 0}, "extra")
    assert spec.nics["net0"].ipv4 is not None and spec.nics["net0"].ipv4.mode == "dhcp"


def test_sizes_are_gb_of_1024_mib_and_whole_mib(tmp_path: Path) -> None:
    assert product(tmp_path, {"RAM": 0.5}).memory == 512 * MIB
    assert lay_over({}, {"RAM": 0.0999}, {})[1][0].message == (
        "expected a number of GB from 0.015625 to 4096, seen 0.0999"
    )
