"""What several commands open: the fleet, its store, and a VM's key that a person typed."""

import difflib
import getpass
import os
import socket
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import click

from desired.source import Fleet
from desired.units import parse_duration


def now() -> datetime:
    return datetime.now(UTC)


def person() -> str:
    """Return who is at the keyboard, for the record: `ann@host`; `uid-7@host` without a name."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def known_key(key: str, fleet: Fleet, bound: Collection[str]) -> str:
    """Return the key when the fleet or the store knows it, else say which one may be meant."""
    keys = {*fleet.vms, *fleet.broken, *bound}
    if key in keys:
        return key
    near = difflib.get_close_matches(key, sorted(keys), n=3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise click.ClickException(f"no VM {key} in fleet {fleet.name}{hint}")


def moment(text: str, at: datetime) -> datetime:
    """Return the moment meant by `2h`, `3d` (from now) or `2026-03-01T12:00` (local time)."""
    try:
        return at + length(text)
    except click.BadParameter:
        pass
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"expected a length such as 2h or 3d, or a moment such as 2026-03-01T12:00, seen {text}"
        ) from None
    until = until if until.tzinfo else until.astimezone()
    if until <= at:
        raise click.BadParameter(f"{text} is over already")
    return until


def length(text: str) -> timedelta:
    """Return the length of time meant by `90s`, `15min`, `1h` or `7d`."""
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    assert isinstance(seconds, float)
    return timedelta(seconds=seconds)
