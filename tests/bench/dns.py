"""Zones of many records on every provider: written in the driver's own batches, read back, changed.

BIND and PowerDNS are real, on this machine; Cloudflare and HestiaCP are the tests' doubles, so that
their figures are those of our side alone.
"""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from state.drivers import RRChange, RRset, ZoneDriver
from tests.nameservers import Bind, PowerDNS
from tests.servers.cloudflare import Cloudflare
from tests.servers.hestia import Hestia
from tests.servers.providers import (
    CloudflareDouble,
    Ground,
    HestiaDouble,
    OctoYaml,
    PowerDnsApi,
    Updates,
    driver,
)


@dataclass(frozen=True)
class Pace:
    """Seconds for a zone of `count` records: all created, read, one asked for, a tenth changed."""

    count: int
    create: float
    read: float
    serial: float
    change: float


def grounds(stack: ExitStack) -> Iterator[Ground]:
    """Every provider, each ended with the stack."""
    bind, powerdns = Bind(), PowerDNS()
    cloudflare, hestia = Cloudflare("token"), Hestia("password", "")
    for server in (bind, powerdns, cloudflare, hestia):
        stack.callback(server.close)
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
    yield Updates(bind, "rfc2136-bind")
    yield Updates(powerdns, "rfc2136-powerdns")
    yield PowerDnsApi(powerdns)
    yield CloudflareDouble(cloudflare)
    yield HestiaDouble(hestia)
    yield OctoYaml(folder)


def pace(ground: Ground, count: int) -> Pace:
    """How long a new zone of that many records takes."""
    zone = ground.zone(f"{ground.name}-{count}.bench.test")
    driven = driver(ground, zone)
    wanted = [RRset(f"n{n}.{zone}", "A", 300, frozenset({_address(n)})) for n in range(count)]
    create = _apply(driven, [RRChange(None, one) for one in wanted])
    began = time.perf_counter()
    held = {one for one in driven.read() if one.name != zone}
    read = time.perf_counter() - began
    assert held == set(wanted)
    began = time.perf_counter()
    driven.serial()
    serial = time.perf_counter() - began
    moved = frozenset({"198.51.100.1"})
    changes = [
        RRChange(one, replace(one, values=moved)) for one in wanted[:: 10 if count > 10 else 1]
    ]
    return Pace(count, create, read, serial, _apply(driven, changes) / len(changes))


def _address(n: int) -> str:
    return f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"


def _apply(driven: ZoneDriver, changes: Sequence[RRChange]) -> float:
    size = driven.limits.batch
    began = time.perf_counter()
    for at in range(0, len(changes), size):
        errors = [one.error for one in driven.apply(changes[at : at + size]) if one.error]
        assert not errors, errors[0]
    return time.perf_counter() - began


def lines(sizes: Sequence[int]) -> Iterator[str]:
    """A row for each provider and size."""
    yield "Zones: records per second written and changed, seconds to read, ms for the serial"
    yield f"  {'provider':20}{'records':>9}{'written':>10}{'changed':>10}{'read':>8}{'serial':>8}"
    with ExitStack() as stack:
        for ground in grounds(stack):
            for size in sizes:
                found = pace(ground, size)
                yield (
                    f"  {ground.name:20}{size:>9,}{size / found.create:>10,.0f}"
                    f"{1 / found.change:>10,.0f}{found.read:>8.2f}{1000 * found.serial:>8.1f}"
                )
