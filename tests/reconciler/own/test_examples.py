"""The examples of docs/own-jobs.md, as they stand there."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from desired.model import Model
from reconciler.cli import main
from reconciler.cli.settings import EXIT_USAGE
from reconciler.own.found import Plugin
from reconciler.own.job import Job, Result
from reconciler.own.metadata import ConfigField, Metadata
from tests.reconciler.own.jobs import OwnLab, own_lab

PAGE = Path(__file__).parents[3] / "docs" / "own-jobs.md"
FILE = re.compile(r"^`(jobs/\S+)`\n\n```\w+\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def lab(tmp_path: Path) -> OwnLab:
    made = own_lab(tmp_path)
    made.write(dict(FILE.findall(PAGE.read_text())))
    return made


@contextmanager
def mailbox() -> Iterator[tuple[int, list[str]]]:
    """A mail server for one mail: its port, and the lines that it was told."""
    lines: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            link, _ = server.accept()
            with link, link.makefile("rw", newline="\r\n") as talk:
                said = "220 here"
                while True:
                    talk.write(f"{said}\n")
                    talk.flush()
                    line = talk.readline().strip()
                    lines.append(line)
                    if line.lower() == "data":
                        talk.write("354 go on\n")
                        talk.flush()
                        while (line := talk.readline().strip()) != ".":
                            lines.append(line)
                    said = "250 fine"
                    if not line or line.lower() == "quit":
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], lines
        thread.join(5)


def test_both_examples_are_sound_and_need_what_they_say(lab: OwnLab) -> None:
    """FRM-01, FRM-02, FRM-13"""
    found = lab.found()
    assert [job.name for job in found.jobs] == ["probe_ports"]
    assert [error.field for error in found.errors] == ["jobs.weekly_digest.to"]
    lab.given({"weekly_digest": {"to": "ops@example.net"}})
    jobs = {job.name: job.metadata.timetable.text for job in lab.found().jobs}
    assert jobs == {"probe_ports": "every_run", "weekly_digest": "weekly on mon at 07:00:00"}


def test_frm_06_the_digest_is_shown_and_then_sent(lab: OwnLab) -> None:
    """FRM-06"""
    lab.settle()
    with mailbox() as (port, lines):
        values = {"to": "ops@example.net", "server": "127.0.0.1", "port": port}
        lab.given({"weekly_digest": values})
        shown = lab.preview(lab.own("weekly_digest"))
        assert shown.message.startswith("would send: law: 1 VMs on 20")
        assert shown.details[1].startswith("<h1>law: 1 VMs on 20")
        assert not lines
        sent = lab.one(lab.own("weekly_digest"))
    assert (sent.status, sent.processed) == ("success", 1), sent
    assert "1 ready" in lines
    assert any(line.startswith("Subject: law: 1 VMs") for line in lines)


def test_frm_15_each_vm_is_probed_at_its_own_pace(lab: OwnLab) -> None:
    """FRM-15"""
    lab.enable("probe_ports")
    file = next((lab.fleet / "vms").iterdir())
    with socket.create_server(("127.0.0.1", 0)) as server:
        wish = f"{{host: 127.0.0.1, port: {server.getsockname()[1]}, every: 60}}"
        file.write_text(f"vm-0: {{node: pve1, extensions: {{probe_ports: {wish}}}}}\n")
        loop = lab.own("probe_ports")
        assert lab.preview(loop).message == "would probe: vm-0"
        assert lab.one(loop).message == "1 probed, 0 did not answer"
        assert lab.one(loop).message == "0 probed, 0 did not answer"
    lab.clock.sleep(61)
    result = lab.one(loop)
    assert (result.status, result.message) == ("success", "1 probed, 1 did not answer")
    with lab.store() as store:
        assert store.loops.items("probe_ports")["vm-0"].failures == 1


@pytest.mark.parametrize("model", [Metadata, ConfigField, Plugin])
def test_the_page_names_every_field_of_the_metadata(model: type[Model]) -> None:
    prose = re.sub(r"```.*?```", "", PAGE.read_text(), flags=re.S)
    words = set(re.findall(r"[a-z_]+", " ".join(re.findall(r"`[^`]+`", prose))))
    assert model.model_fields.keys() <= words


@pytest.mark.parametrize("public", [Job, Result])
def test_the_page_names_all_that_a_job_has(public: type[object]) -> None:
    names = {name for name in vars(public) if not name.startswith("_")} - {"ask"}
    page = PAGE.read_text()
    assert not {name for name in names if f"`{name}" not in page and f".{name}" not in page}


@pytest.mark.parametrize("name", ["GATEWAY_INTERFACE", "REQUEST_METHOD"])
def test_frm_09_a_web_server_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """FRM-09"""
    monkeypatch.setenv(name, "x")
    assert main() == EXIT_USAGE
    assert "a web server may not run it" in capsys.readouterr().err
