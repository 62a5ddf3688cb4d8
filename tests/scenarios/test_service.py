"""`reconcile run` as a process of its own: signals, standby, word to systemd, on both stores."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import pytest

from tests.grounds import ROOT, Grounds

Open = Callable[..., Grounds]
VMS = "web-1: {node: pve1, memory: 1GiB}\nweb-2: {node: pve2, memory: 1GiB}\n"
PATIENCE = 60.0


class Manager:
    """The socket that systemd would listen at; what was said is waited for, never polled."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._link.bind(self.address)
        self._link.settimeout(PATIENCE)
        self.heard: list[str] = []

    def until(self, words: str) -> list[str]:
        """Wait for a datagram with these words; return all that was said by then."""
        while not any(words in one for one in self.heard):
            self.heard.append(self._link.recv(65536).decode())
        return self.heard

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()


class Services:
    """Services over one fleet, each with a manager; all are ended with the test."""

    def __init__(self, grounds: Grounds, folder: Path, stack: ExitStack) -> None:
        self.grounds, self.folder, self.stack = grounds, folder, stack
        self.count = 0

    def start(self, *words: str) -> tuple["subprocess.Popen[str]", Manager]:
        self.count += 1
        manager = self.stack.enter_context(Manager(self.folder / f"notify-{self.count}"))
        environ = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "30000000"}
        line = self.grounds.words("run", "--interval", "1s", *words)
        process = subprocess.Popen(
            ["env", *(f"{name}={value}" for name, value in environ.items()), *line],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.stack.callback(_ended, process)
        return process, manager


def _ended(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@pytest.fixture
def services(scene: Open, tmp_path: Path) -> Iterator[Services]:
    with ExitStack() as stack:
        yield Services(scene(VMS), tmp_path, stack)


def test_a_service_makes_the_fleet_and_a_standby_takes_over(services: Services) -> None:
    first, manager = services.start("--output", "json")
    manager.until("2 of 2 VMs ready")
    assert manager.heard[0] == "READY=1\nSTATUS=started"
    second, other = services.start()
    other.until("standing by: pid ")
    once = services.grounds.cli("--once")
    assert (once.returncode, "another run is at work: pid" in once.stderr) == (75, True)

    first.send_signal(signal.SIGTERM)
    events, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 0
    manager.until("STOPPING=1")
    told = [json.loads(line) for line in events.splitlines()]
    assert told[-1]["text"] == "stopped, as told; the next run goes on from here"
    done = [one for one in told if one["event"] == "run_done"]
    assert done[0]["summary"]["ready"] == 2

    other.until("2 of 2 VMs ready")
    services.grounds.write({"vms/vms.yaml": VMS + "web-3: {node: pve3, memory: 1GiB}\n"})
    second.send_signal(signal.SIGHUP)
    other.until("3 of 3 VMs ready")
    assert any(one == "WATCHDOG=1" for one in other.heard)
    second.send_signal(signal.SIGINT)
    lines, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 0
    assert ' note text="the other runner has gone: this one goes on"' in lines
    assert " info run number=" in lines


def test_a_stop_amid_a_task_leaves_it_to_the_next_run(services: Services) -> None:
    """The clone goes on in Proxmox; nobody waits for it, and nobody makes it twice."""
    services.grounds.fault("task-hang", task="qmclone")
    process, _ = services.start("--output", "json", "--verbose")
    assert process.stdout is not None
    clones = 0
    for line in process.stdout:
        event = json.loads(line)
        clones += event["event"] == "request" and event["path"].endswith("/clone")
        if clones == 2:
            break
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert (process.returncode, time.monotonic() - began < 20) == (0, True)
    with services.grounds.store() as store:
        assert sorted(store.tasks.all()) == ["web-1", "web-2"]
        assert store.journal.runs(1)[0].finished_at is not None


def test_a_second_signal_ends_it_at_once_though_a_call_hangs(services: Services) -> None:
    services.grounds.fault("latency", seconds=9, path="/cluster/resources")
    process, _ = services.start("--output", "json", "--verbose")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "request":
            break
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    while _catches(process.pid, signal.SIGTERM):
        assert time.monotonic() - began < 5
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == -signal.SIGTERM
    assert time.monotonic() - began < 6


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler of its own for the signal, as the kernel tells it."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
