"""Secrets by reference, and messages that never show one."""

import logging
import os
import shlex
import sys
from pathlib import Path

import pytest

from reconciler import secrets
from reconciler.secrets import SecretError, resolve


def test_a_secret_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVE_TOKEN", "hunter2")
    secret = resolve("env:PVE_TOKEN", tmp_path)
    assert secret.reveal() == "hunter2"
    assert str(secret) == "***"


def test_a_variable_loses_its_last_newline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PVE_TOKEN", "hunter2\n")
    assert resolve("env:PVE_TOKEN", tmp_path).reveal() == "hunter2"


def test_a_secret_of_two_lines_is_refused_unshown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-08: as a header it would be refused in words that show it."""
    monkeypatch.setenv("PVE_TOKEN", "hunter2\nX-Header: 1")
    with pytest.raises(SecretError, match="env:PVE_TOKEN: it has a line break") as caught:
        resolve("env:PVE_TOKEN", tmp_path)
    assert "hunter2" not in str(caught.value)


def test_an_unset_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="the environment variable NOT_SET_1 is not set"):
        resolve("env:NOT_SET_1", tmp_path)


def test_a_file_is_relative_to_the_fleet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "token"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    assert resolve("file:token", tmp_path).reveal() == "hunter2"
    assert resolve(f"file:{path}", Path("/")).reveal() == "hunter2"
    assert caplog.text == ""


def test_a_file_that_everybody_may_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "token"
    path.write_text("hunter2\r\n")
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert resolve("file:token", tmp_path).reveal() == "hunter2"
    assert "chmod 600" in caplog.text and "hunter2" not in caplog.text


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match=r"file:gone: cannot read .*gone: No such file"):
        resolve("file:gone", tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SecretError, match="not text in UTF-8"):
        resolve("file:binary", tmp_path)


def command(code: str) -> str:
    return f"exec:{shlex.join([sys.executable, '-c', code])}"


def test_a_command_gives_its_first_line(tmp_path: Path) -> None:
    secret = resolve(command("import os; print(os.getcwd()); print('more')"), tmp_path)
    assert secret.reveal() == os.fspath(tmp_path)


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    assert resolve("exec:echo $HOME;id", tmp_path).reveal() == "$HOME;id"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("exec:/nonexistent/program x", "cannot be run"),
        ("exec:echo 'open", "cannot split"),
        ("exec: ", "cannot be run"),
        (command("print('hunter2'); raise SystemExit(3)"), "exit status 3"),
        (command("pass"), "it is empty"),
        ("hunter2", "expected a secret's reference"),
        ("vault:hunter2", "expected a secret's reference"),
        ("env:", "expected a secret's reference"),
    ],
)
def test_what_gives_no_secret_says_why_without_showing_any(
    tmp_path: Path, reference: str, says: str
) -> None:
    with pytest.raises(SecretError, match=says) as caught:
        resolve(reference, tmp_path)
    if "hunter2" in reference and not reference.startswith("exec:"):
        assert "hunter2" not in str(caught.value)


def test_a_command_has_a_deadline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "DEADLINE", 0.2)
    with pytest.raises(SecretError, match=r"no answer within 0\.2 s"):
        resolve(command("import signal; signal.pause()"), tmp_path)
