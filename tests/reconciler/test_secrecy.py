"""No secret ever shows: not in a plan, a line, the journal, a log, an error, or the database."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.approval import ApprovalRefused
from reconciler.show.events import JsonReporter
from reconciler.show.plan import plan_json, render_plan
from reconciler.show.run import TextReporter
from reconciler.show.text import Paint
from reconciler.sim.faults import Fault
from state.change import Call
from tests.lab import Lab
from tests.laws.fleets import EVERYTHING, Spec, fleet_files

REFERRED = "correct horse battery staple"
VMS: dict[str, Spec] = {
    "generated": {**EVERYTHING, "cloudinit": {"user": "random", "password": "generate"}},
    "referred": {"node": "pve1", "cloudinit": {"user": "ops", "password": "env:REFERRED_1"}},
}


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("REFERRED_1", REFERRED)
    yield Lab(tmp_path, fleet_files(VMS))


def secrets(lab: Lab) -> list[str]:
    """What must not show: the referred password and the generated one (once there is one)."""
    with lab.store() as store:
        made = store.vault.reveal("generated", "password")
    return [REFERRED] + ([made.reveal()] if made else [])


def shown(lab: Lab, caplog: pytest.LogCaptureFixture) -> str:
    """Everything that the last run said, in every form."""
    lines: list[str] = []
    for reporter in (
        TextReporter(lines.append, Paint(), verbose=True),
        JsonReporter(lines.append, verbose=True),
    ):
        reporter.report(*lab.told.events)
    return "\n".join([*lines, repr(lab.told.events), caplog.text])


def hidden(text: str, lab: Lab) -> bool:
    return not any(secret in text for secret in secrets(lab))


def test_a_run_tells_no_secret(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """C-17, LOG-05: lines, JSON, trace and logs, at their most talkative."""
    with caplog.at_level(logging.DEBUG):
        assert lab.run().ready == 2
    assert len(secrets(lab)) == 2
    assert hidden(shown(lab, caplog), lab)


def test_a_plan_tells_no_secret(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-17: nor do the calls that it would send, neither the old password nor the new one."""
    lab.settle()
    monkeypatch.setenv("REFERRED_1", "another secret that is new")
    dry = lab.dry()
    text = render_plan(dry, Paint(), verbose=True) + json.dumps(plan_json(dry)) + repr(dry)
    assert "cipassword=***" in text
    assert hidden(text, lab)
    assert "another secret" not in text


def test_the_database_holds_no_secret_in_clear(lab: Lab) -> None:
    """C-17: every file beside the store, its log and key included."""
    lab.settle()
    for name, content in lab.bytes().items():
        assert not any(one.encode() in content for one in secrets(lab)), name


def test_what_is_remembered_of_a_refused_password_does_not_quote_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C-17: what Proxmox says of it may."""
    lab.settle()
    lab.clock.sleep(60)
    monkeypatch.setenv("REFERRED_1", "another secret")
    text = "cipassword: another secret: too long"
    refuse = Fault("error-before", method="PUT", path="/nodes/pve1/*/config", status=400, text=text)
    lab.simulator.faults.add(refuse)
    assert lab.run().failed == 1
    with lab.store() as store:
        kept = repr([[store.journal.vm_runs(key), store.attempts.of(key)] for key in VMS])
        kept += repr(store.conditions.all())
    assert "cipassword: ***: too long" in kept
    assert "another secret" not in kept + repr(lab.told.events)


def test_a_call_prints_its_secrets_masked(lab: Lab) -> None:
    sent: list[Call] = []

    def watch(call: Call) -> bool:
        sent.append(call)
        return False

    lab.wire.meanwhile = watch
    lab.run()
    carrying = [call for call in sent if "cipassword" in call.params]
    assert len(carrying) == 2
    assert hidden(" ".join(map(str, sent)) + repr(sent), lab)


def test_a_digest_can_be_refused_without_telling_anything(lab: Lab) -> None:
    lab.settle()
    with pytest.raises(ApprovalRefused) as refused:
        lab.run(approve="0123456789abcdef")
    assert "nothing needs approval now" in str(refused.value)
    assert hidden(str(refused.value), lab)
