"""Traffic in the store: bytes enter once, hours go after a while, months stay."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from state.meter import Gap, HourBytes, Meter, Reading
from state.store import Store
from state.usage import GapOf, Hour, Meters, Month

BERLIN = ZoneInfo("Europe/Berlin")
TERABYTES = 9 * 10**15


def meter(at: datetime, count: int = 5) -> Meter:
    hour = at.replace(minute=0, second=0)
    return Meter("web-1", Reading(at, count, TERABYTES, 77), HourBytes(hour, 1, 2, spread=True))


def test_meters_are_read_as_they_were_kept(store: Store, at: datetime) -> None:
    nothing = store.usage.meters("lab")
    assert nothing == Meters(None, {})
    kept = Meters(at, {101: meter(at), 102: meter(at, 6)})
    assert store.usage.keep("lab", nothing, kept, (), UTC)
    assert store.usage.meters("lab") == kept
    assert store.usage.meters("attic") == nothing


def test_what_somebody_else_kept_meanwhile_stands_and_no_byte_enters_twice(
    store: Store, at: datetime
) -> None:
    nothing, later = store.usage.meters("lab"), at + timedelta(minutes=1)
    hours = (Hour("web-1", "", at, 10, 20),)
    assert store.usage.keep("lab", nothing, Meters(at, {101: meter(at)}), hours, UTC)
    assert not store.usage.keep("lab", nothing, Meters(later, {}), hours, UTC)
    assert not store.usage.keep("lab", Meters(later, {}), Meters(later, {}), hours, UTC)
    assert store.usage.hours(None, at, later) == hours


def test_months_are_those_of_the_site_and_sum_up_what_its_hours_say(
    store: Store, at: datetime
) -> None:
    last = datetime(2026, 2, 28, 22, tzinfo=UTC)
    first = last + timedelta(hours=1)
    store.usage.add([Hour("web-1", "", last, 1, TERABYTES), Hour("web-1", "", first, 2, 0)], BERLIN)
    store.usage.add([Hour("web-1", "", first, 4, 8, spread=12, repaired=3)], BERLIN)
    assert store.usage.months({"web-1"}) == (
        Month("web-1", "", "2026-02", 1, TERABYTES),
        Month("web-1", "", "2026-03", 6, 8, 12, 3),
    )
    assert store.usage.months(None, "2026-03") == store.usage.months({"web-1"}, "2026-03")
    assert store.usage.months({"web-2"}) == ()


def test_old_hours_go_and_their_months_stay(store: Store, at: datetime) -> None:
    """TASK-06: hours are kept for 35 days."""
    old = at - timedelta(days=36)
    store.usage.add([Hour("web-1", "net0", old, 1, 1), Hour("web-1", "net0", at, 2, 2)], UTC)
    assert store.usage.purge(at - timedelta(days=35)) == 1
    assert [one.hour for one in store.usage.hours({"web-1"}, old, at + timedelta(hours=1))] == [at]
    assert len(store.usage.months({"web-1"})) == 2


def test_a_machine_that_is_renamed_keeps_its_traffic(store: Store, at: datetime) -> None:
    nothing, gap = store.usage.meters("lab"), Gap(at, at, 1, 1)
    hours = [Hour("web-1", "", at, 10, 20), Hour("web-3", "", at, 1, 2)]
    gaps = [GapOf("lab", 101, "web-1", gap)]
    assert store.usage.keep("lab", nothing, Meters(at, {}), hours, UTC, gaps)
    assert store.bindings.rename_key("web-1", "web-3")
    until = at + timedelta(hours=1)
    assert store.usage.hours(None, at, until) == (Hour("web-3", "", at, 11, 22),)
    assert store.usage.months(None) == (Month("web-3", "", "2026-03", 11, 22),)
    (kept,) = store.usage.gaps()
    assert (kept.key, kept.gap) == ("web-3", gap)
    store.usage.repair(kept, [Hour("web-3", "", at, 0, 0, repaired=5)], UTC)
    store.usage.repair(kept, [Hour("web-3", "", at, 0, 0, repaired=5)], UTC)
    assert store.usage.gaps() == ()
    assert store.usage.hours(None, at, until)[0].repaired == 5
