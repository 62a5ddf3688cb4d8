"""The child's own side, in process: what it loads, calls, asks and says."""

import io
import json
import os
from pathlib import Path

import pytest

from handlers.handler import config_call
from reconciler.own.child import Line, load, plain, work
from reconciler.own.job import Denied, Job, Result
from reconciler.own.refuse import effect_of
from reconciler.testing import job_of, seen_of
from state.api import Json
from state.change import Change, Note

TASK: dict[str, Json] = {
    "code": "x.py",
    "name": "x",
    "at": "2026-01-02T03:04:05+00:00",
    "dry": False,
    "fleet": "law",
    "config": {"to": "a@b"},
}


def line(*answers: dict[str, Json]) -> Line:
    return Line(io.StringIO("".join(f"{json.dumps(one)}\n" for one in answers)), io.StringIO())


def written(where: Line) -> list[dict[str, Json]]:
    assert isinstance(where.writer, io.StringIO)
    return [json.loads(one) for one in where.writer.getvalue().splitlines()]


def code(folder: Path, text: str) -> Path:
    path = folder / "x.py"
    path.write_text(f"from reconciler.own.job import Result\n{text}")
    return path


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a job's code adds to the import path is gone with the test."""
    monkeypatch.syspath_prepend(str(tmp_path))


def test_run_is_called_live_and_preview_dry(tmp_path: Path) -> None:
    """FRM-06"""
    both = (
        "def run(job): return Result(message='ran')\ndef preview(job): return Result('skipped')\n"
    )
    module = load(code(tmp_path, both))
    assert work(module, TASK, line())["message"] == "ran"
    assert work(module, {**TASK, "dry": True}, line())["status"] == "skipped"


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "expected def run"), ("def run(job): return 1\n", "expected a Result of run, seen int")],
)
def test_code_that_is_no_job_says_what_is_expected(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        work(load(code(tmp_path, text)), TASK, line())


def test_what_a_job_asks_is_a_frame_and_its_answer_another() -> None:
    asked: list[dict[str, Json]] = []
    job = job_of(
        {"to": "x"},
        vms=[{"key": "web-1"}],
        api={"/version": {"version": "9.0"}},
        specs={"web-1": {"memory": "1GiB"}},
        told=asked,
    )
    assert job.vms() == [{"key": "web-1"}]
    assert job.spec("web-1") == {"memory": "1GiB"}
    assert job.get("demo", "/version", {"x": 1}) == {"version": "9.0"}
    assert job.claim("web-1", 60)
    job.settle("web-1", "away")
    job.note("done")
    assert [one["ask"] for one in asked] == ["vms", "spec", "get", "claim", "settle", "note"]
    assert asked[2]["params"] == {"x": 1}
    with pytest.raises(Denied, match="get /nodes: the test has no answer"):
        job.get("demo", "/nodes")


def test_a_question_waits_for_its_answer() -> None:
    link = line({"data": 5}, {"error": "no"})
    assert link.ask({"ask": "vms"}) == 5
    with pytest.raises(Denied, match="no"):
        link.ask({"ask": "spec"})
    assert [one["ask"] for one in written(link)] == ["vms", "spec"]


def test_what_a_diff_says_is_plain() -> None:
    seen = seen_of()
    call = config_call(seen, {"keyboard": "de"})
    said = plain(Change(seen.key, "x", "keyboard", None, "de", (call,)))
    assert isinstance(said, dict) and said["new"] == "de"
    assert plain(Note("k", "x", "f", "why"))
    with pytest.raises(TypeError, match="seen str"):
        plain("x")


@pytest.mark.parametrize(
    ("event", "args", "words"),
    [
        ("socket.connect", (None, ("::1", 25)), "connect ('::1', 25)"),
        ("subprocess.Popen", ("/bin/sh", ["sh"], None, None), "start /bin/sh"),
        ("os.fork", (), "start os.fork"),
        ("os.kill", (1, 9), "signal 1"),
        ("os.rename", ("SCRATCH/a", "/etc/b", -1, -1), "rename /etc/b"),
        ("os.rename", ("SCRATCH/a", "SCRATCH/b", -1, -1), ""),
        ("os.remove", ("/etc/b", -1), "remove /etc/b"),
        ("sqlite3.connect", (":memory:",), ""),
        ("open", ("/etc/b", "w", os.O_WRONLY), "write /etc/b"),
        ("open", ("/etc/b", "r", os.O_RDONLY), ""),
        ("open", (b"SCRATCH/b", "w", os.O_WRONLY | os.O_CREAT), ""),
        ("open", (3, "w", os.O_WRONLY), ""),
        ("open", ("/dev/null", "w", os.O_WRONLY), ""),
        ("open", (object(), "w", os.O_WRONLY), "write <object"),
        ("import", ("x", None, None, None, None), ""),
    ],
)
def test_frm_06_an_effect_is_what_reaches_out_of_the_scratch_folder(
    tmp_path: Path, event: str, args: tuple[object, ...], words: str
) -> None:
    """FRM-06"""
    here = str(tmp_path.resolve())
    real = tuple(one.replace("SCRATCH", here) if isinstance(one, str) else one for one in args)
    real = tuple(
        one.replace(b"SCRATCH", here.encode()) if isinstance(one, bytes) else one for one in real
    )
    found = effect_of(event, real, tmp_path.resolve())
    assert found.startswith(words) if words else not found


def test_a_job_says_its_own_name_and_moment() -> None:
    job = job_of(dry=True)
    assert isinstance(job, Job) and job.dry and job.at.year == 2026
    assert Result().status == "success"
