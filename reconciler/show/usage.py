"""Traffic as text, CSV and JSON; every figure is one that the store has."""

import csv
import io
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from reconciler.show.text import Paint, count_of, json_when, show_when, table
from reconciler.usage.statement import Line, Statement
from state.api import Json
from state.usage import Hour

HEAD = ("VM", "IN", "OUT", "COUNTED", "ALLOWANCE", "OVER", "LAST 35 DAYS")
BARS = " ▁▂▃▄▅▆▇█"
COLUMNS = (
    "month",
    "vm",
    "nic",
    "bytes_in",
    "bytes_out",
    "counted",
    "allowance",
    "over",
    "spread",
    "repaired",
)


def render_usage(found: Statement, today: date, paint: Paint) -> str:
    """One line a machine, what is behind it if not all is exact, and the sums."""
    lines = [table(HEAD, [_row(one, today) for one in found.lines], paint)] if found.lines else []
    for one in found.lines:
        if one.over:
            lines.append(paint.warn(f"! {one.key}: {show_bytes(one.over)} over its allowance"))
        inexact = _inexact(one)
        if inexact:
            lines.append(paint.dim(f"= {one.key}: {inexact}"))
    sums = [sum(getattr(one.total, name) for one in found.lines) for name in BYTES]
    until = f", sampled until {show_when(found.at)}" if found.at else ""
    lines.append(
        paint.bold(
            f"{found.month} ({found.zone}): {count_of(len(found.lines), 'VM')}, "
            f"{show_bytes(sums[0])} in, {show_bytes(sums[1])} out{until}."
        )
    )
    return "\n".join(lines)


BYTES = ("bytes_in", "bytes_out")


def _row(one: Line, today: date) -> tuple[str, ...]:
    allowance = one.traffic.allowance
    share = f"{show_bytes(allowance)} ({one.counted * 100 // allowance} %)" if allowance else "-"
    return (
        one.key,
        show_bytes(one.total.bytes_in),
        show_bytes(one.total.bytes_out),
        show_bytes(one.counted),
        share,
        show_bytes(one.over) if one.over else "-",
        sparkline(one.days, today),
    )


def _inexact(one: Line) -> str:
    parts = []
    if one.total.spread:
        parts.append(f"{show_bytes(one.total.spread)} passed while nobody looked: spread evenly")
    if one.total.repaired:
        parts.append(f"{show_bytes(one.total.repaired)} are from Proxmox's own history")
    return ", ".join(parts)


def sparkline(days: Mapping[str, tuple[int, int]], today: date, length: int = 35) -> str:
    """One bar a day up to today; the highest is the day of most bytes, a gap a day of none."""
    sums = [
        sum(days.get((today - timedelta(days=ago)).isoformat(), (0, 0)))
        for ago in range(length - 1, -1, -1)
    ]
    most = max(sums)
    if not most:
        return ""
    return "".join(BARS[-(-one * (len(BARS) - 1) // most)] for one in sums).lstrip()


def show_bytes(count: int) -> str:
    """Bytes to three digits: `0 B`, `17.3 MiB`, `1.25 TiB`."""
    value, units = float(count), ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
    for unit in units:
        if value < 1000 or unit == units[-1]:
            return f"{value:.3g} {unit}"
        value /= 1024
    raise AssertionError("the last unit takes all")


def usage_csv(found: Statement) -> str:
    """A line a machine, and one for each nic that is known by itself; figures in bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in found.lines:
        allowance = "" if one.traffic.allowance is None else one.traffic.allowance
        total = one.total
        counted = (one.counted, allowance, one.over, total.spread, total.repaired)
        writer.writerow((found.month, one.key, "", total.bytes_in, total.bytes_out, *counted))
        for nic in one.nics:
            rest = ("", "", "", nic.spread, nic.repaired)
            writer.writerow((found.month, one.key, nic.nic, nic.bytes_in, nic.bytes_out, *rest))
    return text.getvalue()


def usage_json(found: Statement) -> dict[str, Json]:
    """The month with every machine of it; bytes."""
    return {
        "fleet": found.fleet,
        "month": found.month,
        "timezone": found.zone,
        "sampled_at": json_when(found.at) if found.at else None,
        "vms": [_line_json(one) for one in found.lines],
    }


def _line_json(one: Line) -> dict[str, Json]:
    return {
        "vm": one.key,
        "bytes_in": one.total.bytes_in,
        "bytes_out": one.total.bytes_out,
        "counts": one.traffic.counts,
        "counted": one.counted,
        "allowance": one.traffic.allowance,
        "over": one.over,
        "spread": one.total.spread,
        "repaired": one.total.repaired,
        "nics": {
            nic.nic: {"bytes_in": nic.bytes_in, "bytes_out": nic.bytes_out} for nic in one.nics
        },
        "days": {day: list(pair) for day, pair in sorted(one.days.items())},
    }


def render_hours(hours: Sequence[Hour], paint: Paint) -> str:
    """The hours of one machine."""
    if not hours:
        return "Nothing was metered in the last 35 days."
    head = ("HOUR", "NIC", "IN", "OUT", "")
    rows = [
        (
            show_when(one.hour)[:16],
            one.nic or "all",
            show_bytes(one.bytes_in),
            show_bytes(one.bytes_out),
            "spread" if one.spread else "repaired" if one.repaired else "",
        )
        for one in hours
    ]
    return table(head, rows, paint)


def hours_csv(hours: Sequence[Hour]) -> str:
    """A line an hour and nic; figures in bytes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("hour", "nic", "bytes_in", "bytes_out", "spread", "repaired"))
    for one in hours:
        counted = (one.bytes_in, one.bytes_out, one.spread, one.repaired)
        writer.writerow((json_when(one.hour), one.nic, *counted))
    return text.getvalue()


def hours_json(hours: Sequence[Hour]) -> list[Json]:
    return [
        {
            "hour": json_when(one.hour),
            "nic": one.nic,
            "bytes_in": one.bytes_in,
            "bytes_out": one.bytes_out,
            "spread": one.spread,
            "repaired": one.repaired,
        }
        for one in hours
    ]
