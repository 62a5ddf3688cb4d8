"""A month as a picture, SVG or PNG: bytes a day, of one machine or of the greatest of many."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from reconciler.usage.statement import KEPT, Line, Statement

MOST = 8
"""So many machines are drawn by themselves, the rest as one."""

GIB = 1 << 30
FORMS = (".svg", ".png")


class NoChart(Exception):
    """The picture cannot be drawn; the text says what is missing."""


def draw(found: Statement, path: Path, today: date) -> None:
    """Write the picture of the last 35 days; raises NoChart, OSError."""
    if path.suffix not in FORMS:
        raise NoChart(f"expected a file that ends with .svg or .png, seen {path.name}")
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise NoChart("charts need matplotlib: pip install 'pve-reconcile[charts]'") from None
    days = [today - timedelta(days=ago) for ago in range(KEPT.days - 1, -1, -1)]
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    axes = figure.add_subplot()
    floor = [0.0] * len(days)
    for label, heights in _series(found.lines, days):
        axes.bar([f"{day:%d %b}" for day in days], heights, bottom=floor, label=label)
        floor = [below + height for below, height in zip(floor, heights, strict=True)]
    axes.set_ylabel("GiB a day, in and out")
    axes.set_title(f"{found.fleet}: traffic up to {today:%Y-%m-%d} ({found.zone})")
    axes.tick_params(axis="x", rotation=90)
    if found.lines:
        axes.legend(loc="upper left", fontsize="small")
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _series(lines: Sequence[Line], days: Sequence[date]) -> list[tuple[str, list[float]]]:
    """GiB by day: of the greatest machines, greatest first, and of all others together."""
    ranked = sorted(lines, key=lambda one: (-sum(map(sum, one.days.values())), one.key))
    found = [(one.key, _heights([one], days)) for one in ranked[:MOST]]
    rest = ranked[MOST:]
    return [*found, (f"{len(rest)} others", _heights(rest, days))] if rest else found


def _heights(lines: Sequence[Line], days: Sequence[date]) -> list[float]:
    return [sum(sum(one.days.get(day.isoformat(), (0, 0))) for one in lines) / GIB for day in days]
