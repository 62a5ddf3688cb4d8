"""Secrets by reference: `env:NAME`, `file:PATH`, `exec:COMMAND`. No message shows a value."""

import logging
import os
import shlex
import stat
import subprocess
from pathlib import Path

from state.secret import Secret

logger = logging.getLogger(__name__)

DEADLINE = 10.0
"""Seconds that a command may take."""


class SecretError(ValueError):
    """A reference that gives no secret; says which one and what to do."""


def resolve(reference: str, folder: Path) -> Secret:
    """Return the secret that a reference names; files and commands are relative to `folder`.

    Raises SecretError.
    """
    kind, colon, rest = reference.partition(":")
    if not colon or kind not in ("env", "file", "exec") or not rest:
        raise SecretError("expected a secret's reference such as env:NAME, file:PATH or exec:CMD")
    text = {"env": _from_environment, "file": _from_file, "exec": _from_command}[kind](rest, folder)
    if not text:
        raise SecretError(f"{reference}: it is empty")
    if not text.isprintable():
        # Sent as it is, it would end up in the words of whatever refuses it.
        raise SecretError(f"{reference}: it has a line break or another character that is no text")
    return Secret(text)


def _from_environment(name: str, folder: Path) -> str:
    """Return the variable without its last newline."""
    text = os.environ.get(name)
    if text is None:
        raise SecretError(f"env:{name}: the environment variable {name} is not set")
    return text.removesuffix("\n").removesuffix("\r")


def _from_file(name: str, folder: Path) -> str:
    """Return the file's text without its last newline; others than the owner should not read it."""
    path = folder / Path(name).expanduser()
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SecretError(f"file:{name}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SecretError(f"file:{name}: {path} is not text in UTF-8") from None
    if mode & stat.S_IROTH:
        logger.warning("%s holds a secret and everybody may read it: chmod 600 %s", path, path)
    return text.removesuffix("\n").removesuffix("\r")


def _from_command(command: str, folder: Path) -> str:
    """Return the first line that the command prints; no shell reads the command."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SecretError(f"exec: cannot split the command into words: {error}") from None
    shown = f"exec:{words[0] if words else command}"
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DEADLINE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SecretError(f"{shown}: no answer within {DEADLINE:g} s") from None
    except (OSError, IndexError, ValueError) as error:
        raise SecretError(f"{shown}: cannot be run: {error}") from None
    if done.returncode != 0:
        raise SecretError(f"{shown}: exit status {done.returncode}; run it by hand to see why")
    return done.stdout.decode(errors="replace").partition("\n")[0].removesuffix("\r")
