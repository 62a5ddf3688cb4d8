"""Names: rolled once from their template, stored, reused (CI-03)."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from desired.render import Renderer
from desired.source import Fleet, RolledName
from tests.desired.fleets import AT, load

ROLLED = 'guest: {name: "g-{{ random_digit_4 }}-{{ random_letter_6 }}"}\n'


def stored(fleet: Fleet) -> dict[str, RolledName]:
    return {key: RolledName(vm.name_template, vm.name) for key, vm in fleet.vms.items()}


def names(fleet: Fleet) -> dict[str, str]:
    assert not fleet.errors
    return {key: vm.name for key, vm in fleet.vms.items()}


def test_the_default_name_is_the_key_with_hyphens(tmp_path: Path) -> None:
    fleet = load(tmp_path, {"vms/a.yaml": "cache: {count: 2}\nsite: {for_each: [blog]}\n"})
    assert names(fleet) == {
        "cache/1": "cache-1",
        "cache/2": "cache-2",
        "site/blog": "site-blog",
        "ok": "ok",
    }
    assert fleet.vms["ok"].name_template == "{{ key }}"


def test_macros_are_digits_letters_and_parts_of_the_time_ci_03(tmp_path: Path) -> None:
    vms = (
        'a: {name: "{{ client_id }}-{{ service_id }}", vars: {client_id: 7, service_id: "9"}}\n'
        'b: {name: "{{ year }}-{{ month }}-{{ day }}-{{ hour }}-{{ minute }}-{{ second }}"}\n'
        'c: {name: "t{{ unixtime }}"}\n'
    )
    fleet = load(tmp_path, {"vms/a.yaml": vms + ROLLED})
    found = names(fleet)
    assert found["a"] == "7-9"
    assert found["b"] == "2026-11-20-08-05-03"
    assert found["c"] == f"t{int(AT.timestamp())}"
    assert re.fullmatch(r"g-[0-9]{4}-[a-z]{6}", found["guest"])


def test_a_dry_run_previews_the_very_name_that_the_run_will_store(tmp_path: Path) -> None:
    first = load(tmp_path, {"vms/a.yaml": ROLLED})
    assert names(load(tmp_path, {})) == names(first)
    other = load(tmp_path, {}, seed=b"another store")
    assert names(other)["guest"] != names(first)["guest"]


def test_a_stored_name_never_rolls_again_ci_03(tmp_path: Path) -> None:
    first = load(tmp_path, {"vms/a.yaml": ROLLED})
    again = load(tmp_path, {}, stored(first), seed=b"another seed")
    assert names(again) == names(first)


def test_an_edited_template_rolls_anew(tmp_path: Path) -> None:
    first = load(tmp_path, {"vms/a.yaml": ROLLED})
    edited = ROLLED.replace("g-", "h-")
    assert names(load(tmp_path, {"vms/a.yaml": edited}, stored(first)))["guest"].startswith("h-")


def test_a_new_key_keeps_the_random_name_but_not_the_default_one(tmp_path: Path) -> None:
    first = load(tmp_path, {"vms/a.yaml": ROLLED + "plain: {}\n"})
    moved = ROLLED.replace("guest: {", "visitor: {was: guest, ") + "plainer: {was: plain}\n"
    second = load(tmp_path, {"vms/a.yaml": moved}, stored(first))
    assert names(second)["visitor"] == names(first)["guest"]
    assert names(second)["plainer"] == "plainer"


def test_random_names_evade_each_other_and_the_stored_ones(tmp_path: Path) -> None:
    vms = 'r: {count: 9, name: "r{{ random_digit_1 }}"}\n'
    taken = {"gone": RolledName("x", "R4")}
    fleet = load(tmp_path, {"vms/a.yaml": vms}, taken)
    assert {n for n in names(fleet).values() if n != "ok"} == {f"r{n}" for n in "012356789"}


def test_what_is_rolled_does_not_depend_on_the_files_order(tmp_path: Path) -> None:
    one, two = 'a: {name: "n{{ random_digit_1 }}"}\n', 'b: {name: "n{{ random_digit_1 }}"}\n'
    first = load(tmp_path / "1", {"vms/1.yaml": one, "vms/2.yaml": two})
    second = load(tmp_path / "2", {"vms/1.yaml": two, "vms/2.yaml": one})
    assert names(first) == names(second)


@given(st.binary(max_size=40), st.text(max_size=20), st.integers(1, 32))
def test_a_roll_is_a_function_of_its_arguments(seed: bytes, key: str, length: int) -> None:
    text = f"{{{{ random_letter_{length} }}}}"
    rolls = {Renderer().roll(text, {"key": key}, seed, 0, AT) for _ in range(2)}
    assert len(rolls) == 1
    assert re.fullmatch(f"[a-z]{{{length}}}", rolls.pop())


def test_machines_of_a_group_may_have_been_others(tmp_path: Path) -> None:
    vms = 'cache: {count: 1, was: cache}\nweb: {for_each: [a, b], was: "old-{{ item }}"}\n'
    fleet = load(tmp_path, {"vms/a.yaml": vms})
    assert not fleet.errors
    was = {key: vm.was for key, vm in fleet.vms.items() if vm.was}
    assert was == {"cache/1": "cache", "web/a": "old-a", "web/b": "old-b"}


def test_the_machines_of_a_group_cannot_all_have_been_one(tmp_path: Path) -> None:
    fleet = load(tmp_path, {"vms/a.yaml": "web: {count: 2, was: old}\n"})
    assert sorted(fleet.vms) == ["ok", "web/1"]
    assert [error.message for error in fleet.errors] == ["web/1 was old already"]
