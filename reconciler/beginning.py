"""The files that a new fleet repository begins with (`reconcile init`); their texts: starter/."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from desired.schema import schema_files

TEXTS = (
    "README.md",
    "packages/small.yaml",
    "pools/public.yaml",
    "vms/web.yaml",
    "systemd/reconcile.service",
    "systemd/reconcile-once.service",
    "systemd/reconcile-once.timer",
    "cron/reconcile",
    "ci/check",
    "ci/gitlab.yml",
    "ci/github.yml",
)
PROGRAMS = ("ci/check",)
IGNORED = (".git",)
"""What a folder may hold and still be empty."""


class NotEmpty(Exception):
    """The folder holds files already; the text names some."""


@dataclass(frozen=True, slots=True)
class LaidOut:
    """What came of it: files that were written, and files that were there and stay as they are."""

    written: tuple[str, ...]
    kept: tuple[str, ...]


def fleet_name(folder: Path) -> str:
    """Return a fleet's name made of the folder's: small letters, digits and hyphens."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-")
    return name if name[:1].isalpha() else f"fleet-{name}".strip("-")


def starter_files(fleet: str, endpoints: Sequence[str]) -> dict[str, str]:
    """Return path and text of each file; without endpoints the cluster is a simulated one."""
    kind = "real" if endpoints else "simulated"
    marks = {
        "FLEET": fleet,
        "ENDPOINTS": ", ".join(endpoints),
        "STEPS": _text(f"steps-{kind}.md"),
    }
    texts = {
        "fleet.yaml": _text(f"fleet-{kind}.yaml"),
        ".gitignore": _text("gitignore"),
        **{name: _text(name) for name in TEXTS},
    }
    filled = {name: _filled(text, marks) for name, text in texts.items()}
    return filled | {f".schema/{name}": text for name, text in schema_files().items()}


def lay_out(folder: Path, texts: Mapping[str, str], *, force: bool) -> LaidOut:
    """Write the files. What is there already is never overwritten.

    Raises NotEmpty unless the folder is empty, missing, or `force` was given; OSError.
    """
    there = sorted(one.name for one in folder.iterdir()) if folder.exists() else []
    there = [name for name in there if name not in IGNORED]
    if there and not force:
        more = ", ..." if len(there) > 3 else ""
        raise NotEmpty(f"{folder} is not empty: {', '.join(there[:3])}{more}")
    written, kept = [], []
    for name, text in sorted(texts.items()):
        path = folder / name
        if path.exists() or path.is_symlink():
            kept.append(name)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | 0o111 if name in PROGRAMS else path.stat().st_mode)
        written.append(name)
    return LaidOut(tuple(written), tuple(kept))


def _text(name: str) -> str:
    return files("reconciler").joinpath("starter", name).read_text()


def _filled(text: str, marks: Mapping[str, str]) -> str:
    for name, value in marks.items():
        text = text.replace(f"<{name}>", value)
    return text
