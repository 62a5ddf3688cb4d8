"""Notices from a spec to a mailbox: the whole engine, a simulated cluster, a real mail server."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.notices.sending import notices
from state.change import Call
from state.memory import Phase
from state.store import Store
from tests.lab import Killed
from tests.laws.fleets import FLEET, POOLS
from tests.reconciler.loops.jobs import LoopLab
from tests.servers.mail import MailServer, text_of

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


def rounds(lab: LoopLab, most: int = 8) -> None:
    """Run as cron does, until there is nothing left to do."""
    for _ in range(most):
        summary = lab.due(notices()).summary
        lab.clock.sleep(60)
        if summary and summary.ready == summary.vms and not summary.writes:
            break
    lab.due(notices())


def test_note_01_dep_25_a_new_vm_is_welcomed_and_told_ready_once(
    lab: LoopLab, server: MailServer
) -> None:
    """NOTE-01, DEP-25, C-17"""
    rounds(lab)
    assert subjects(server) == ["Your server web-1 has been ordered", "Your server web-1 is ready"]
    welcome, ready = server.post.mails
    assert welcome["To"] == "jane@example.org"
    text = text_of(ready)
    assert "203.0.113." in text and "User:      ops" in text and "on pve1" in text
    with lab.store() as store:
        secret = store.vault.reveal("web-1", "password")
        assert secret is not None and f"Password:  {secret.reveal()}" in text
        assert {one.state for one in store.notices.newest(9)} == {"sent"}


def test_cp_14_a_change_is_told_once_it_is_done(lab: LoopLab, server: MailServer) -> None:
    """CP-14, and what others change is told to who runs it."""
    rounds(lab)
    lab.write({"vms/web.yaml": VM.replace("1GiB", "2GiB") + "  restart: allow\n"})
    rounds(lab)
    assert subjects(server)[2:] == ["Your server web-1 was changed"]
    with lab.store() as store:
        binding = store.bindings.all()["web-1"]
    lab.ask("PUT", f"/nodes/pve1/qemu/{binding.vmid}/config", tags="foreign")
    lab.ask("PUT", f"/nodes/pve1/qemu/{binding.vmid}/config", onboot=1, cores=2)
    rounds(lab, 3)
    assert len(subjects(server)) == 3


def test_a_vm_that_is_to_be_destroyed_is_announced(lab: LoopLab, server: MailServer) -> None:
    lab.write({"fleet.yaml": fleet_of(server, "guard: {destroys: 100%, restarts: 100%}\n")})
    rounds(lab)
    gone = "web-1: {state: absent, terminate: {grace: 7d}, notices: {contact: boss@example.org}}\n"
    lab.write({"vms/web.yaml": gone})
    rounds(lab)
    mail = server.post.mails[-1]
    assert mail["Subject"] == "Your server web-1 will be deleted"
    assert mail["To"] == "boss@example.org"
    assert len(server.post.mails) == 3


def test_of_what_was_before_nobody_is_told(
    tmp_path: Path, server: MailServer, lab: LoopLab
) -> None:
    """Notices begin when the first channel is named."""
    lab.write({"fleet.yaml": FLEET})
    rounds(lab)
    lab.write({"fleet.yaml": fleet_of(server)})
    rounds(lab, 3)
    assert server.post.mails == []
    lab.write({"vms/more.yaml": VM.replace("web-1", "web-2")})
    rounds(lab)
    assert len(server.post.mails) == 2


@pytest.mark.parametrize("call", [0, 7, 12])
def test_dep_25_a_kill_welcomes_nobody_twice(lab: LoopLab, server: MailServer, call: int) -> None:
    """DEP-25, NOTE-01"""
    with suppress(Killed):
        lab.run(after=call)
    rounds(lab)
    assert subjects(server) == ["Your server web-1 has been ordered", "Your server web-1 is ready"]


def test_a_mail_server_that_is_away_holds_no_vm_back(lab: LoopLab, server: MailServer) -> None:
    server.post.rcpt = lambda address: "421 going down"
    rounds(lab)
    with lab.store() as store:
        assert store.bindings.all()["web-1"].phase is Phase.READY
        assert store.attempts.of("channel/mail").keys() == {"notices.channel"}
    server.post.rcpt = lambda address: "250 OK"
    lab.clock.sleep(7200)
    rounds(lab, 2)
    assert len(server.post.mails) == 2


def test_without_a_channel_the_loop_has_nothing_to_do(lab: LoopLab) -> None:
    lab.write({"fleet.yaml": FLEET})
    assert "notices" not in lab.due(notices()).results
    assert lab.one(notices()).status == "skipped"


def test_a_dry_run_says_how_many_wait(lab: LoopLab, server: MailServer) -> None:
    server.post.rcpt = lambda address: "450 later"
    lab.due(notices())
    lab.due(notices())
    assert lab.preview(notices()).message == "2 notices waiting"
    assert server.post.mails == []


def test_q_06_dns_11_the_loop_keeps_the_tickets(lab: LoopLab, server: MailServer) -> None:
    """Q-06, DNS-11"""
    tickets = "  tickets: {channel: mail, to: desk@example.org}\n"
    lab.write({"fleet.yaml": fleet_of(server, tickets)})
    rounds(lab)
    at = lab.clock.now()
    with Store.open(lab.where, at=at) as store:
        detail = {"address": "192.0.2.9", "name": "web-1.example.net", "department": "network"}
        store.outbox.add("rdns_ticket", "web-1", at, detail)
        store.outbox.add("vm_changed", "web-1", at - timedelta(days=4), {})
        store.outbox.add("drift", "web-1", at, {"field": "memory", "text": "1 GiB"})
    server.post.rcpt = lambda to: "550 no" if to == "ops@example.org" else "250 OK"
    result = lab.one(notices())
    assert result.status == "error"
    assert result.message == (
        "1 notice sent, 1 not delivered, 1 event too old to be told, 1 ticket opened, 0 closed"
    )
    assert server.post.mails[-1]["To"] == "desk@example.org"


def test_dep_25_the_welcome_is_sent_before_anything_is_made(
    lab: LoopLab, server: MailServer
) -> None:
    """DEP-25: by the very first run that has a channel, too, whatever kills it then."""
    made: list[int] = []

    def rcpt(address: str) -> str:
        made.append(len(lab.wire.writes()))
        return "250 OK"

    server.post.rcpt = rcpt
    lab.due(notices())
    assert subjects(server)[0] == "Your server web-1 has been ordered"
    assert made[0] == 0


def test_a_mail_server_that_dawdles_holds_no_vm_up(
    lab: LoopLab, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The welcome is under way until the VM's first call has been sent, which does not wait."""
    monkeypatch.setattr("reconciler.notices.greet.MOMENT", 0.01)
    written, heard = threading.Event(), list[bool]()

    def rcpt(address: str) -> str:
        heard.append(written.wait(9))
        return "250 OK"

    def meanwhile(call: Call) -> bool:
        written.set()
        return True

    server.post.rcpt = rcpt
    lab.wire.meanwhile = meanwhile
    lab.due(notices())
    assert heard[0]
    assert subjects(server)[0] == "Your server web-1 has been ordered"
