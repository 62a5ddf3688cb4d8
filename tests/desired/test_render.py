"""Expressions in spec values."""

from pathlib import Path

import pytest
import yaml

from desired.model import Rendered, native
from tests.desired.fleets import load

VMS = """\
cache:
  count: 2
  vars: {size: 20, base: "{{ fleet }}-x"}
  cpu: {cores: "{{ index + 1 }}", limit: "{{ 1.5 }}", numa: "{{ true }}", type: "{{ 'host' }}"}
  memory: "{{ index }}GiB"
  tags: [cache, "{{ key | replace('/', '-') }}"]
  description: "{{ base }} {{ name }} {{ cluster }} {{ package }}"
  package: small
  disks: {scsi1: {size: "{{ size }}GiB", backup: "{{ index == 1 }}"}}
site:
  for_each: {blog: {mb: 512}, shop: {mb: 1024}}
  memory: "{{ value.mb }}MiB"
  cluster: "{{ 'de' ~ 'mo' }}"
  description: "{% if item == 'blog' %}words{% else %}goods{% endif %}{# never seen #}"
plain: {for_each: [a, 7], package: "{{ 'sm' }}all", tags: ["{{ value }}", "i{{ item }}"]}
"""


def test_expressions_stand_in_any_value_and_yield_numbers_where_wanted(tmp_path: Path) -> None:
    fleet = load(tmp_path, {"vms/a.yaml": VMS})
    assert not fleet.errors
    second = fleet.vms["cache/2"]
    assert second.cpu
    assert (second.cpu.cores, second.cpu.limit, second.cpu.numa) == (3, 1.5, True)
    assert second.cpu.type == "host"
    assert second.memory == 2 << 30
    assert second.tags == ("cache", "cache-2")
    assert second.description == "test-x cache-2 demo small"
    assert second.disks["scsi1"].backup is False
    assert fleet.vms["site/blog"].memory == 512 << 20
    assert fleet.vms["site/shop"].description == "goods"
    assert fleet.vms["plain/7"].tags == ("7", "i7")
    assert fleet.vms["plain/a"].package == "small"


def test_variables_merge_like_the_rest(tmp_path: Path) -> None:
    files = {
        "packages/p.yaml": 'p: {vars: {a: 1, b: 2}, description: "{{ a }}-{{ b }}-{{ c }}"}\n',
        "vms/a.yaml": "one: {package: p, vars: {b: 3, c: 4}}\ntwo: {package: p, vars: {c: [5]}}\n",
    }
    fleet = load(tmp_path, files)
    assert fleet.vms["one"].description == "1-3-4"
    assert fleet.vms["two"].description == "1-2-[5]"


def test_only_rendered_text_becomes_a_number() -> None:
    assert [native(Rendered(t)) for t in ("4", " 1.5 ", "False", "010", "x")] == [
        4,
        1.5,
        False,
        "010",
        "x",
    ]
    assert native("4") == "4"


@pytest.mark.parametrize(
    "text",
    [
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ " + "(" * 900 + "1" + ")" * 900 + " }}",
        "{{ 'x' * 10 ** 18 }}",
        "{% include 'x' %}",
        "{{ 'x' | nope }}",
        "{{ range(10 ** 9) | list }}",
    ],
)
def test_a_template_that_runs_wild_is_an_error_of_its_vm(text: str, tmp_path: Path) -> None:
    vms = yaml.safe_dump({"wild": {"description": text}})
    fleet = load(tmp_path, {"vms/wild.yaml": vms})
    assert [error.vm for error in fleet.errors] == ["wild"]
    assert "template" in fleet.errors[0].message
    assert list(fleet.vms) == ["ok"]


def test_what_a_vm_says_is_all_that_its_option_is_c_08(tmp_path: Path) -> None:
    """OPT-03, C-08: an option that is set wins, also when it is 0."""
    vms = "a: {package: small, nics: {net0: {rate: 0, vlan: 0, ipv4: {count: 0, pool: inner}}}}\n"
    package = "small: {nics: {net0: {rate: 5MB/s, vlan: 7, ipv4: {pool: v4, count: 2}}}}\n"
    fleet = load(tmp_path, {"vms/a.yaml": vms, "packages/small.yaml": package, "vms/ok.yaml": None})
    nic = fleet.vms["a"].nics["net0"]
    assert (nic.rate, nic.vlan, nic.ipv4 and nic.ipv4.count) == (0, 0, 0)


def test_a_vm_works_with_no_option_at_all_opt_04(tmp_path: Path) -> None:
    fleet = load(tmp_path, {"vms/a.yaml": "bare: {}\n"})
    bare = fleet.vms["bare"]
    assert (bare.clone, bare.power, bare.restart, bare.node) == ("linked", "running", "never", None)
    assert (bare.cpu, bare.memory, bare.nics, bare.firewall) == (None, None, {}, None)
