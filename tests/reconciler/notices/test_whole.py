"""Notices from a spec to a mailbox: the whole engine, a simulated cluster, a real mail server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.notices.sending import notices
from tests.lab import Lab
from tests.laws.fleets import FLEET, POOLS
from tests.reconciler.loops.jobs import LoopLab
from tests.servers.mail import MailServer

VM = """\
web-1:
  node: pve1
  memory: 1GiB
  nics: {net0: {ipv4: {pool: public-v4}}}
  cloudinit: {user: ops, password: generate}
"""


def fleet_of(server: MailServer, more: str = "") -> str:
    return (
        f"{FLEET}notices:\n  contact: jane@example.org\n  owner: ops@example.org\n"
        "  password: true\n  channels:\n"
        f"    mail: {{mail: {{host: 127.0.0.1, port: {server.port}, tls: none,"
        ' from: "VPS <vps@example.net>"}}\n' + more
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MailServer]:
    with MailServer(tmp_path) as running:
        yield running


@pytest.fixture
def lab(tmp_path: Path, server: MailServer) -> LoopLab:
    files = {"fleet.yaml": fleet_of(server), "pools/v4.yaml": POOLS, "vms/web.yaml": VM}
    return LoopLab(tmp_path, files)


def subjects(server: MailServer) -> list[str]:
    return [str(mail["Subject"]) for mail in server.post.mails]


def rounds(lab: Lab, count: int = 8) -> None:
    assert isinstance(lab, LoopLab)
    for _ in range(count):
        lab.due(notices())
        lab.clock.sleep(60)


def test_note_01_dep_25_a_new_vm_is_welcomed_and_told_ready_once(
    lab: LoopLab, server: MailServer
) -> None:
    """NOTE-01, DEP-25, C-17"""
    rounds(lab)
    assert subjects(server) == ["Your server web-1 has been ordered", "Your server web-1 is ready"]
    welcome, ready = server.post.mails
    assert welcome["To"] == "jane@example.org"
    text = ready.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "203.0.113." in text and "User:      ops" in text
    with lab.store() as store:
        secret = store.vault.reveal("web-1", "password")
        assert secret is not None and f"Password:  {secret.reveal()}" in text
        assert {one.state for one in store.notices.newest(9)} == {"sent"}
