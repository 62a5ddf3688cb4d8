"""Values, durations and columns as a person reads them."""

from datetime import UTC, datetime

import pytest

from reconciler.show.text import (
    Paint,
    count_of,
    json_when,
    show_duration,
    show_interval,
    show_value,
    show_when,
    table,
    wants_colour,
)
from state.change import Value
from state.secret import Secret


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("memory", 1 << 30, "1 GiB"),
        ("memory", 1536 << 20, "1536 MiB"),
        ("balloon", 0, "0"),
        ("scsi1.size", 20 << 30, "20 GiB"),
        ("net0.rate", 12.5, "12.5 MB/s"),
        ("net0.rate", 0.0, "unlimited"),
        ("system.mbps_rd", 100.0, "100 MB/s"),
        ("system.iops_rd", 0, "unlimited"),
        ("system.iops_rd", 1000, "1000"),
        ("system.iops_rd_max_length", 5, "5"),
        ("cores", 2, "2"),
        ("net0.vlan", 0, "none"),
        ("net0.vlan", 100, "100"),
        ("cpulimit", 1.5, "1.5"),
        ("onboot", True, "on"),
        ("onboot", False, "off"),
        ("tags", ("a", "b"), "a, b"),
        ("tags", (), "(empty)"),
        ("name", "web", "web"),
        ("name", "", "(empty)"),
        ("name", None, "(none)"),
        ("password", Secret("hunter2"), "***"),
    ],
)
def test_values_are_shown_in_their_units(field: str, value: Value, text: str) -> None:
    assert show_value(field, value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.61, "0.6 s"),
        (59.0, "59.0 s"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (10920, "3 h 2 min"),
    ],
)
def test_durations_grow_with_their_unit(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(60, "1m"), (7200, "2h"), (90, "90s"), (0, "off"), (5400, "90m")],
)
def test_intervals_are_short(seconds: float, text: str) -> None:
    assert show_interval(seconds) == text


def test_moments_are_local_for_people_and_utc_for_machines() -> None:
    at = datetime(2026, 3, 1, 12, 0, 5, 250_000, tzinfo=UTC)
    assert show_when(at, UTC) == "2026-03-01 12:00:05"
    assert json_when(at) == "2026-03-01T12:00:05.250Z"


def test_colour_needs_a_terminal_that_wants_it() -> None:
    assert wants_colour(True, {"TERM": "xterm"})
    assert not wants_colour(False, {"TERM": "xterm"})
    assert not wants_colour(True, {"TERM": "dumb"})
    assert not wants_colour(True, {"NO_COLOR": "1"})
    assert wants_colour(True, {"NO_COLOR": ""})


def test_paint_wraps_only_when_colours_are_on() -> None:
    assert Paint(True).bold("x") == "\x1b[1mx\x1b[0m"
    assert Paint(True).dim("") == ""
    assert Paint(False).bad("x") == "x"


def test_nouns_follow_their_number() -> None:
    assert (count_of(1, "change"), count_of(0, "change")) == ("1 change", "0 changes")


def test_columns_are_aligned_without_trailing_blanks() -> None:
    text = table(("VM", "STATE"), [("web-1", "ready"), ("a", "")], Paint())
    assert text == "VM     STATE\nweb-1  ready\na"
