"""`kill -9` between sending and the note that it was sent: real processes, real servers."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from state.notices import Notice
from state.store import Store
from tests.engine import AT
from tests.servers.mail import MailServer
from tests.servers.web import Asked, Told, Web

RUN = "from reconciler.cli import main; raise SystemExit(main())"
FLEET = """\
fleet: demo
clusters: {demo: {simulated: {nodes: 1}}}
templates: {debian: {demo: [9000]}}
notices: {contact: jane@example.org, channels: {way: CHANNEL}}
"""


def made(folder: Path, channel: str) -> str:
    """A fleet and a store with one event to be told; where the store lies."""
    (folder / "vms").mkdir()
    (folder / "fleet.yaml").write_text(FLEET.replace("CHANNEL", channel))
    (folder / "vms" / "web.yaml").write_text("web-1: {cluster: demo, template: debian}\n")
    place = str(folder / "store.db")
    with Store.open(place, at=AT) as store:
        store.notices.begin(AT)
        from reconciler.cli.opening import now

        store.outbox.add("vm_ready", "web-1", now(), {})
    return place


def start(folder: Path, place: str) -> subprocess.Popen[bytes]:
    """`reconcile job run notices`"""
    words = ["--fleet", str(folder), "--database", place, "job", "run", "notices"]
    return subprocess.Popen([sys.executable, "-c", RUN, *words], stdout=subprocess.PIPE)


def end(child: subprocess.Popen[bytes]) -> int:
    child.communicate(timeout=60)
    return child.returncode


def only(place: str) -> Notice:
    with Store.preview(place, at=AT) as store:
        (one,) = store.notices.newest(9)
    return one


def test_note_01_a_mail_that_was_handed_over_is_never_sent_twice(tmp_path: Path) -> None:
    """NOTE-01: nobody can say whether it arrived, so a person decides."""
    with MailServer(tmp_path) as server:
        way = "{mail: {host: 127.0.0.1, port: %d, tls: none, from: vps@example.net}}"
        place = made(tmp_path, way % server.port)
        child = start(tmp_path, place)
        server.post.meanwhile = lambda: os.kill(child.pid, signal.SIGKILL)
        assert end(child) == -signal.SIGKILL
        assert only(place).state == "handing"
        server.post.meanwhile = lambda: None
        assert end(start(tmp_path, place)) == 1
        assert only(place).state == "held"
        assert end(start(tmp_path, place)) == 0
    assert len(server.post.mails) == 1


def test_note_01_a_webhook_is_repeated_with_the_same_key(tmp_path: Path) -> None:
    """NOTE-01: at least once, and whoever heeds the key takes it once."""
    with closing(Web(lambda asked: Told(200))) as web:
        place = made(tmp_path, "{webhook: {url: '%s'}}" % web.url)  # noqa: UP031
        child = start(tmp_path, place)

        def kill(asked: Asked) -> None:
            os.kill(child.pid, signal.SIGKILL)

        web.before = kill
        assert end(child) == -signal.SIGKILL
        assert only(place).state == "claimed"
        web.before = lambda asked: None
        assert end(start(tmp_path, place)) == 0
        assert end(start(tmp_path, place)) == 0
        assert only(place).state == "sent"
        keys = [asked.headers["idempotency-key"] for asked in web.asked]
    assert len(keys) == 2 and keys[0] == keys[1]
