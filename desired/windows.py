"""Windows of time: when a change with an effect may be made, and when it must not (C-24).

A window opens by a cron line of five fields in its own time zone, as Debian's cron does across the
change of the clocks, and stays open for an absolute length. Everything given and returned is aware
UTC.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, Field, PlainSerializer

from desired.model import Int, Model
from desired.units import Duration

EffectName = Literal["live", "hotplug", "next-boot", "stop-start", "destroy"]
LONGEST = 366 * 86400.0
"""Seconds: a window that is open for longer is open for ever."""

TURNS = 500
"""How many openings and closings are gone through in search of the next moment that is free."""


def _cron(text: str) -> str:
    try:
        if len(text.split()) != 5:
            raise CronSimError("expected five fields")
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        why = str(error) or "it never comes"
        wanted = "expected a cron line such as '0 2 * * sun' (minute hour day month weekday)"
        raise ValueError(f"{wanted}: {why.lower()}, seen {text!r}") from None
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        wanted = "expected a time zone such as Europe/Berlin or UTC"
        raise ValueError(f"{wanted}, seen {name!r}") from None
    return name


ZoneName = Annotated[str, AfterValidator(_zone)]
"""A time zone by its name in the IANA database: `Europe/Berlin`, `UTC`."""


def _length(seconds: float) -> float:
    if not 1 <= seconds <= LONGEST:
        raise ValueError(f"expected a length from 1s to 366d, seen {seconds:.0f}s")
    return seconds


def _seconds(length: float) -> str:
    return f"{int(length)}s"


class Window(Model):
    """When something may or must not be done: `{start: "0 2 * * sun", for: 2h}`.

    An allow window lets VMs of `restart: window` be restarted; a deny window withholds every
    change whose effect it names, and wins. Its scope are VMs that bear one of `tags` and whose key
    or name fits one of the globs `names`; an empty list takes in all, of `effects` too. `at_most`
    is how many VMs may be restarted in one opening.
    """

    start: Annotated[str, AfterValidator(_cron)]
    lasts: Annotated[Duration, AfterValidator(_length), PlainSerializer(_seconds)] = Field(
        alias="for"
    )
    timezone: ZoneName = "UTC"
    kind: Literal["allow", "deny"] = "allow"
    tags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    effects: tuple[EffectName, ...] = ()
    at_most: Int | None = Field(None, ge=1)

    def fits(self, key: str, name: str, tags: tuple[str, ...]) -> bool:
        """Whether a VM is in the window's scope."""
        tagged = not self.tags or not set(self.tags).isdisjoint(tags)
        globs = [glob for glob in self.names if fnmatchcase(key, glob) or fnmatchcase(name, glob)]
        return tagged and (not self.names or bool(globs))

    def concerns(self, effect: str) -> bool:
        return not self.effects or effect in self.effects


ALWAYS_CLOSED = Window.model_validate({"start": "* * * * *", "for": "1h", "kind": "deny"})
"""What stands in for a window that cannot be read and may have been one that denies."""


@dataclass(frozen=True, slots=True)
class Opening:
    """One time that a window is open: from `opened_at` up to, but not at, `until`."""

    name: str
    window: Window
    opened_at: datetime
    until: datetime


def open_window(windows: Mapping[str, Window], effect: str, at: datetime) -> Opening | None:
    """The allow window that lets an effect through at a moment; None under a deny window."""
    if closed_window(windows, effect, at):
        return None
    return _first(windows, "allow", effect, at)


def closed_window(windows: Mapping[str, Window], effect: str, at: datetime) -> Opening | None:
    """The deny window that withholds an effect at a moment; of several the one that ends last."""
    found = _current(windows, "deny", effect, at)
    return max(found, key=lambda opening: (opening.until, opening.name), default=None)


def next_opening(windows: Mapping[str, Window], effect: str, at: datetime) -> Opening | None:
    """The next time, or this one, that `open_window` lets the effect through.

    Its `opened_at` is when that begins: later than the window's own opening where a deny window
    covers that. None without an allow window, or when deny windows cover it all.
    """
    for _ in range(TURNS):
        closed = closed_window(windows, effect, at)
        opened = None if closed else _first(windows, "allow", effect, at)
        if opened:
            return replace(opened, opened_at=max(opened.opened_at, at))
        if closed:
            at = closed.until
            continue
        coming = [next(_starts(one, at), None) for _, one in _of(windows, "allow", effect)]
        later = min(filter(None, coming), default=None)
        if later is None:
            return None
        at = later
    return None


def allows(windows: Mapping[str, Window], effect: str) -> bool:
    """Whether any allow window is for this effect at all."""
    return bool(_of(windows, "allow", effect))


def _of(windows: Mapping[str, Window], kind: str, effect: str) -> list[tuple[str, Window]]:
    return [
        (name, window)
        for name, window in sorted(windows.items())
        if window.kind == kind and window.concerns(effect)
    ]


def _first(windows: Mapping[str, Window], kind: str, effect: str, at: datetime) -> Opening | None:
    return next(iter(_current(windows, kind, effect, at)), None)


def _current(windows: Mapping[str, Window], kind: str, effect: str, at: datetime) -> list[Opening]:
    openings = (_opening(name, window, at) for name, window in _of(windows, kind, effect))
    return [one for one in openings if one]


def _opening(name: str, window: Window, at: datetime) -> Opening | None:
    """The opening that covers a moment; where several do, the earliest of them."""
    length = timedelta(seconds=window.lasts)
    opened_at = next(_starts(window, at - length), None)
    if opened_at is None or opened_at > at:
        return None
    return Opening(name, window, opened_at, opened_at + length)


def _starts(window: Window, after: datetime) -> Iterator[datetime]:
    """Every moment later than `after` at which the window opens."""
    moments = CronSim(window.start, after.astimezone(zone_info(window.timezone)))
    # In the hour that the clocks go through twice the first may be an hour too early.
    return (moment for local in moments if (moment := local.astimezone(UTC)) > after)


@lru_cache(maxsize=64)
def zone_info(name: str) -> ZoneInfo:
    return ZoneInfo(name)
