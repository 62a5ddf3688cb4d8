"""A disk's options, compared by type: throttles (DEP-19) and flags."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from desired.hardware import Disk
from state.drive import Drive
from state.propstring import render_number

LIMITS = tuple(
    f"{unit}_{way}{burst}"
    for unit in ("iops", "mbps")
    for way in ("rd", "wr")
    for burst in ("", "_max", "_max_length")
    if (unit, burst) != ("mbps", "_max_length")
)
FLAGS: Mapping[str, tuple[bool, str | None, str | None]] = {
    "ssd": (False, "1", None),
    "discard": (False, "on", None),
    "iothread": (False, "1", None),
    "backup": (True, None, "0"),
}
"""Proxmox's default, and the text for on and for off."""
AT_START = ("ssd", "discard", "iothread", "cache")
"""What QEMU reads only when it is started; the rest applies at once."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One option that differs, and what to write for it (None takes the option away)."""

    option: str
    old: str | float | bool
    new: str | float | bool
    texts: Mapping[str, str | None]

    @property
    def at_start(self) -> bool:
        return self.option in AT_START


def differences(disk: Disk, drive: Drive) -> Iterator[Difference]:
    """Yield what the spec mentions and the drive has otherwise; 0 is unlimited, so no option."""
    for name in LIMITS:
        value = getattr(disk, name)
        seen = drive.number(name) or float(name.endswith("_length"))
        if value is not None and round(value - seen, 6):
            text = render_number(value) if value else None
            texts = {**_conflicts(name, value), name: text}
            yield Difference(name, whole(seen), whole(value), texts)
    for name, (default, on, off) in FLAGS.items():
        value = getattr(disk, name)
        seen = drive.flag(name, default)
        if value is not None and value != seen:
            yield Difference(name, seen, value, {name: on if value else off})
    cache = drive.option("cache") or "none"
    if disk.cache is not None and disk.cache != cache:
        yield Difference("cache", cache, disk.cache, {"cache": disk.cache})


def whole(number: float) -> float:
    """Return a number as a person writes it: 100, not 100.0."""
    return int(number) if number == int(number) else number


def laid_over(drive: Drive, found: list[Difference]) -> Drive:
    """Return the drive with all these differences written into it."""
    texts: dict[str, str | None] = {}
    for difference in found:
        texts |= {name: None for name in difference.texts if name != difference.option}
    for difference in found:
        texts[difference.option] = difference.texts[difference.option]
    return drive.with_options(texts)


def _conflicts(name: str, value: float) -> dict[str, str | None]:
    """What Proxmox refuses beside this limit: a burst without its base, a total beside a part."""
    unit, way, *burst = name.split("_")
    if burst == ["max", "length"]:
        return {}
    length = {"iops": "iops", "mbps": "bps"}[unit]
    part = f"{unit}_{way}"
    if value:
        return {unit: None, f"{unit}_max": None, f"{length}_max_length": None}
    gone = [f"{part}_max", f"{length}_{way}_max_length"]
    return dict.fromkeys(gone[1:] if burst else gone)
