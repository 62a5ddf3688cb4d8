"""A VM's spec and the VM itself, side by side (LOG-08)."""

from reconciler.compare import Comparison, Row
from reconciler.show.text import Paint, table


def render_comparison(found: Comparison, paint: Paint) -> str:
    """What the store knows and what Proxmox says in two lines, then a line for each field."""
    status = found.status
    lock = f", locked ({found.lock})" if found.lock else ""
    up = f" since {found.uptime}" if found.uptime else ""
    on = f" on {found.node}" if found.node else ""
    lines = [
        f"{'VM'.ljust(10)}{paint.bold(status.key)}",
        f"{'local'.ljust(10)}{status.state} (phase {status.phase})",
        f"{'remote'.ljust(10)}{found.remote}{up}{on}{lock}",
    ]
    lines += [f"{'package'.ljust(10)}{found.package}"] if found.package else []
    if not found.rows:
        return "\n".join(lines)
    head = ("FIELD", "SPEC", "PROXMOX", "AT THE NEXT START")
    shown = table(head, [_cells(row) for row in found.rows], paint).splitlines()
    marks = [False, *(row.differs for row in found.rows)]
    lines += [
        "",
        *(paint.warn(f"{line} <") if odd else line for line, odd in zip(shown, marks, strict=True)),
    ]
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, str, str, str]:
    return row.field, row.spec, row.live or "none", row.pending or "-"
