"""What is found below `handlers_dir`: sound jobs, and each wrong one by file, line and column."""

import json
from pathlib import Path

import pytest

from reconciler.own.found import Found, find
from reconciler.own.installed import installed
from reconciler.own.metadata import Metadata

CODE = "def run(job):\n    ...\n"


def found(folder: Path, given: dict[str, dict[str, object]] | None = None) -> Found:
    return find(folder, "jobs", given or {})


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / "jobs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pair(folder: Path, name: str, text: str, code: str = CODE) -> None:
    write(folder, f"{name}.py", code)
    write(folder, f"{name}.yaml", text)


@pytest.mark.parametrize(
    ("said", "schedule"),
    [
        ({}, "daily at 00:00:00"),
        ({"default_frequency": "every_run"}, "every_run"),
        ({"default_frequency": "hourly"}, "hourly"),
        ({"default_frequency": "daily", "default_time": "02:30"}, "daily at 02:30:00"),
        ({"default_frequency": "daily"}, "daily at 00:00:00"),
        ({"default_time": "02:30:05"}, "daily at 02:30:05"),
        (
            {"default_frequency": "weekly", "default_day_of_week": 6, "default_time": "23:59"},
            "weekly on sat at 23:59:00",
        ),
        ({"default_frequency": "weekly"}, "weekly on sun at 00:00:00"),
        ({"interval": 300}, "every 300s"),
        ({"interval_seconds": 90}, "every 90s"),
        ({"schedule": "*/10 * * * *"}, "*/10 * * * *"),
    ],
)
def test_frm_02_when_a_job_runs_by_its_metadata(said: dict[str, object], schedule: str) -> None:
    """FRM-02"""
    metadata = Metadata.model_validate({"name": "x", **said})
    assert metadata.timetable.text == schedule
    assert not metadata.warning


def test_frm_02_a_missing_interval_is_an_hour_and_said(tmp_path: Path) -> None:
    """FRM-02"""
    pair(tmp_path, "bare", "name: Bare\nscript: bare.py\n")
    read = found(tmp_path)
    [job] = read.jobs
    assert job.metadata.timetable.text == "every 3600s"
    assert read.warnings == (
        "bare: no interval: it runs every 3600 seconds; say how often it is to run",
    )


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("name: X\nintervall: 5\n", "2:1: intervall", "unknown key; did you mean interval?"),
        ("name: X\ninterval: soon\n", "2:11: interval", "expected a whole number"),
        ("interval: 60\n", "1:1: name", ""),
        ("name: X\ndefault_frequency: monthly\n", "2:20: default_frequency", ""),
        ("name: X\ndefault_frequency: daily\ndefault_day_of_week: 2\n", "", "is for"),
        ("name: X\ninterval: 5\ndefault_time: '2:00'\n", "", "default_time is for"),
        ("name: X\ninterval: 5\nschedule: hourly\n", "", "exclude each other"),
        ("name: X\nschedule: now and then\n", "2:11: schedule", "expected a schedule"),
        ("name: X\ndefault_time: 150\n", "2:15: default_time", "expected a time of day"),
        ("name: X\ninterval: 5\nconfig_fields: {to: {type: colour}}\n", "3:", ""),
        (
            "name: X\ninterval: 5\nconfig_fields: {n: {type: number, default: x}}\n",
            "3:",
            "no number",
        ),
        ("name: [\n", "2:1", "not valid YAML"),
        ("name: X\nscript: other.py\ninterval: 5\n", "2:", "expected bad.py"),
    ],
)
def test_frm_13_bad_metadata_are_refused_by_place_and_stop_no_other(
    tmp_path: Path, text: str, place: str, words: str
) -> None:
    """FRM-13"""
    pair(tmp_path, "bad", text)
    pair(tmp_path, "good", "name: Good\ninterval: 60\n")
    read = found(tmp_path)
    assert [job.name for job in read.jobs] == ["good"]
    assert read.broken == {"bad"}
    said = "\n".join(map(str, read.errors))
    assert f"bad.yaml:{place}" in said
    assert words in said


def test_frm_13_bad_json_is_refused_at_its_line(tmp_path: Path) -> None:
    """FRM-13"""
    write(tmp_path, "bad.py", CODE)
    write(tmp_path, "bad.json", '{"name": "X",\n "interval": }\n')
    assert "bad.json:2:14: not valid JSON: Expecting value" in str(found(tmp_path).errors[0])


def test_json_may_be_indented_by_tabs(tmp_path: Path) -> None:
    write(tmp_path, "tabs.py", CODE)
    write(tmp_path, "tabs.json", '{\n\t"name": "X",\n\t"intervall": 5\n}\n')
    [error] = found(tmp_path).errors
    assert str(error).endswith("tabs.json:3:2: intervall: unknown key; did you mean interval?")


def test_a_pair_of_which_half_is_missing_is_refused(tmp_path: Path) -> None:
    """FRM-01"""
    write(tmp_path, "alone.py", CODE)
    write(tmp_path, "mute.yaml", "name: Mute\n")
    write(tmp_path, "twice.py", CODE)
    write(tmp_path, "twice.yaml", "name: Twice\ninterval: 5\n")
    write(tmp_path, "twice.json", json.dumps({"name": "Twice", "interval": 5}))
    for name in ("_shared.py", "test_alone.py", "conftest.py", ".hidden.yaml", "notes.txt"):
        write(tmp_path, name, "")
    read = found(tmp_path)
    assert read.broken == {"alone", "twice"}
    words = [error.message for error in read.errors]
    assert words == [
        "twice.json is of the same job; drop one",
        "expected alone.yaml or alone.json beside it",
        "expected the code mute.py beside it",
    ]
    assert not read.jobs


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    write(tmp_path, "bad.py", CODE)
    write(tmp_path, "bad.yaml", "").write_bytes(b"\xff\xfe")
    assert "cannot be read" in found(tmp_path).errors[0].message
    assert "seen none" in find(tmp_path, "nowhere", {}).errors[0].message
    assert find(tmp_path, None, {}) == Found()


FIELDS = """\
name: X
interval: 60
config_fields:
  to: {type: text, label: address, required: true}
  least: {type: number, default: 3}
  loud: {type: boolean}
  nodes: {type: list, default: [pve1]}
  login: {type: secret}
"""


def test_frm_02_a_job_is_given_its_fields_by_the_fleet_or_by_default(tmp_path: Path) -> None:
    """FRM-02"""
    pair(tmp_path, "x", FIELDS)
    [job] = found(tmp_path, {"x": {"to": "a@b", "loud": True, "login": "env:X"}}).jobs
    assert job.config == {
        "to": "a@b",
        "least": 3,
        "loud": True,
        "nodes": ["pve1"],
        "login": "env:X",
    }


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({}, "jobs.x.to", "expected address"),
        ({"to": 5}, "jobs.x.to", "expected a text"),
        ({"to": "a", "least": True}, "jobs.x.least", "expected a number"),
        ({"to": "a", "loud": "yes"}, "jobs.x.loud", "expected a boolean"),
        ({"to": "a", "nodes": [1]}, "jobs.x.nodes", "expected a list"),
        ({"too": "a", "to": "b"}, "jobs.x.too", "unknown key; did you mean to?"),
    ],
)
def test_frm_02_a_value_that_is_wrong_keeps_the_job_from_running(
    tmp_path: Path, given: dict[str, object], field: str, words: str
) -> None:
    """FRM-02"""
    pair(tmp_path, "x", FIELDS)
    read = found(tmp_path, {"x": given})
    assert not read.jobs
    assert read.broken == {"x"}
    [error] = read.errors
    assert (error.field, error.message) == (field, words)
    assert error.place.file.endswith("fleet.yaml")


def test_values_for_a_job_that_there_is_not_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    [error] = found(tmp_path, {"x": {}}).errors
    assert (error.field, error.message) == ("jobs.x", "no such job")


def test_frm_12_a_plugin_is_a_folder_and_suspends_its_jobs(tmp_path: Path) -> None:
    """FRM-12"""
    pair(tmp_path, "billing/report", "name: Report\ninterval: 60\n")
    pair(tmp_path, "loose/report", "name: Report\ninterval: 60\n")
    plugin = write(tmp_path, "billing/plugin.yaml", "name: Billing\n")
    [job] = found(tmp_path).jobs
    assert (job.name, job.suspended) == ("report@billing", False)
    plugin.write_text("name: Billing\nactive: false\n")
    assert found(tmp_path).jobs[0].suspended
    plugin.write_text("nam: Billing\n")
    read = found(tmp_path)
    assert read.jobs[0].suspended and read.errors


def test_frm_12_code_or_metadata_that_change_are_another_job_by_their_digest(
    tmp_path: Path,
) -> None:
    """FRM-12"""
    pair(tmp_path, "x", "name: X\ninterval: 60\n")
    first = found(tmp_path).jobs[0].digest
    pair(tmp_path, "x", "name: X\ninterval: 60\n", CODE + "# more\n")
    second = found(tmp_path).jobs[0].digest
    pair(tmp_path, "x", "name: X\ninterval: 61\n", CODE + "# more\n")
    assert len({first, second, found(tmp_path).jobs[0].digest}) == 3


def test_frm_01_a_package_brings_jobs_by_its_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FRM-01, FRM-12"""
    inside = tmp_path / "site_tools" / "jobs"
    inside.mkdir(parents=True)
    (tmp_path / "site_tools" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (inside / "report.py").write_text(CODE)
    (inside / "report.yaml").write_text("name: Report\ninterval: 60\n")
    about = tmp_path / "site_tools-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: site-tools\nVersion: 1.0\n")
    points = ("report = site_tools.jobs.report", "gone = site_tools.gone", "odd = nowhere_at_all.x")
    lines = "\n".join(["[reconciler.handlers]", *points])
    (about / "entry_points.txt").write_text(f"{lines}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    read = find(tmp_path, None, {}, installed())
    [job] = read.jobs
    assert (job.name, job.code) == ("report@site-tools", inside / "report.py")
    assert read.broken == {"gone@site-tools", "odd@site-tools"}
    assert all("expected this file, which the entry point" in str(one) for one in read.errors)
    (inside / "report.yaml").unlink()
    assert not find(tmp_path, None, {}, installed()).jobs


@pytest.mark.parametrize("name", ["process_vms", "processVms", "My-Job", "x" * 41])
def test_a_name_must_be_plain_and_no_built_in_job(tmp_path: Path, name: str) -> None:
    pair(tmp_path, name, "name: X\ninterval: 60\n")
    read = find(tmp_path, "jobs", {}, (), {"process_vms", "processVms"})
    assert not read.jobs
    assert "expected a name that no built-in job has" in str(read.errors[0])
