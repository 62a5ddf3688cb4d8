"""Expressions in spec values."""

from pathlib import Path

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
