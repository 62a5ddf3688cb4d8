"""One VM as its spec has it beside as Proxmox has it now: `reconcile show` (LOG-08)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from desired.spec import VMSpec
from reconciler.clock import Clock, SystemClock
from reconciler.config import Opened, Opening, open_preview
from reconciler.express.document import expressed
from reconciler.glance import look_once
from reconciler.options import RunOptions
from reconciler.prepare import Stage, turns_of
from reconciler.report import Reporter
from reconciler.show.text import show_duration, show_value
from reconciler.status import VMStatus, vm_status
from state.observed import Presence, SeenVM

PARTS = ("cpu", "memory", "balloon", "disks", "nics")
MENTIONED = (
    *("bios", "machine", "ostype", "scsihw", "efi", "tpm", "vga", "rng", "serials"),
    *("pci", "usb", "virtiofs", "iso", "agent", "onboot", "protection"),
)
"""What is shown only where the spec says something of it."""
LEFT = ("reclaim", "adopt", "ipv4", "ipv6", "state")
"""What no config key of Proxmox holds as it stands in the spec."""

NOT_OURS = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """One field: what the spec says, what the guest runs with, and what waits for its next start.

    `-` of the spec: the field is not ours; empty of the others: it is not there.
    """

    field: str
    spec: str
    live: str
    pending: str = ""

    @property
    def differs(self) -> bool:
        return self.spec not in (NOT_OURS, self.live)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`status` is what the store knows; `remote`, `lock`, `node` and `uptime` are as of now."""

    status: VMStatus
    remote: str
    lock: str = ""
    node: str = ""
    uptime: str = ""
    package: str = ""
    rows: tuple[Row, ...] = ()


def compare(
    options: RunOptions,
    key: str,
    reporter: Reporter,
    clock: Clock | None = None,
    opening: Opening = open_preview,
) -> Comparison:
    """Look at one VM of the fleet and put it beside its spec; writes nothing.

    Raises KeyError where no sound spec has that key; UnusableSource, StoreError.
    """
    clock = clock or SystemClock()
    start = clock.now()
    with opening(options.fleet, options.database, start) as opened:
        turn = turns_of(opened.fleet, ())[key]
        sites = Stage(opened, reporter, clock, dry=True).sites([turn.spec], None)
        until = start + timedelta(seconds=options.time_limit)
        preview = look_once(opened, sites, {key: turn}, clock, until)
        known = _known(opened, key, clock)
        if key in preview.failed:
            return Comparison(known, f"unknown: {preview.failed[key]}")
        return comparison(known, turn.spec, preview.guarded[key].plan.seen)


def _known(opened: Opened, key: str, clock: Clock) -> VMStatus:
    store = opened.store
    runs, conditions = store.journal.vm_runs(key), store.conditions.all().get(key, ())
    memory = store.memories([key])[key]
    return vm_status(key, opened.fleet, memory, conditions, runs, clock.now())


def comparison(status: VMStatus, spec: VMSpec, seen: SeenVM) -> Comparison:
    """Put what was seen of a VM beside its status and its spec."""
    if seen.presence is Presence.UNKNOWN:
        return Comparison(status, f"unknown: {seen.reason}", package=spec.package or "")
    if seen.row is None or seen.config is None:
        return Comparison(status, "not there", package=spec.package or "")
    up = show_duration(float(seen.row.uptime)) if seen.row.uptime else ""
    return Comparison(
        status,
        seen.status,
        seen.row.lock or "",
        seen.row.node,
        up,
        spec.package or "",
        tuple(rows_of(spec, seen)),
    )


def rows_of(spec: VMSpec, seen: SeenVM) -> Iterator[Row]:
    """Yield the fields of processors, memory, disks with their limits, NICs and devices."""
    assert seen.config is not None
    now = replace(seen, config=replace(seen.config, wanted=seen.config.live))
    ours, live, coming = _flat(spec), _flat(expressed(now).spec), _flat(expressed(seen).spec)
    always = (field for field in live if field.partition(".")[0] in PARTS)
    for field in dict.fromkeys((*ours, *always)):
        pending = coming.get(field, "gone")
        differs = pending != live.get(field, "gone")
        wish, now_is = ours.get(field, NOT_OURS), live.get(field, "")
        if field == "machine" and now_is.startswith(_versions(wish)):
            wish = now_is
        yield Row(field, wish, now_is, pending * differs)


def _versions(machine: str) -> str:
    """What the versions of a machine type begin with: `q35` of a spec is any of them."""
    return "pc-i440fx-" if machine == "pc" else f"pc-{machine}-"


def _flat(spec: VMSpec) -> dict[str, str]:
    dumped = spec.model_dump(include={*PARTS, *MENTIONED})
    return dict(_leaves({part: dumped[part] for part in (*PARTS, *MENTIONED)}))


def _leaves(tree: Mapping[str, object], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in tree.items():
        path = f"{above}{name}"
        if name in LEFT or value is None:
            continue
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, _word(name, value)


def _word(name: str, value: object) -> str:
    if name == "link":
        return "up" if value else "down"
    return show_value(name, value) if isinstance(value, str | int | float) else str(value)
