"""How texts look: colours, columns, values, durations. Pure functions; who prints is the CLI."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from desired.units import format_size
from handlers.marker import without_marker
from state.change import Change, Value
from state.secret import Secret


@dataclass(frozen=True, slots=True)
class Paint:
    """ANSI colours, or none at all."""

    colour: bool = False

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and text else text

    def good(self, text: str) -> str:
        return self._wrap("32", text)

    def bad(self, text: str) -> str:
        return self._wrap("31", text)

    def warn(self, text: str) -> str:
        return self._wrap("33", text)

    def dim(self, text: str) -> str:
        return self._wrap("2", text)

    def bold(self, text: str) -> str:
        return self._wrap("1", text)


def wants_colour(terminal: bool, environ: Mapping[str, str]) -> bool:
    """Whether to colour: on a terminal that can, unless NO_COLOR says otherwise."""
    return terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def show_value(field: str, value: Value) -> str:
    """Return a change's value in a person's words; the field says which unit it has."""
    if value is None:
        return "(none)"
    if isinstance(value, Secret):
        return str(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return ", ".join(value) or "(empty)"
    if isinstance(value, int | float):
        return _quantity(field.rsplit(".", 1)[-1], value)
    return value or "(empty)"


def show_change(change: Change) -> tuple[str, str]:
    """Return a change's field as the spec has it, and `old -> new` in one line."""
    field, old, new = change.field, change.old, change.new
    if change.handler == "firewall" and "." not in field and not field.startswith("ipfilter-"):
        field = f"firewall.{field}"
    if change.field == "description":
        old, new = _descriptions(old, new)
    shown = (show_value(change.field, value).replace("\n", " / ") for value in (old, new))
    return field, " -> ".join(shown)


def _descriptions(old: Value, new: Value) -> tuple[Value, Value]:
    """Return two descriptions without the marker line; with it when nothing else differs."""
    texts = [without_marker(value) if isinstance(value, str) else value for value in (old, new)]
    return (texts[0], texts[1]) if texts[0] != texts[1] else (old, new)


def _quantity(word: str, value: int | float) -> str:
    if word in ("memory", "balloon", "size") and value >= 1 << 20 and value == int(value):
        return format_size(int(value))
    if word == "rate" or word.startswith("mbps"):
        return f"{value:g} MB/s" if value else "unlimited"
    if word.startswith("iops") and not word.endswith("length"):
        return f"{value:g}" if value else "unlimited"
    if word == "vlan" and not value:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def show_duration(seconds: float) -> str:
    """Return `0.6 s`, `57.5 s`, `4 min 10 s` or `3 h 2 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def show_interval(seconds: float) -> str:
    """Return a job's interval in the short form of its frame line: `1m`, `90s`, `2h`."""
    if seconds == 0:
        return "off"
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def show_when(at: datetime, zone: tzinfo | None = None) -> str:
    """Return a moment in local time (or in `zone`), to the second."""
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S")


def json_when(at: datetime) -> str:
    """Return a moment as machines read it: UTC, ISO 8601."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def count_of(number: int, noun: str) -> str:
    """Return `1 change`, `2 changes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], paint: Paint) -> str:
    """Return left-aligned columns two spaces apart under a bold head."""
    widths = [max(len(line[i]) for line in [head, *rows]) for i in range(len(head))]

    def lay(line: Sequence[str]) -> str:
        cells = zip(line, widths, strict=True)
        return "  ".join(cell.ljust(width) for cell, width in cells).rstrip()

    return "\n".join([paint.bold(lay(head)), *map(lay, rows)])
