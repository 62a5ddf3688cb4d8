"""The simulated cluster as a server: 10,000 VMs, several clients, one core of its own."""

import http.client
import multiprocessing
import os
import ssl
import time
from dataclasses import dataclass
from pathlib import Path

from reconciler.sim.embedded import Embedded
from reconciler.sim.launch import DEMO_SECRET, FLEET_TOKEN, FLEET_USER, ServeOptions

VMS = 10_000
CLIENTS = 4
SECONDS = 4.0
FIRST = 10_000
"""The id of the first foreign VM of a demo cluster."""

HEADERS = {"Authorization": f"PVEAPIToken={FLEET_USER}!{FLEET_TOKEN}={DEMO_SECRET}"}
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Served:
    """What a served cluster took: seconds until it answered, requests a second of its own
    processor time, MiB at its peak, its processor's seconds for a list of all VMs and for the next
    one."""

    start: float
    reads: float
    mebibytes: float
    first_list: float
    next_list: float


def _connect(port: int) -> http.client.HTTPSConnection:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)


def _read(connection: http.client.HTTPSConnection, path: str) -> int:
    connection.request("GET", f"/api2/json{path}", headers=HEADERS)
    answer = connection.getresponse()
    size = len(answer.read())
    assert answer.status == 200, (path, answer.status)
    return size


def _load(port: int, nodes: int, vms: int, offset: int, seconds: float) -> int:
    """Read one config after another for so long, one at least; how many."""
    connection, count = _connect(port), 0
    until = time.monotonic() + seconds
    while not count or time.monotonic() < until:
        number = (offset + count * 7) % vms
        _read(connection, f"/nodes/pve{number % nodes + 1}/qemu/{FIRST + number}/config")
        count += 1
    connection.close()
    return count


def _processor(pid: int) -> float:
    """Seconds of the processor that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def _peak(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def measure(vms: int, seconds: float) -> Served:
    """Serve that many VMs without limits and have them read by several processes."""
    began = time.monotonic()
    with Embedded(ServeOptions(vms=vms, http_limits="off")) as child:
        _read(connection := _connect(child.port), "/version")
        start = time.monotonic() - began
        before = _processor(child.child.pid)
        jobs = [(child.port, 3, vms, n * 997, seconds) for n in range(CLIENTS)]
        with multiprocessing.get_context("spawn").Pool(CLIENTS) as pool:
            count = sum(pool.starmap(_load, jobs))
        # a few reads may take less than the kernel counts
        spent = max(_processor(child.child.pid) - before, 1 / CLOCK_TICKS)
        lists = []
        for _ in range(2):
            asked = _processor(child.child.pid)
            _read(connection, "/cluster/resources?type=vm")
            lists.append(_processor(child.child.pid) - asked)
        connection.close()
        peak = _peak(child.child.pid)
    return Served(start, count / spent, peak, lists[0], lists[1])
