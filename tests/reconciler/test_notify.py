"""Word to systemd: datagrams to the socket that it names, and to none where it names none."""

import socket
from pathlib import Path

import pytest

from reconciler.notify import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, socket.socket]:
    """The address that systemd would hand over, and its end of the line."""
    abstract = request.param == "abstract"
    name = f"reconcile-{tmp_path.name}-{id(tmp_path)}" if abstract else str(tmp_path / "notify")
    link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    link.bind(f"\0{name}" if abstract else name)
    link.settimeout(5)
    request.addfinalizer(link.close)
    return (f"@{name}" if abstract else name), link


def test_each_field_is_a_line_of_one_datagram(manager: tuple[str, socket.socket]) -> None:
    address, link = manager
    Notifier.of({"NOTIFY_SOCKET": address}, 7).tell(READY="1", STATUS="2 of 3\nVMs ready")
    assert link.recv(4096) == b"READY=1\nSTATUS=2 of 3 VMs ready"


def test_the_watchdog_is_answered_thrice_in_its_time_and_not_at_every_step(
    manager: tuple[str, socket.socket],
) -> None:
    address, link = manager
    clock = [0.0]
    notify = Notifier(address, 30.0, lambda: clock[0])
    assert notify.every == 10.0
    for clock[0] in (0.0, 1.0, 4.9, 5.0, 6.0, 10.0):
        notify.alive()
    link.setblocking(False)
    answers = []
    while True:
        try:
            answers.append(link.recv(4096))
        except BlockingIOError:
            break
    assert answers == [b"WATCHDOG=1"] * 3


def test_a_watchdog_is_ours_only_if_it_names_us() -> None:
    environ = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}
    assert Notifier.of(environ, 8).watchdog == 30.0
    assert Notifier.of(environ, 7).watchdog is None
    assert Notifier.of({"WATCHDOG_USEC": "soon"}, 7).watchdog is None


def test_without_systemd_nothing_is_sent_and_nothing_fails(tmp_path: Path) -> None:
    Notifier.of({}, 7).tell(READY="1")
    Notifier(str(tmp_path / "gone"), 30.0).alive()
