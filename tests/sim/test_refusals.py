"""docs/refusals.md is what the code refuses now, and the index reads every way to refuse."""

import re
from pathlib import Path

import pytest

from tests.sim import refusals

SOURCE = '''
"""A room."""

TEXT = "of the file"
MISSING = 595


def one(name):
    if name == "a":
        raise failed(f"VM {name} is already {'on' if name else 'off'}\\n")
    text = "said before" if name else TEXT
    raise bad_parameters({"vmid": text, "node": "first line\\nsecond line"})


def two(errors, problem):
    errors["x"] = "set by key"
    raise Refusal(MISSING, "left | right" + problem, dict.fromkeys(errors, "for each"))


def three(relayed):
    raise TaskFailed(relayed)
'''


def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    monkeypatch.setattr(refusals, "ROOMS", tmp_path)
    file = tmp_path / "room.py"
    file.write_text(SOURCE)
    return [(row.status, row.text, row.rule) for row in sorted(refusals.rows_of(file))]


def test_the_index_reads_every_way_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(tmp_path, monkeypatch) == [
        ("500", "VM … is already …", "one"),
        ("400", "first line", "one"),
        ("595", "for each", "two"),
        ("595", "left | right…", "two"),
        ("400", "of the file", "one"),
        ("400", "said before", "one"),
        ("400", "set by key", "two"),
    ]
    assert "| 595 | `left \\| right…` | two | 07 |" in refusals.page({"07": {"left | right now"}})


def test_words_are_found_in_what_was_heard() -> None:
    said = {"01": {"VM 100 already running"}, "02": {"VM 7 is locked (backup)"}, "03": set[str]()}
    assert refusals.recorded("VM … already running", said) == "01"
    assert refusals.recorded("VM … is locked (…)", said) == "02"
    assert refusals.recorded("VM … already stopped", said) == ""
    assert refusals.recorded("… VM …", said) == ""


def without_flows(text: str) -> str:
    """The page without its last column."""
    return re.sub(r"\| [0-9 ]*\|$", "|", text, flags=re.M)


def test_the_page_is_made_of_the_code_as_it_is() -> None:
    ours, said = refusals.PAGE.read_text(), refusals.heard()
    made = refusals.page(said)
    assert without_flows(made) == without_flows(ours), "run `make refusals`"
    assert made == ours or not said, "run `make refusals`"


def test_many_refusals_were_heard_from_proxmox_itself() -> None:
    """By the page, so that it also holds where the recordings are not at hand."""
    rows = [line for line in refusals.PAGE.read_text().splitlines() if line.startswith("| ")]
    assert sum(bool(re.search(r"\| [0-9 ]+\|$", line)) for line in rows) > 150
