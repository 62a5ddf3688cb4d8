"""What waits for a restart, for how long it will be off, and when."""

import json
from datetime import timedelta
from pathlib import Path

from reconciler.config import open_preview
from reconciler.debt import Debts, debts, expected
from reconciler.options import RunOptions
from reconciler.show.debt import debts_json, render_debts, render_markdown
from reconciler.show.text import Paint
from reconciler.sim.faults import Fault
from state.change import Effect
from state.journal import VMRun
from state.store import Store
from tests.engine import AT
from tests.lab import Lab, Told
from tests.laws.test_drain import FREE, PAIR, files, waiting

NIGHT = FREE + "windows: {night: {start: '0 2 29 2 *', for: 1h}}\n"


def asked(lab: Lab, *only: str) -> Debts:
    return debts(
        RunOptions(lab.fleet, lab.where, only=only),
        Told(),
        lab.clock,
        lab._opening(open_preview),
    )


def test_the_debt_tells_what_waits_since_when_and_what_comes_next(tmp_path: Path) -> None:
    own = {"a": "restart: never", "b": "restart: window, anti_affinity: db", "c": "power: running"}
    lab = waiting(tmp_path, NIGHT, **own)
    lab.run()
    lab.write(files("2GiB", NIGHT, **{**own, "c": "restart: allow"}))
    found = asked(lab)
    a, b, c = found.vms
    assert (a.key, a.keys, a.policy, a.window, a.group) == ("a", ("memory",), "never", None, "")
    assert a.since is not None and a.since < found.at
    assert b.window is not None and (b.window.name, b.group) == ("night", "db")
    assert (c.policy, c.seconds, c.own) == ("allow", None, False)
    text = render_debts(found, Paint())
    assert "never by itself" in text and "(night)" in text and "the next run" in text
    assert "unknown" in text and text.endswith("Debt: 3 of 3 VMs wait for a restart.")
    lab.run()
    again = asked(lab, "a", "b")
    assert [one.key for one in again.vms] == ["a", "b"]
    assert again.vms[0].seconds is not None and not again.vms[0].own
    assert "(as others)" in render_markdown(again)
    told = json.loads(json.dumps(debts_json(again)))
    assert [one["vm"] for one in told["vms"]] == ["a", "b"]
    assert told["vms"][1]["window"]["name"] == "night"


def test_no_debt_is_said_so(tmp_path: Path) -> None:
    lab = Lab(tmp_path, files("1GiB", a="restart: never"))
    lab.settle()
    found = asked(lab, "*", "nobody")
    assert render_debts(found, Paint()) == "Debt: 0 of 1 VM wait for a restart."
    assert render_markdown(found) == "No VM waits for a restart."


def test_a_vm_that_did_not_come_back_and_those_that_wait_for_it_are_named(tmp_path: Path) -> None:
    lab = waiting(tmp_path, **PAIR)
    lab.simulator.faults.add(Fault("task-fail", task="qmstart", times=None))
    lab.run()
    lab.run()
    found = asked(lab)
    assert found.stopped is not None and found.stopped.key == "a"
    text = render_debts(found, Paint())
    assert "= b: no VM is restarted since a did not come back" in text
    assert "then reconcile debt --resume" in text
    assert debts_json(found)["stopped"] is not None


def test_what_is_expected_is_the_median_of_its_own_past_else_of_all() -> None:
    took = {"a": [10.0, 30.0, 20.0], "b": [100.0]}
    assert expected("a", took) == (20.0, True)
    assert expected("c", took) == (25.0, False)
    assert expected("c", {}) == (None, False)


def test_a_restart_counts_to_the_first_good_end_unless_it_was_begun_anew() -> None:
    with Store.temporary(at=AT) as store:

        def ended(after: float, result: str = "success") -> None:
            moment = AT + timedelta(seconds=after)
            run = store.journal.start_run(moment, "x", "")
            store.journal.record(run, VMRun("a", "change", AT, moment, result=result))  # type: ignore[arg-type]

        for after in (0, 100, 1000, 90_000):
            store.journal.effect("a", Effect.STOP_START, AT + timedelta(seconds=after))
        ended(150, "error")
        ended(160)
        ended(1030)
        assert store.downtimes.all() == {"a": [60.0, 30.0]}
