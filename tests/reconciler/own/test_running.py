"""A site's own jobs as they run: found, off until enabled, each in a child of its own."""

import os
import selectors
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.own import process
from tests.reconciler.own.jobs import HEAD, OwnLab, own_lab


@pytest.fixture
def lab(tmp_path: Path) -> OwnLab:
    return own_lab(tmp_path)


def test_frm_01_a_job_is_found_and_runs_once_a_person_enabled_it(lab: OwnLab) -> None:
    """FRM-01, FRM-14, FRM-18"""
    lab.put("hello", "    print('printed')\n    return Result(message='hello ' + job.fleet)")
    assert "hello" not in lab.ran()
    lab.enable("hello")
    result = lab.ran()["hello"]
    assert (result.status, result.message) == ("success", "hello law")
    with lab.store() as store:
        row = store.loops.of("hello")
    assert (row.message, row.output, row.status) == ("hello law", "printed", "success")
    assert "hello" not in lab.ran()


def test_a_job_that_was_only_run_by_hand_is_still_off(lab: OwnLab) -> None:
    """FRM-01"""
    lab.put("hello", "    return Result()")
    assert lab.one(lab.own("hello")).status == "success"
    lab.clock.sleep(7200)
    assert "hello" not in lab.ran()


def test_a_job_that_hangs_is_cut_and_the_others_run(
    lab: OwnLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "GRACE", 0.1)
    hang = "    import signal, time\n    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    lab.put("a_hang", hang + "    print('on', flush=True)\n    time.sleep(60)", deadline="1s")
    lab.put("b_good", "    return Result(message='fine')")
    lab.enable("a_hang", "b_good")
    results = lab.ran()
    assert results["a_hang"].status == "error"
    assert results["a_hang"].message.startswith("cut: its time was out")
    assert results["a_hang"].details == ("on",)
    assert results["b_good"].message == "fine"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("    import os; os._exit(3)", "its process ended with 3 and gave no result"),
        (
            "    import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "its process was killed by SIGSEGV and gave no result",
        ),
        ("    raise KeyError('x')", "KeyError: 'x'"),
        ("    import sys; sys.exit(2)", "SystemExit: 2"),
        ("    return 'fine'", "TypeError: expected a Result of run, seen str"),
        ("    return Result(status='great')", "it gave no result that can be read"),
        (
            "    return Result(message={1})",
            "TypeError: Object of type set is not JSON serializable",
        ),
        (
            "    import os, sys; os.write(int(sys.argv[2]), b'?\\n'); return Result()",
            "cut: it answered what is no JSON map",
        ),
        ("    job.ask({'ask': 'x' * (5 << 20)})", "cut: it answered more than 4 MiB at once"),
    ],
)
def test_whatever_a_job_does_is_its_own_error(lab: OwnLab, body: str, message: str) -> None:
    """FRM-04"""
    lab.put("bad", body)
    result = lab.one(lab.own("bad"))
    assert (result.status, result.errors) == ("error", 1)
    assert result.message.startswith(message), result.message


def test_a_job_that_prints_without_end_keeps_the_end_of_it(lab: OwnLab) -> None:
    """FRM-18"""
    lab.put("loud", "    print('x' * 9_000_000)\n    print('end')\n    return Result()")
    result = lab.one(lab.own("loud"))
    assert result.status == "success"
    assert result.details[-1] == "end"
    assert sum(map(len, result.details)) < 16384


def test_a_child_has_none_of_our_secrets_and_a_scratch_folder(
    lab: OwnLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVE_SECRET", "hunter2")
    body = (
        "    import os, sys\n    open('note', 'w').close()\n"
        '    return Result(message=f"{sorted(os.environ)} {os.getcwd()} {sys.stdin.read()!r}")'
    )
    lab.put("nosy", body)
    message = lab.one(lab.own("nosy")).message
    assert "PVE_SECRET" not in message and "hunter2" not in message
    folder = message.split()[-2]
    assert folder.startswith("/") and "reconcile-job-" in folder and not os.path.exists(folder)
    assert message.endswith("''")


def test_a_message_is_cut_to_500_characters(lab: OwnLab) -> None:
    """FRM-04"""
    lab.put("long", "    return Result(message='m' * 900)")
    assert len(lab.one(lab.own("long")).message) == 500


def test_frm_05_a_job_switches_itself_off(lab: OwnLab) -> None:
    """FRM-05"""
    lab.put("last", "    return Result(deactivate=True)")
    lab.enable("last")
    assert lab.ran()["last"].deactivate
    lab.clock.sleep(7200)
    assert "last" not in lab.ran()


def test_nothing_of_a_job_outlives_a_killed_parent(lab: OwnLab) -> None:
    """`kill -9` of the runner ends the child, and what that has started."""
    body = "    import os, time\n    os.fork()\n    job.note('on')\n    time.sleep(60)"
    lab.put("stay", body)
    program = (
        "import sys\nfrom reconciler.own.process import Child\n"
        "def answer(question):\n    print(child._process.pid, flush=True)\n"
        "task = {'code': sys.argv[1], 'name': 'x', 'fleet': 'x', 'dry': False, 'config': {},\n"
        "        'at': '2026-01-01T00:00:00+00:00'}\n"
        "with Child(answer) as child:\n    child.ask(task, 50)\n"
    )
    code = lab.fleet / "jobs" / "stay.py"
    words = [sys.executable, "-c", program, str(code)]
    here = {**os.environ, "TMPDIR": str(lab.fleet)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=here) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
    with selectors.DefaultSelector() as waiting:
        waiting.register(child, selectors.EVENT_READ)
        assert waiting.select(10)
    os.close(child)


def test_frm_16_a_daily_backstop_reads_pages_until_all_is_found(lab: OwnLab) -> None:
    """FRM-16: pages of 100, an end when all that is wanted was found, one summary, a dry run."""
    lab.settle()
    for _ in range(130):
        lab.ask("POST", "/nodes/pve1/qemu/100/status/stop")
        lab.clock.sleep(30)
    code = HEAD + BACKSTOP + "\n\ndef preview(job: Job) -> Result:\n    return run(job)\n"
    lab.code("backstop", code, interval=None, default_time="04:00")
    loop = lab.own("backstop")
    first = lab.preview(loop)
    assert first.message == "1 of 1 found on 2 pages"
    assert lab.one(loop).message == first.message
    pages = [one.params["start"] for one in lab.wire.of(lab.wire.run)]
    assert pages == [0, 100]


BACKSTOP = """\
    wanted, pages = {"qmclone"}, 0
    missing = set(wanted)
    while missing:
        page = job.get("demo", "/nodes/pve1/tasks", {"start": pages * 100, "limit": 100})
        missing -= {task["type"] for task in page}
        pages += 1
        if len(page) < 100:
            break
    found = len(wanted) - len(missing)
    return Result(message=f"{found} of {len(wanted)} found on {pages} pages")
"""
