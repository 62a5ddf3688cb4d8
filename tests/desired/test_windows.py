"""Windows of time: when they are open, whose they are, and how a bad one is told."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desired.errors import UnusableSource
from desired.windows import (
    Window,
    allows,
    closed_window,
    next_opening,
    open_window,
)
from tests.desired.fleets import BASE, load

RESTART = "stop-start"
HOUR = timedelta(hours=1)


def window(start: str, length: str = "2h", **fields: object) -> Window:
    return Window.model_validate({"start": start, "for": length, **fields})


def utc(*moment: int) -> datetime:
    return datetime(*moment, tzinfo=UTC)  # type: ignore[misc,arg-type]


SUNDAYS = {"nights": window("0 2 * * sun")}


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (utc(2026, 11, 22, 1, 59, 59), False),
        (utc(2026, 11, 22, 2), True),
        (utc(2026, 11, 22, 3, 59, 59, 999999), True),
        (utc(2026, 11, 22, 4), False),
        (utc(2026, 11, 23, 3), False),
    ],
)
def test_c_24_a_window_is_open_from_its_start_up_to_its_end(at: datetime, is_open: bool) -> None:
    opened = open_window(SUNDAYS, RESTART, at)
    assert (opened is not None) is is_open
    if opened:
        assert opened.name == "nights"
        assert (opened.opened_at, opened.until) == (utc(2026, 11, 22, 2), utc(2026, 11, 22, 4))


def test_a_window_opens_by_the_clock_of_its_zone() -> None:
    berlin = {"nights": window("0 2 * * *", timezone="Europe/Berlin")}
    assert open_window(berlin, RESTART, utc(2026, 7, 1, 0, 30)) is not None
    assert open_window(berlin, RESTART, utc(2026, 12, 1, 0, 30)) is None
    assert open_window(berlin, RESTART, utc(2026, 12, 1, 1, 30)) is not None


def test_a_start_that_the_clocks_skip_comes_right_after_and_one_twice_comes_once() -> None:
    berlin = {"nights": window("30 2 * * *", "10min", timezone="Europe/Berlin")}

    def openings(first: datetime) -> list[datetime]:
        moments = (first + timedelta(minutes=5 * n) for n in range(12 * 24))
        found = [open_window(berlin, RESTART, moment) for moment in moments]
        return sorted({one.opened_at for one in found if one})

    assert openings(utc(2026, 3, 28, 23)) == [utc(2026, 3, 29, 1)]
    assert openings(utc(2026, 10, 24, 22)) == [utc(2026, 10, 25, 0, 30)]


def test_a_deny_window_wins() -> None:
    both = {**SUNDAYS, "freeze": window("30 2 22 11 *", "1h", kind="deny")}
    assert open_window(both, RESTART, utc(2026, 11, 22, 2, 15)) is not None
    assert open_window(both, RESTART, utc(2026, 11, 22, 3)) is None
    closed = closed_window(both, RESTART, utc(2026, 11, 22, 3))
    assert closed is not None
    assert (closed.name, closed.until) == ("freeze", utc(2026, 11, 22, 3, 30))
    assert open_window(both, RESTART, utc(2026, 11, 22, 3, 30)) is not None


def test_of_several_deny_windows_the_one_that_ends_last_is_told() -> None:
    both = {
        "a": window("0 2 * * *", "3h", kind="deny"),
        "b": window("0 3 * * *", "1h", kind="deny"),
    }
    closed = closed_window(both, RESTART, utc(2026, 11, 22, 3, 30))
    assert closed is not None
    assert closed.name == "a"


def test_a_window_counts_for_the_effects_it_names_only() -> None:
    freeze = {"freeze": window("0 2 * * *", kind="deny", effects=["stop-start", "destroy"])}
    at = utc(2026, 11, 22, 3)
    assert closed_window(freeze, "destroy", at)
    assert closed_window(freeze, "live", at) is None
    assert not allows(freeze, RESTART)
    assert allows(SUNDAYS, RESTART)
    assert not allows({"a": window("0 2 * * *", effects=["live"])}, RESTART)


def test_the_next_opening_is_told_with_what_a_deny_window_leaves_of_it() -> None:
    friday = utc(2026, 11, 20, 12)
    later = next_opening(SUNDAYS, RESTART, friday)
    assert later is not None
    assert later.opened_at == utc(2026, 11, 22, 2)
    freeze = window("0 0 22 11 *", "3h", kind="deny")
    later = next_opening({**SUNDAYS, "freeze": freeze}, RESTART, friday)
    assert later is not None
    assert later.opened_at == utc(2026, 11, 22, 3)
    whole = window("0 0 22 11 *", "1d", kind="deny")
    later = next_opening({**SUNDAYS, "freeze": whole}, RESTART, friday)
    assert later is not None
    assert later.opened_at == utc(2026, 11, 29, 2)


def test_the_next_opening_of_an_open_window_is_now() -> None:
    at = utc(2026, 11, 22, 3)
    opened = next_opening(SUNDAYS, RESTART, at)
    assert opened is not None
    assert (opened.opened_at, opened.until) == (at, utc(2026, 11, 22, 4))


def test_without_an_allow_window_or_under_an_endless_deny_window_nothing_opens() -> None:
    at = utc(2026, 11, 20, 12)
    assert next_opening({}, RESTART, at) is None
    always = window("* * * * *", "1h", kind="deny")
    assert next_opening({**SUNDAYS, "always": always}, RESTART, at) is None


crons = st.sampled_from(["0 2 * * *", "30 2 * * sun", "*/20 * * * *", "15 1,2,3 * 3,10 *"])
zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)


@given(crons, zones, st.sampled_from(["5min", "2h", "3d"]), moments)
def test_an_opening_covers_its_moment_and_begins_by_the_cron_line(
    cron: str, zone: str, length: str, at: datetime
) -> None:
    windows = {"w": window(cron, length, timezone=zone)}
    found = open_window(windows, RESTART, at)
    if found:
        assert found.opened_at <= at < found.until
        assert found.opened_at.astimezone(ZoneInfo(zone)).second == 0
    else:
        coming = next_opening(windows, RESTART, at)
        assert coming is not None
        assert coming.opened_at > at
        assert open_window(windows, RESTART, coming.opened_at - timedelta(microseconds=1)) is None


def fleet_with(windows: str) -> dict[str, str | None]:
    return {
        "fleet.yaml": BASE["fleet.yaml"] + f"windows:\n{windows}",
        "vms/ok.yaml": "ok: {package: small}\ndb-1: {package: small, tags: [prod]}\n"
        "old: {state: absent}\n",
    }


def test_a_vm_has_the_windows_of_its_scope(tmp_path: Path) -> None:
    text = """\
  all: {start: "0 2 * * *", for: 1h}
  prod: {start: "0 2 * * *", for: 1h, tags: [prod, live]}
  dbs: {start: "0 2 * * *", for: 1h, names: ["db-*"], kind: deny}
  both: {start: "0 2 * * *", for: 1h, names: ["o*"], tags: [prod]}
"""
    vms = load(tmp_path, fleet_with(text)).vms
    assert list(vms["ok"].windows) == ["all"]
    assert sorted(vms["db-1"].windows) == ["all", "dbs", "prod"]
    assert list(vms["old"].windows) == ["all"]
    same = type(vms["db-1"]).model_validate_json(vms["db-1"].document())
    assert same == vms["db-1"]


def test_a_broken_window_that_may_deny_denies_always(tmp_path: Path) -> None:
    text = '  a: {start: "0 2 * * *", for: 1h, kind: deny, tagz: [x]}\n  b: {start: 5, for: 1h}\n'
    fleet = load(tmp_path, fleet_with(text))
    assert list(fleet.vms["ok"].windows) == ["unreadable"]
    assert closed_window(fleet.vms["ok"].windows, "live", utc(2026, 3, 4, 5, 6, 7))
    assert len(fleet.errors) == 2


def test_a_mistyped_section_of_windows_stops_everything(tmp_path: Path) -> None:
    files = {"fleet.yaml": BASE["fleet.yaml"] + "window: {a: {start: '0 2 * * *', for: 1h}}\n"}
    with pytest.raises(UnusableSource, match="did you mean windows"):
        load(tmp_path, files)


def test_windows_that_are_no_map_deny_always(tmp_path: Path) -> None:
    fleet = load(tmp_path, fleet_with("  - nights\n"))
    assert list(fleet.vms["ok"].windows) == ["unreadable"]


def test_a_broken_allow_window_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    text = '  a: {start: "61 2 * * *", for: 1h}\n  b: {start: "0 2 * * *", for: 1h}\n'
    assert list(load(tmp_path, fleet_with(text)).vms["ok"].windows) == ["b"]
