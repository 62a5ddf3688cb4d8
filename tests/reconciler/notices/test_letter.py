"""Letters: every kind has one, HTML is escaped, and what a VM is called breaks nothing."""

from dataclasses import replace

import pytest

from desired.letters import SAMPLE
from desired.notices import KINDS, Notices, Told
from reconciler.notices.events import EVENTS
from reconciler.notices.facts import facts
from reconciler.notices.letter import BUILT_IN, BadLetter, letter_of, uses, write
from state.memory import Lease
from state.notices import Notice
from state.secret import Secret
from tests.engine import AT, fleet, spec
from tests.reconciler.notices.post import begun


@pytest.mark.parametrize("kind", KINDS)
def test_note_01_every_kind_has_a_letter_and_an_event(kind: str) -> None:
    """NOTE-01"""
    words = write(kind, SAMPLE, {})
    assert words.subject and words.text.strip() and "<!doctype html>" in words.html
    assert "\n" not in words.subject
    bare = {**SAMPLE, **dict.fromkeys(("addresses", "ipv4", "ipv6"), ())}
    assert write(kind, {**bare, **dict.fromkeys(("user", "package", "text", "node"), "")}, {})
    assert kind in EVENTS.values()


def test_there_is_no_other_letter_than_those() -> None:
    assert {one.name for one in BUILT_IN.glob("*.txt.j2")} == {f"{kind}.txt.j2" for kind in KINDS}


def test_html_is_escaped_and_a_subject_is_one_line() -> None:
    own = {
        "ready.txt.j2": "Subject: {{ name }}\n\n{{ text }}\n",
        "ready.html.j2": "<b>{{ text }}</b>",
    }
    values = {**SAMPLE, "name": "a\r\nBcc: x@y", "text": "<script>"}
    words = write("ready", values, own)
    assert (words.subject, words.text, words.html) == (
        "a",
        "Bcc: x@y\n\n<script>\n",
        "<b>&lt;script&gt;</b>",
    )
    assert "&lt;script&gt;" in write("ready", values, {"ready.txt.j2": own["ready.txt.j2"]}).html


def test_a_letter_that_there_is_not_or_that_fails_is_told() -> None:
    with pytest.raises(BadLetter, match=r"vip\.txt\.j2: there is no such letter"):
        write("vip", SAMPLE, {})
    with pytest.raises(BadLetter, match="ZeroDivisionError"):
        write("vip", SAMPLE, {"vip.txt.j2": "Subject: {{ 1 // 0 }}\n"})
    assert uses("ready", "password", {}) and not uses("welcome", "password", {})


def test_note_01_a_letter_knows_addresses_vmid_server_and_user() -> None:
    """NOTE-01"""
    nic = {"ipv6": {"static": "2001:db8::9/64"}}
    vm = spec("web-1", nics={"net0": nic}, cloudinit={"user": "random"}, domain="example.net")
    made = replace(fleet(vm), notices=Notices(contact="jane@example.org"))
    notice = Notice(
        0, "o", "ready", "vm_ready", "web-1", "mail", "x", AT, {"field": "a", "text": "b"}
    )
    with begun() as store:
        store.leases.take(Lease("web-1", "net0", "ipv4", 0, "192.0.2.9", 29, "v4"))
        assert facts(store, made, notice)["user"] == ""
        store.vault.keep("web-1", "user", Secret("uabcdefg"))
        found = facts(store, made, notice)
    assert found["addresses"] == ["192.0.2.9", "2001:db8::9"]
    assert (found["ipv4"], found["ipv6"]) == (["192.0.2.9"], ["2001:db8::9"])
    assert (found["vmid"], found["node"], found["user"]) == (101, "pve1", "uabcdefg")
    assert (found["fqdn"], found["text"], found["at"]) == (
        "web-1.example.net",
        "a: b",
        "2026-03-01 12:00 UTC",
    )
    assert found.keys() == SAMPLE.keys()


def test_of_a_vm_that_is_gone_its_event_tells() -> None:
    detail = {"vmid": 77, "name": "old", "addresses": ["192.0.2.1"], "node": "pve3"}
    notice = Notice(0, "o", "failure", "terminate_failed", "old-1", "mail", "x", AT, detail)  # type: ignore[arg-type]
    with begun() as store:
        found = facts(store, fleet(spec("web-1")), notice)
        rollout = facts(store, fleet(spec("web-1")), replace(notice, key="", detail={}))
    assert (found["vmid"], found["name"], found["addresses"], found["node"]) == (
        77,
        "old",
        ["192.0.2.1"],
        "pve3",
    )
    assert (rollout["vm"], rollout["name"], rollout["vmid"]) == ("", "", 0)


def test_where_the_fleets_letter_cannot_be_read_that_of_the_program_goes() -> None:
    told = Told.model_validate({"templates": {"ready": "vip", "drift": "failure"}})
    assert letter_of(told, "ready", {"vip.txt.j2": "Subject: x"}) == "vip"
    assert letter_of(told, "ready", {"vip.txt.j2": ""}) == letter_of(told, "ready", {}) == "ready"
    assert letter_of(told, "drift", {}) == "failure"
    assert "is ready" in write("ready", SAMPLE, {"ready.txt.j2": ""}).subject
