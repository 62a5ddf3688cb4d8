"""What `iso list` prints: the ISOs of a cluster, grouped by the first word of their names."""

from collections.abc import Sequence

from desired.units import format_size
from reconciler.pve.files import Stored
from reconciler.show.text import Paint, table

OTHER = "OTHER"


def group_of(file: str) -> str:
    """The part of a file's name before its first `-`, else OTHER (CI-07)."""
    first, hyphen, _ = file.partition("-")
    return first if hyphen and first else OTHER


def grouped(files: Sequence[Stored]) -> dict[str, list[Stored]]:
    """Return the files by group and name; OTHER comes last."""
    ordered = sorted(files, key=lambda one: (group_of(one.file), one.file, one.volume))
    groups = sorted({group_of(one.file) for one in files}, key=lambda name: (name == OTHER, name))
    return {name: [one for one in ordered if group_of(one.file) == name] for name in groups}


def render_isos(cluster: str, files: Sequence[Stored], paint: Paint) -> str:
    """Return a cluster's ISOs as a table; a group's name stands beside its first file."""
    rows = [
        (name if place == 0 else "", one.volume, _size(one.size), ", ".join(one.nodes))
        for name, members in grouped(files).items()
        for place, one in enumerate(members)
    ]
    head = paint.bold(f"cluster {cluster}")
    if not rows:
        return f"{head}\nno ISO: no storage that was seen holds one"
    return f"{head}\n{table(('GROUP', 'ISO', 'SIZE', 'NODES'), rows, paint)}"


def _size(size: int) -> str:
    """Whole MiB are enough to tell one image from another."""
    return format_size(max(size >> 20, 1) << 20)
