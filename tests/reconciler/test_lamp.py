"""FRM-08: a heartbeat, a warning after 30 minutes without a run, a lamp; and the metrics."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from reconciler.cli import cli
from reconciler.config import open_preview
from reconciler.lamp import Check, lamp, look_over
from reconciler.loops.loop import LoopResult
from reconciler.report import Remark
from reconciler.vitals import Vitals, read_vitals
from state.lockrows import FileAsking, LockRows
from state.store import Store
from tests.reconciler.cli.test_locks import leave_behind
from tests.reconciler.loops.jobs import LoopLab, Plain, loop_lab

FILE = "reconcile.prom"


@pytest.fixture
def lab(tmp_path: Path) -> LoopLab:
    """A lab whose one VM is ready, and which writes metrics."""
    made = loop_lab(tmp_path, f"metrics: {{textfile: ../{FILE}}}")
    made.settle()
    made.due()
    return made


def at(lab: LoopLab, later: float = 0.0) -> datetime:
    return datetime.fromtimestamp(lab.clock() + later, UTC)


def vitals(lab: LoopLab, later: float = 0.0) -> Vitals:
    with open_preview(lab.fleet, lab.where, at(lab)) as opened:
        return read_vitals(opened, at(lab, later))


def checks(lab: LoopLab, later: float = 0.0) -> dict[str, Check]:
    return {one.name: one for one in look_over(vitals(lab, later), "the store")}


def figures(lab: LoopLab) -> dict[str, dict[str, float]]:
    """Every metric in the file; its values by those of the labels but the fleet's."""
    text = (lab.fleet.parent / FILE).read_text()
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(text):
        for one in family.samples:
            words = " ".join(word for name, word in one.labels.items() if name != "fleet")
            found.setdefault(one.name, {})[words] = one.value
    return found


def test_frm_08_all_is_well_after_a_run(lab: LoopLab) -> None:
    """FRM-08"""
    found = checks(lab)
    assert {one.status for one in found.values()} == {"ok"}
    assert lamp(list(found.values())) == "green"
    assert found["cluster demo"].text == "answered the last run"
    assert found["runs"].text.endswith("ago")


def test_frm_08_no_run_for_half_an_hour_is_told(lab: LoopLab) -> None:
    """FRM-08: each run beats the heart, be anything due or not."""
    assert checks(lab, 29 * 60)["runs"].status == "ok"
    late = checks(lab, 31 * 60)["runs"]
    assert (late.status, late.text.endswith("31 min ago; expected one within 30 min")) == (
        "bad",
        True,
    )
    lab.clock.sleep(31 * 60)
    assert checks(lab)["runs"].status == "bad"
    lab.due()
    assert checks(lab)["runs"].status == "ok"


def test_frm_08_without_any_run_the_lamp_is_red(tmp_path: Path) -> None:
    """FRM-08"""
    lab = loop_lab(tmp_path)
    Store.open(lab.where, at=at(lab)).close()
    found = checks(lab)
    assert (found["runs"].status, found["runs"].text) == ("bad", "no run yet")
    assert found["cluster demo"].text == "no run has worked on it lately"
    assert lamp(list(found.values())) == "red"


def test_jobs_that_failed_are_overdue_or_gone_are_named(lab: LoopLab) -> None:
    """FRM-07, FRM-08"""
    lab.due(Plain(act=lambda occasion: LoopResult("error", errors=1, message="no luck")).loop())
    gone = checks(lab)["job count"]
    assert (gone.status, gone.text.startswith("orphaned: its code is not there")) == ("warn", True)
    before = vitals(lab)
    [usage] = [one for one in before.loops if one.name == "collect_statistics"]
    due = replace(usage, next_run=before.at - timedelta(minutes=31), status="success")
    bad = replace(usage, name="bad", status="error", message="no luck")
    found = {one.name: one for one in look_over(replace(before, loops=[due, bad]), "")}
    assert "31 min ago" in found["job collect_statistics"].text
    assert found["job bad"].text == "error: no luck"
    assert found["job bad"].advice == "reconcile job show bad"


def test_a_cluster_that_did_not_answer_the_last_run_is_told(lab: LoopLab) -> None:
    before = vitals(lab)
    found = look_over(replace(before, clusters={"demo": "cluster demo: not reached"}, broken=2), "")
    bad = {one.name: one.text for one in found if one.status != "ok"}
    assert bad == {
        "cluster demo": "cluster demo: not reached",
        "specs": "2 VMs with broken specs",
    }


def test_the_trouble_of_a_cluster_is_kept_with_the_run(lab: LoopLab) -> None:
    lab.world.quorate = False
    lab.due()
    bad = checks(lab)["cluster demo"]
    assert bad.status == "bad" and "quorum" in bad.text
    assert figures(lab)["reconcile_cluster_up"] == {"demo": 0}


def test_a_lock_that_was_left_behind_is_told(lab: LoopLab) -> None:
    place = lab.fleet.parent / "lab.db"
    place.symlink_to(lab.database)
    leave_behind(lab.fleet, "label", "", 600.0)
    rows = LockRows(FileAsking(lab.database), "label")
    assert rows.read() is not None
    rows.link.close()
    found = checks(lab)["lock label"]
    assert found.status == "warn" and "gave no sign of life for" in found.text
    assert found.advice.endswith("reconcile locks clear label")


def test_metrics_say_what_the_run_came_to(lab: LoopLab) -> None:
    found = figures(lab)
    assert found["reconcile_vms"] == {"failed": 0, "ready": 1, "waiting": 0}
    assert found["reconcile_healthy"] == {"": 1}
    assert found["reconcile_runs_total"][""] >= 2
    assert found["reconcile_run_api_calls"]["write"] == 0
    assert found["reconcile_run_api_calls"]["read"] > 0
    assert found["reconcile_cluster_up"] == {"demo": 1}
    assert found["reconcile_job_status"]["collect_statistics never"] == 1
    assert found["reconcile_job_status"]["collect_statistics error"] == 0
    assert found["reconcile_heartbeat_timestamp_seconds"][""] <= lab.clock()
    text = (lab.fleet.parent / FILE).read_text()
    assert "# HELP reconcile_vms VMs by the last run's result." in text
    assert "# TYPE reconcile_vms gauge" in text
    assert 'reconcile_cluster_up{cluster="demo",fleet=' in text


def test_metrics_that_cannot_be_written_fail_no_run(lab: LoopLab) -> None:
    (lab.fleet.parent / FILE).unlink()
    (lab.fleet.parent / FILE).mkdir()
    assert not lab.due().failed
    [said] = [one.text for one in lab.told.events if isinstance(one, Remark) and "metr" in one.text]
    assert said.startswith("metrics: textfile: ") and "expected a file in a folder" in said


def test_frm_08_health_is_an_exit_status_and_a_lamp(lab: LoopLab, tmp_path: Path) -> None:
    """FRM-08"""
    begun = datetime.now(UTC) - timedelta(hours=1)
    with Store.open(lab.where, at=at(lab)) as store:
        store.settings.put("heartbeat", {"at": begun.isoformat(), "by": ""})
    words = ["--fleet", str(lab.fleet), "--database", lab.where, "health"]
    told = CliRunner().invoke(cli, words)
    assert told.exit_code == 1
    assert "BAD   runs: last run " in told.output
    assert told.output.splitlines()[-1].startswith("red: ")
    told = CliRunner().invoke(cli, [*words, "--output", "json"])
    assert '"check": "runs"' in told.output
    (tmp_path / "none").write_text("no database at all, only text that is long enough")
    told = CliRunner().invoke(cli, [*words[:3], str(tmp_path / "none"), "health"])
    assert told.exit_code == 1
    assert "BAD   store: " in told.output
