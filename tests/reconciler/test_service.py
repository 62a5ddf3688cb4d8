"""A service: a run every interval, one leader, and nothing that ends it but a word to stop."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.config import open_live
from reconciler.location import fleet_lock
from reconciler.notify import Notifier
from reconciler.report import Remark, RunDone, RunStarted
from reconciler.service import ASK_AGAIN, Rhythm, Service
from state.change import Call
from tests.lab import Lab
from tests.laws.fleets import fleet_files

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@dataclass
class Hours:
    """A rest on the lab's clock: `rests` are its lengths, `meanwhile` what happens in each."""

    lab: Lab
    meanwhile: Callable[[int], bool | None]
    ended: bool = False
    rests: list[float] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def watch(self, stopped: threading.Event) -> None:
        self.stopped = stopped

    def stop(self) -> None:
        self.ended = True
        self.stopped.set()

    def wait(self, seconds: float) -> bool:
        self.rests.append(seconds)
        hurried = bool(self.meanwhile(len(self.rests)))
        if not hurried:
            self.lab.clock.sleep(seconds)
        return hurried or self.ended


class Manager(Notifier):
    """A systemd that remembers."""

    def __init__(self, watchdog: float | None = None) -> None:
        super().__init__("", watchdog)
        self.heard: list[dict[str, str]] = []

    def tell(self, **words: str) -> None:
        self.heard.append(words)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path, fleet_files({"one": {"node": "pve1", "memory": "1GiB"}}))


def serve(
    lab: Lab,
    meanwhile: Callable[[int], bool | None],
    rhythm: Rhythm | None = None,
    manager: Manager | None = None,
) -> Hours:
    """Serve until 7 rests have passed, at the latest; return how it rested."""

    def happens(number: int) -> bool | None:
        if number > 6:
            rest.stop()
        return meanwhile(number)

    rest = Hours(lab, happens)
    tidied: list[float] = []
    service = Service(
        lab._options(interval=60.0),
        rhythm or Rhythm(),
        lab.told,
        lab.clock,
        rest,
        manager or Manager(),
        lambda error: "" if isinstance(error, ZeroDivisionError) else str(error),
        lambda: 0.5,
        lab._opening(open_live),
        lambda: tidied.append(lab.clock.seconds),
    )
    service.serve()
    assert len(tidied) >= len([one for one in lab.told.events if isinstance(one, RunDone)])
    return rest


def ends(lab: Lab) -> list[float]:
    """The seconds at which the runs began, counted from the first one."""
    begun = [one.at for one in lab.told.events if isinstance(one, RunStarted)]
    return [round((at - begun[0]).total_seconds()) for at in begun]


def remarks(lab: Lab) -> list[str]:
    return [one.text for one in lab.told.events if isinstance(one, Remark)]


def test_a_run_begins_every_interval_from_start_to_start(lab: Lab) -> None:
    serve(lab, lambda _: None)
    assert ends(lab) == [60 * number for number in range(7)]
    assert remarks(lab)[-1] == "stopped, as told; the next run goes on from here"
    started = next(one for one in lab.told.events if isinstance(one, RunStarted))
    assert started.interval == 60.0


def test_a_late_run_is_not_caught_up(lab: Lab) -> None:
    def meanwhile(number: int) -> None:
        if number == 2:
            lab.clock.sleep(200)

    serve(lab, meanwhile)
    assert ends(lab)[:5] == [0, 60, 320, 360, 420]


def test_a_clock_that_is_set_back_does_not_stop_the_service(lab: Lab) -> None:
    def meanwhile(number: int) -> None:
        if number == 2:
            lab.clock.seconds -= 86400

    assert max(serve(lab, meanwhile).rests) <= 60
    assert len(ends(lab)) > 4


def test_jitter_delays_a_run_and_moves_no_later_one(lab: Lab) -> None:
    serve(lab, lambda _: None, Rhythm(60, 20))
    assert ends(lab)[:4] == [0, 70, 130, 190]


def test_who_hurries_gets_a_run_at_once_and_the_next_at_its_time(lab: Lab) -> None:
    def meanwhile(number: int) -> bool:
        if number == 1:
            lab.clock.sleep(25)
        return number == 1

    serve(lab, meanwhile)
    assert ends(lab)[:4] == [0, 25, 60, 120]


@pytest.mark.parametrize(
    ("due", "now", "slot"), [(0, 0, 60), (0, 59, 60), (0, 60, 120), (0, 190, 240), (60, 25, 60)]
)
def test_a_slot_is_the_first_one_to_come(due: int, now: int, slot: int) -> None:
    at = [AT + timedelta(seconds=number) for number in (due, now, slot)]
    assert Rhythm(60).slot(at[0], at[1]) == at[2]


def test_specs_are_read_again_for_each_run(lab: Lab) -> None:
    def meanwhile(number: int) -> None:
        if number == 1:
            lab.write(fleet_files({"two": {"node": "pve2", "memory": "1GiB"}}))

    serve(lab, meanwhile)
    with lab.store() as store:
        assert "two" in store.bindings.all()


def test_no_error_of_one_run_ends_the_service(lab: Lab) -> None:
    head = (lab.fleet / "fleet.yaml").read_text()

    def meanwhile(number: int) -> None:
        (lab.fleet / "fleet.yaml").write_text("fleet: [" if number == 1 else head)

    serve(lab, meanwhile)
    errors = [one for one in lab.told.events if isinstance(one, Remark) and one.level == "error"]
    assert "fleet.yaml" in errors[0].text
    assert len([one for one in lab.told.events if isinstance(one, RunDone)]) == 6


def test_a_defect_of_ours_is_told_and_does_not_end_it_either(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("reconciler.service.run_due", broken)
    manager = Manager()
    serve(lab, lambda _: None, manager=manager)
    assert remarks(lab).count("ZeroDivisionError: by zero") == 7
    assert {"STATUS": "the last run failed: ZeroDivisionError: by zero"} in manager.heard


def stopped_at_the_first_write(lab: Lab) -> Hours:
    """Serve, and be told to stop while the first write is under way."""
    rest = Hours(lab, lambda _: None)

    def stop(call: Call) -> bool:
        rest.stop()
        return True

    lab.wire.meanwhile = stop
    lab.wire.next_run()
    opening = lab._opening(open_live)
    notify, words = Manager(), str
    Service(
        lab._options(),
        Rhythm(),
        lab.told,
        lab.clock,
        rest,
        notify,
        words,
        lambda: 0.0,
        opening,
        int,
    ).serve()
    return rest


def test_told_to_stop_it_ends_after_the_current_call_and_a_later_run_goes_on(lab: Lab) -> None:
    """The clone is the last call, and it is made once."""
    assert stopped_at_the_first_write(lab).rests == []
    assert [str(one) for one in lab.wire.writes()] == ["POST /nodes/pve1/qemu/9000/clone"]
    assert lab.settle().ready == 1
    assert len([one for one in lab.wire.writes() if one.path.endswith("/clone")]) == 1


def test_told_to_stop_between_two_calls_of_one_vm_it_leaves_the_second(lab: Lab) -> None:
    lab.settle()
    grown = {"node": "pve1", "memory": "2GiB", "disks": {"system": {"size": "40GiB"}}}
    lab.write(fleet_files({"one": grown}))
    stopped_at_the_first_write(lab)
    assert len(lab.wire.writes(lab.wire.run)) == 1
    lab.run()
    assert len(lab.wire.writes(lab.wire.run)) >= 1


def test_a_second_one_stands_by_until_the_first_has_gone(lab: Lab) -> None:
    first = fleet_lock(lab.fleet, lab.where)
    assert first.acquire()
    manager = Manager()

    def meanwhile(number: int) -> None:
        if number == 3:
            first.release()

    rest = serve(lab, meanwhile, manager=manager)
    told = remarks(lab)
    assert (told[0][:16], told[1]) == (
        "standing by: pid",
        "the other runner has gone: this one goes on",
    )
    assert rest.rests[:3] == pytest.approx([ASK_AGAIN] * 3, abs=0.1)
    assert lab.wire.calls
    assert [words for words in manager.heard if "standing by" in words.get("STATUS", "")]


def test_the_lock_is_held_between_runs_and_given_back_at_the_end(lab: Lab) -> None:
    free = []

    def meanwhile(_: int) -> None:
        other = fleet_lock(lab.fleet, lab.where)
        free.append(other.acquire())
        other.release()

    serve(lab, meanwhile)
    assert not any(free)
    with fleet_lock(lab.fleet, lab.where):
        pass


def test_systemd_hears_what_it_waits_for_and_the_watchdog_of_progress(lab: Lab) -> None:
    manager = Manager(watchdog=30.0)
    rest = serve(lab, lambda _: None, manager=manager)
    assert manager.heard[0] == {"READY": "1", "STATUS": "started"}
    assert manager.heard[-1] == {"STOPPING": "1", "STATUS": "stopping"}
    assert {"WATCHDOG": "1"} in manager.heard
    statuses = [words["STATUS"] for words in manager.heard if "STATUS" in words]
    assert statuses[1].startswith("1 of 1 VMs ready; the last run took ")
    assert max(rest.rests) <= 10


def test_a_store_that_moves_takes_the_lock_along(lab: Lab, tmp_path: Path) -> None:
    """`database:` of fleet.yaml is read again, too."""
    moved = tmp_path / "moved.db"
    head = (lab.fleet / "fleet.yaml").read_text()
    (lab.fleet / "fleet.yaml").write_text(f"{head}database: {tmp_path / 'first.db'}\n")
    lab.where = ""

    def meanwhile(number: int) -> None:
        if number == 1:
            (lab.fleet / "fleet.yaml").write_text(f"{head}database: {moved}\n")
        if number == 2:
            held.append(fleet_lock(lab.fleet, str(moved)).holder())
            held.append(fleet_lock(lab.fleet, str(tmp_path / "first.db")).holder())

    held: list[str] = []
    serve(lab, meanwhile)
    assert held[0].startswith("pid ")
    assert held[1] == ""
