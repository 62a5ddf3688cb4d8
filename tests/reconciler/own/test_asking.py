"""What a job is given and may ask for; what its dry run may not do; its life with its plugin."""

import socket
from pathlib import Path

import pytest

from reconciler.report import Remark
from state.conditions import Condition
from state.store import Store
from tests.reconciler.own.jobs import HEAD, OwnLab, own_lab


@pytest.fixture
def lab(tmp_path: Path) -> OwnLab:
    return own_lab(tmp_path)


def test_a_job_reads_vms_specs_and_the_api_through_its_parent(lab: OwnLab) -> None:
    lab.settle()
    body = (
        "    [vm] = job.vms()\n    spec = job.spec(vm['key'])\n"
        "    rows = job.get(vm['cluster'], '/cluster/resources', {'type': 'vm'})\n"
        "    here = [row['status'] for row in rows if row['vmid'] == vm['vmid']]\n"
        "    job.note(f\"looked at {vm['key']}\")\n"
        "    said = f\"{vm['phase']} {spec['memory']} {here} {vm['conditions']}\"\n"
        "    return Result(message=said, processed=1)"
    )
    lab.put("look", body)
    result = lab.one(lab.own("look"))
    assert (result.message, result.processed) == ("ready 1GiB ['running'] ['Ready']", 1)
    assert "looked at vm-0" in lab.said()
    assert [one.method for one in lab.wire.of(lab.wire.run)] == ["GET"]
    at = lab.clock.now()
    with Store.open(lab.where, at=at) as store:
        store.conditions.replace("vm-0", [Condition("vm-0", "Ready", False, "Failed", "", at)])
    assert lab.one(lab.own("look")).message.endswith("[]")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("job.get('nowhere', '/version')", "Denied: no cluster nowhere in this fleet"),
        ("job.get('demo', 'version')", "Denied: expected a path such as /cluster/resources"),
        ("job.get('demo', '/nodes/none/status')", "Denied: "),
        ("job.spec('nobody')", "Denied: no VM nobody in this fleet"),
        ("job.ask({'ask': 'send', 'path': '/x'})", "Denied: a job cannot ask for send; writes are"),
        ("job.claim('')", "Denied: expected an item, and seconds"),
    ],
)
def test_what_a_job_may_not_ask_for_is_denied(lab: OwnLab, call: str, words: str) -> None:
    lab.put("ask", f"    {call}\n    return Result()")
    result = lab.one(lab.own("ask"))
    assert result.status == "error"
    assert result.message.startswith(words.removeprefix("Denied: ")), result.message


def test_frm_15_items_have_a_cadence_of_their_own(lab: OwnLab) -> None:
    """FRM-15: each item is claimed when its interval is over; its failure is not the run's."""
    body = (
        "    taken = [one for one in ('a', 'b') if job.claim(one, 600)]\n"
        "    for one in taken:\n        job.settle(one, 'away' if one == 'b' else '')\n"
        "    return Result(message=' '.join(taken))"
    )
    lab.put("items", body)
    loop = lab.own("items")
    assert lab.preview(loop).message == "a b"
    assert lab.one(loop).message == "a b"
    assert lab.one(loop).message == ""
    with lab.store() as store:
        rows = store.loops.items("items")
    assert [(one.item, one.failures, one.error) for one in rows.values()] == [
        ("a", 0, ""),
        ("b", 1, "away"),
    ]
    lab.clock.sleep(601)
    assert lab.preview(loop).message == "a b"
    assert lab.one(loop).message == "a b"


def test_frm_06_a_dry_run_is_the_preview(lab: OwnLab) -> None:
    """FRM-06"""
    more = (
        "\n\ndef preview(job):\n    return Result(message='would', processed=2, html='<b>x</b>')\n"
    )
    lab.code("seen", f"{HEAD}    raise SystemExit\n{more}")
    result = lab.preview(lab.own("seen"))
    assert (result.status, result.message, result.processed) == ("success", "would", 2)
    assert result.details == ("preview (HTML):", "<b>x</b>")


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("open('/tmp/own-never', 'w')", "write /tmp/own-never"),
        ("import os; os.mkdir('/tmp/own-never')", "mkdir /tmp/own-never"),
        ("import os; os.rename('x', '/tmp/own-never')", "rename /tmp/own-never"),
        ("import sqlite3; sqlite3.connect('/tmp/own-never')", "connect /tmp/own-never"),
        ("import subprocess; subprocess.run(['true'])", "start true"),
        ("import os; os.kill(1, 0)", "signal 1"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "connect ('127.0.0.1', 9)"),
    ],
)
def test_frm_06_without_a_preview_every_effect_is_refused_and_listed(
    lab: OwnLab, act: str, words: str
) -> None:
    """FRM-06"""
    lab.put("act", f"    {act}\n    return Result(message='done')")
    result = lab.preview(lab.own("act"))
    assert result.status == "success"
    assert result.message == f"refused in a dry run: {words}"
    assert f"refused: {words}" in result.details
    assert result.processed == 1
    assert not Path("/tmp/own-never").exists()


def test_frm_06_a_refused_effect_counts_also_where_the_job_goes_on(lab: OwnLab) -> None:
    """FRM-06"""
    body = "    try:\n        open('/tmp/own-never', 'w')\n    except OSError:\n        pass\n"
    lab.put("stubborn", f"{body}    return Result()")
    assert lab.preview(lab.own("stubborn")).processed == 1


def test_a_dry_run_may_write_to_its_scratch_folder(lab: OwnLab) -> None:
    body = "    import sqlite3\n    sqlite3.connect(':memory:')\n    open('x', 'w').close()\n"
    lab.put("scratch", f"{body}    return Result(message='done')")
    assert lab.preview(lab.own("scratch")).message == "done"


def test_a_run_itself_may_connect(lab: OwnLab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        body = f"    import socket\n    socket.create_connection(('127.0.0.1', {port})).close()\n"
        lab.put("call", f"{body}    return Result(message='called')")
        assert lab.one(lab.own("call")).message == "called"


def test_a_secret_reaches_the_job_and_no_line_of_its_output(
    lab: OwnLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_LOGIN", "hunter2")
    lab.given({"mail": {"login": "env:SMTP_LOGIN"}})
    fields = {"login": {"type": "secret", "required": True}}
    body = (
        "    print(job.config['login'])\n    job.note('has ' + job.config['login'])\n"
        "    return Result(message='is ' + job.config['login'])"
    )
    lab.put("mail", body, config_fields=fields)
    result = lab.one(lab.own("mail"))
    assert (result.message, result.details) == ("is ***", ("***",))
    assert "has ***" in lab.said()
    monkeypatch.delenv("SMTP_LOGIN")
    result = lab.one(lab.own("mail"))
    assert result.status == "skipped" and "SMTP_LOGIN" in result.message


def test_frm_13_a_bad_job_is_told_in_every_run_and_stops_no_other(lab: OwnLab) -> None:
    """FRM-13"""
    lab.put("bad", "    return Result()", intervall=5)
    lab.put("good", "    return Result()")
    lab.enable("bad", "good")
    tally = lab.once()
    assert "good" in tally.results and "bad" not in tally.results
    assert (tally.failed, tally.troubles) == (True, 1)
    [said] = [text for text in lab.said() if "intervall" in text]
    assert "bad.json:1:" in said
    assert lab.said()[-1].endswith("errors: 1")


def test_frm_07_a_job_whose_code_has_gone_is_orphaned_and_back_with_it(lab: OwnLab) -> None:
    """FRM-07: it counts as an error, and is never forgotten by itself."""
    lab.put("gone", "    return Result()")
    lab.enable("gone")
    lab.once()
    code = lab.fleet / "jobs" / "gone.py"
    kept = code.read_text()
    code.unlink()
    code.with_suffix(".json").rename(code.with_suffix(".kept"))
    tally = lab.once()
    assert tally.failed and tally.troubles == 1
    assert any("gone: orphaned" in text and "remove the job" in text for text in lab.said())
    code.write_text(kept)
    code.with_suffix(".kept").rename(code.with_suffix(".json"))
    lab.clock.sleep(7200)
    assert "gone" in lab.ran()


def test_frm_12_a_job_is_suspended_resumed_and_refreshed_with_its_plugin(lab: OwnLab) -> None:
    """FRM-12"""
    lab.put("tools/hello", "    return Result(message='one')")
    plugin = lab.fleet / "jobs" / "tools" / "plugin.yaml"
    plugin.write_text("name: Tools\n")
    lab.enable("hello@tools")
    assert lab.ran()["hello@tools"].message == "one"
    plugin.write_text("name: Tools\nactive: false\n")
    assert lab.one(lab.own("hello@tools")).status == "skipped"
    lab.clock.sleep(7200)
    assert not lab.ran()
    plugin.write_text("name: Tools\nactive: true\n")
    lab.put("tools/hello", "    return Result(message='two')", interval=60)
    assert lab.ran()["hello@tools"].message == "two"
    assert any("were changed since its last run" in text for text in lab.said())
    lab.clock.sleep(61)
    assert lab.ran()["hello@tools"].message == "two"
    assert not any("were changed" in text for text in lab.said())


def test_a_warning_of_the_metadata_is_told_in_a_run(lab: OwnLab) -> None:
    """FRM-02"""
    lab.put("bare", "    return Result()", interval=None, script="bare.py")
    lab.once()
    [said] = [one for one in lab.told.events if isinstance(one, Remark) and "3600" in one.text]
    assert said.level == "warning"


def test_a_job_with_a_schedule_of_its_own_is_still_off(lab: OwnLab) -> None:
    """FRM-01, FRM-17"""
    lab.put("hello", "    return Result()")
    with Store.open(lab.where, at=lab.clock.now()) as store:
        row = store.loops.reschedule("hello", "hourly", active=False)
    assert not row.active
    assert not lab.ran()
