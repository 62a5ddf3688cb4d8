"""The 18 options of a product, as a billing panel names them, laid over a VM's spec.

    options: {CPU Cores: 4, RAM: 8, System Disk: 40, IPv4 Addresses: 2, Operating System: debian-12}

Names are exact (OPT-01); those of older panels begin with a prefix, such as `CPU|` (OPT-02). An
option that is set wins over the package, also when it is 0 (OPT-03, C8).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from desired.merge import merge
from desired.nodes import Tree
from desired.wording import Wrong, near, shown

SYSTEM, EXTRA, NIC = "system", "{extra}", "{nic}"
PREFIXES = {
    "CPU|": "CPU Cores",
    "RAM|": "RAM",
    "ipv4|": "IPv4 Addresses",
    "ipv6|": "IPv6 Addresses",
    "B|": "Backups",
    "S|": "Snapshots",
    "OS|": "Operating System",
}
"""How the names of older panels begin; the plain name wins where both stand (OPT-02)."""

DEFAULTS: Tree = {"cpu": {"cores": 1}, "memory": "1GiB", "quota": {"backups": 0, "snapshots": 0}}
"""What a product has that neither an option nor its package names (OPT-03); the rest is as in the
template, or none."""

FIRST_EXTRA, FIRST_NIC = "scsi1", "net0"
_NUMBER = re.compile(r"\d{1,12}(\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where an option's number goes, its least and greatest, and its unit.

    `unit`: empty for a whole number, `GB` for a size of whole MiB, `MB/s` for a number.
    """

    path: tuple[str, ...]
    low: float
    high: int
    unit: str = ""

    def value(self, number: float) -> object:
        """Return the number as the spec writes it; ValueError says what is expected."""
        if not self.low <= number <= self.high:
            raise ValueError
        if self.unit == "GB":
            return f"{_whole(number * 1024)}MiB" if number else 0
        if self.path[-1] == "rate":
            return f"{number:.6f}MB/s" if number else 0
        return number if self.unit else _whole(number)

    @property
    def expected(self) -> str:
        kind = "a number of" if self.unit else "a whole number"
        words = (kind, self.unit, f"from {self.low:g} to {self.high}")
        return f"expected {' '.join(filter(None, words))}"


def _throttles(disk: str, slot: str) -> dict[str, Setting]:
    """`System Disk Read Bandwidth` and its three neighbours."""
    found = {}
    for way, short in (("Read", "rd"), ("Write", "wr")):
        path = ("disks", slot)
        found[f"{disk} {way} Bandwidth"] = Setting((*path, f"mbps_{short}"), 0, 1_000_000, "MB/s")
        found[f"{disk} {way} IOPS"] = Setting((*path, f"iops_{short}"), 0, 1_000_000_000)
    return found


SETTINGS = {
    "CPU Cores": Setting(("cpu", "cores"), 1, 128),
    "RAM": Setting(("memory",), 1 / 64, 4096, "GB"),
    "System Disk": Setting(("disks", SYSTEM, "size"), 0, 131_072, "GB"),
    "Additional Disk": Setting(("disks", EXTRA, "size"), 0, 131_072, "GB"),
    **_throttles("System Disk", SYSTEM),
    **_throttles("Additional Disk", EXTRA),
    "Network Bandwidth": Setting(("nics", NIC, "rate"), 0, 10_240, "MB/s"),
    "IPv4 Addresses": Setting(("nics", NIC, "ipv4", "count"), 0, 64),
    "IPv6 Addresses": Setting(("nics", NIC, "ipv6", "count"), 0, 64),
    "Backups": Setting(("quota", "backups"), 0, 1000),
    "Snapshots": Setting(("quota", "snapshots"), 0, 1000),
}
OS = "Operating System"
NAMES = (*SETTINGS, OS)
"""All 18 names, case-sensitive (OPT-01)."""


def lay_over(
    tree: Tree, options: object, aliases: Mapping[str, tuple[int | str, ...]]
) -> tuple[Tree, list[Wrong]]:
    """Return a VM's tree with its options laid over it, and what is wrong with them.

    `aliases` are the cluster's templates: an operating system is named by alias or by vmid (CI-05).
    """
    if not isinstance(options, dict):
        return tree, [Wrong(("options",), f"expected a map of options, seen {shown(options)}")]
    wrong: list[Wrong] = []
    result = merge(DEFAULTS, tree)
    for name, (written, value) in _chosen(options, wrong).items():
        path = ("options", written)
        if name == OS:
            alias = _template(value, aliases)
            if alias is None:
                hint = near(str(value), aliases)
                message = f"expected a template's name or vmid, seen {shown(value)}{hint}"
                wrong.append(Wrong(path, message))
            else:
                result = {**result, "template": alias}
            continue
        setting = SETTINGS[name]
        try:
            number = setting.value(_number(value))
        except ValueError:
            wrong.append(Wrong(path, f"{setting.expected}, seen {shown(value)}"))
            continue
        result, message = _laid(result, setting.path, number)
        wrong += [Wrong(path, message)] if message else []
    return result, wrong


def _chosen(options: Tree, wrong: list[Wrong]) -> dict[str, tuple[str, object]]:
    """Return (the name as written, the value) by plain name; disks come before their limits."""
    found: dict[str, tuple[str, object]] = {}
    for written, value in options.items():
        name = _plain(written)
        if name is None:
            message = f"unknown option (names are exact){near(written, NAMES)}"
            wrong.append(Wrong(("options", written), message, at_key=True))
        elif name in found and written != name and found[name][0] != name:
            message = f"{name} is set by {found[name][0]!r} already"
            wrong.append(Wrong(("options", written), message, at_key=True))
        elif value is not None and (name not in found or written == name):
            found[name] = (written, value)
    return {name: found[name] for name in NAMES if name in found}


def _plain(written: str) -> str | None:
    prefixed = (name for prefix, name in PREFIXES.items() if written.startswith(prefix))
    return written if written in NAMES else next(prefixed, None)


def _number(value: object) -> float:
    """The number, also where the panel gives it as text. Raises ValueError."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    return float(value)


def _whole(number: float) -> int:
    if number != int(number):
        raise ValueError
    return int(number)


def _template(value: object, aliases: Mapping[str, tuple[int | str, ...]]) -> str | None:
    if isinstance(value, str) and value in aliases:
        return value
    text = str(value)
    vmid = int(text) if text.isdecimal() else None
    return next((alias for alias in sorted(aliases) if vmid in aliases[alias]), None)


def _laid(tree: Tree, path: tuple[str, ...], value: object) -> tuple[Tree, str]:
    """Return the tree with the value at the path; in the second place why it has none there."""
    if EXTRA in path:
        slot = next(_slots(tree, "disks"), "")
        if not slot and (path[-1] != "size" or not value):
            return tree, ""
        path = tuple(slot or FIRST_EXTRA if part == EXTRA else part for part in path)
    if NIC in path:
        slot = next(_slots(tree, "nics"), FIRST_NIC)
        path = tuple(slot if part == NIC else part for part in path)
    if path[-1] == "count":
        return _counted(tree, path, value)
    return merge(tree, _nested(path, value)), ""


def _counted(tree: Tree, path: tuple[str, ...], value: object) -> tuple[Tree, str]:
    """Addresses come from a pool: the one that the package names, else the one that fits."""
    found: object = tree
    for part in path[:-1]:
        found = found.get(part) if isinstance(found, dict) else None
    if found is None:
        asked = {"pool": "auto", "count": value}
        return (merge(tree, _nested(path[:-1], asked)) if value else tree), ""
    if isinstance(found, dict) and "pool" in found:
        return merge(tree, _nested(path, value)), ""
    if not value:
        return tree, ""
    where = ".".join(path[:-1])
    return tree, f"{where} takes no address from a pool: write pool: auto there, or 0 here"


def _slots(tree: Tree, field: str) -> Iterator[str]:
    """The slots of the package by number, the system disk left out."""
    slots = tree.get(field)
    named = slots if isinstance(slots, dict) else {}
    numbered = [(re.search(r"\d+$", slot), slot) for slot in named if slot != SYSTEM]
    yield from (slot for _, slot in sorted((int(m[0]) if m else 0, slot) for m, slot in numbered))


def _nested(path: tuple[str, ...], value: object) -> Tree:
    for part in reversed(path[1:]):
        value = {part: value}
    return {path[0]: value}
