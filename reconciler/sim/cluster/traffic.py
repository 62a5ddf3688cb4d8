"""How much guests send, receive, read and write: a seeded model, the same whenever it is asked.

Every device has a steady rate with a daily wave, so what it moved between two instants is exact
and costs nothing to keep. Counters count since the tap (or the QEMU process) was made.
Sources: pve-cluster PVE/RRD.pm, qemu-server PVE/QemuServer.pm (vmstatus); pve-api.md section 11.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reconciler.sim.vm.machine import Machine

DAY = 86400.0
WAVE = 0.5
"""How far a rate swings around its mean within a day."""

RUNS_KEPT = 100
SLOWEST, FASTEST = 400, 20_000
"""Mean bytes a second of a device."""

BOOT_READS = 200_000_000
"""Bytes that a guest reads while it boots."""


Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Flow:
    """One direction of one device: mean bytes a second and the phase of its daily wave."""

    mean: float
    phase: float

    def rate(self, at: float) -> float:
        """Bytes a second at an instant."""
        return self.mean * (1 + WAVE * math.sin(2 * math.pi * at / DAY + self.phase))

    def total(self, start: float, end: float) -> float:
        """Bytes between two instants."""
        if end <= start:
            return 0.0
        turn = 2 * math.pi / DAY
        swing = math.cos(turn * start + self.phase) - math.cos(turn * end + self.phase)
        return self.mean * ((end - start) + WAVE * swing / turn)


@lru_cache(maxsize=1 << 16)
def flow(seed: int, vmid: int, device: str, way: str) -> Flow:
    """The flow of a device (`net0`, `disk`), by way (`in`, `out`, `read`, `write`)."""
    number = zlib.crc32(f"{seed}:{vmid}:{device}:{way}".encode())
    mean = SLOWEST + number % (FASTEST - SLOWEST)
    return Flow(float(mean), (number >> 16) / 65536 * 2 * math.pi)


def nics_of(config: Mapping[str, object]) -> list[str]:
    return sorted(key for key in config if key.startswith("net") and key[3:].isdecimal())


def taps(machine: Machine) -> dict[str, float]:
    """NIC -> since when its counters count."""
    return {
        key: max(machine.started_at, machine.taps.get(key, 0.0)) for key in nics_of(machine.config)
    }


def nic_bytes(
    seed: int, vmid: int, since: Mapping[str, float], at: float
) -> dict[str, tuple[int, int]]:
    """NIC -> bytes in and out at an instant, from the guest's view."""
    return {
        key: (
            int(flow(seed, vmid, key, "in").total(start, at)),
            int(flow(seed, vmid, key, "out").total(start, at)),
        )
        for key, start in since.items()
    }


def disk_bytes(seed: int, vmid: int, started: float, at: float) -> tuple[int, int]:
    """Bytes read and written since the guest's start."""
    read = BOOT_READS + flow(seed, vmid, "disk", "read").total(started, at)
    return int(read), int(flow(seed, vmid, "disk", "write").total(started, at))


def counters(
    seed: int, vmid: int, started: float, since: Mapping[str, float], at: float
) -> dict[str, int]:
    """The four counters of a running VM as vmstatus sums them."""
    pairs = nic_bytes(seed, vmid, since, at).values()
    read, written = disk_bytes(seed, vmid, started, at)
    return {
        "netin": sum(pair[0] for pair in pairs),
        "netout": sum(pair[1] for pair in pairs),
        "diskread": read,
        "diskwrite": written,
    }


def cpu_share(seed: int, vmid: int, at: float) -> float:
    """Share of its processors that a running guest uses, 1 to 15 %."""
    mean = flow(seed, vmid, "cpu", "use").rate(at)
    return round(0.01 + mean / FASTEST * 0.1, 6)


def running_spans(machine: Machine, now: float) -> list[Span]:
    """When the VM ran, the oldest first, its present run last."""
    spans = [(start, end) for start, end in machine.runs]
    if machine.running:
        spans.append((machine.started_at, now))
    return spans


def overlap(spans: Iterable[Span], start: float, end: float) -> list[Span]:
    """The parts of the spans within an interval."""
    cut = ((max(a, start), min(b, end)) for a, b in spans)
    return [(a, b) for a, b in cut if b > a]


def keep_run(machine: Machine, now: float) -> None:
    """Remember the run that ends now; the oldest are forgotten."""
    if machine.started_at and now > machine.started_at:
        machine.runs.append([machine.started_at, now])
        del machine.runs[:-RUNS_KEPT]
