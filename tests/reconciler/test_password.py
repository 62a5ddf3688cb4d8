"""A reset password: by the agent where it answers, else at the next boot; told, never shown."""

from pathlib import Path

import pytest

from desired.files import FileSource
from desired.spec import VMSpec
from reconciler.password import Asked, PasswordRefused, Reset, reset_password
from reconciler.sim.faults import Fault
from state.secret import Secret
from state.store import Store
from tests.lab import Lab
from tests.laws.fleets import Spec, fleet_files

SPEC: Spec = {
    "memory": "1GiB",
    "agent": True,
    "cloudinit": {"user": "ops", "password": "generate"},
}
AGENT = "/nodes/pve1/qemu/100/agent/set-user-password"


def lab_of(folder: Path, spec: Spec) -> Lab:
    lab = Lab(folder, fleet_files({"a": {"node": "pve1", **spec}}))
    lab.settle()
    lab.clock.sleep(120.0)
    lab.wire.calls.clear()
    return lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A VM with a generated password, whose agent answers."""
    return lab_of(tmp_path, SPEC)


def spec_of(lab: Lab) -> VMSpec:
    with lab.store() as store:
        return FileSource(lab.fleet, b"seed").load(store.bindings.names(), lab.clock.now()).vms["a"]


def reset(lab: Lab, user: str | None = None, secret: str | None = None) -> Reset:
    given = Secret(secret) if secret else None
    with Store.open(lab.where, at=lab.clock.now()) as store:
        asked = Asked("a", user, given, "ann@desk", lab.clock.now())
        return reset_password(store, spec_of(lab), asked, lambda cluster: lab.api())


def kept(lab: Lab, use: str = "password") -> str:
    with lab.store() as store:
        secret = store.vault.reveal("a", use)
        return secret.reveal() if secret else ""


def sent(lab: Lab) -> list[tuple[str, object]]:
    calls = [one for one in lab.wire.writes() if one.path == AGENT]
    return [(str(one.params["username"]), one.params["password"]) for one in calls]


def test_c_06_the_agent_sets_it_now_and_the_next_run_writes_it_for_the_next_boot(lab: Lab) -> None:
    """C-06, C-17: never a reboot, and the run after that has nothing left to do."""
    before = kept(lab)
    assert reset(lab) == Reset("ops", "agent and cloud-init", "password")
    assert kept(lab) != before
    assert len(kept(lab)) == 20
    ((user, password),) = sent(lab)
    assert (user, str(password)) == ("ops", "***")
    assert isinstance(password, Secret)
    assert password.reveal() == kept(lab)
    hashed = lab.world.vms[100].config["cipassword"]
    lab.settle()
    assert lab.world.vms[100].config["cipassword"] != hashed
    assert [one.path.rpartition("/")[2] for one in lab.wire.writes()[1:]] == ["config"]


def test_it_is_delivered_once_more_and_told_with_who_asked(lab: Lab) -> None:
    """C-17: the notice names no password."""
    with Store.open(lab.where, at=lab.clock.now()) as store:
        assert store.vault.shown("a", "password", lab.clock.now())
        assert not store.vault.shown("a", "password", lab.clock.now())
    reset(lab)
    with Store.open(lab.where, at=lab.clock.now()) as store:
        assert store.vault.shown("a", "password", lab.clock.now())
        (event,) = store.outbox.past("password_reset")
    assert event.detail == {"user": "ops", "by": "ann@desk", "way": "agent and cloud-init"}


def test_it_is_no_drift_whatever_the_policy_for_drift(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, {**SPEC, "drift": "alert"})
    reset(lab)
    lab.settle()
    with lab.store() as store:
        assert not [one for one in store.outbox.past("drift")]
        assert not [one for one in store.conditions.all()["a"] if one.type == "Drifted"]
    assert "config" in [one.path.rpartition("/")[2] for one in lab.wire.writes()]


def test_c_06_without_an_agent_it_applies_at_the_next_boot(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, {**SPEC, "agent": False})
    done = reset(lab)
    assert (done.way, "agent" in done.doubt) == ("cloud-init", True)
    lab.settle()
    assert lab.world.vms[100].status == "running"
    assert [one.path.rpartition("/")[2] for one in lab.wire.writes() if not one.error] == ["config"]


def test_c_06_of_a_vm_that_is_off_nobody_asks_the_agent(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, {**SPEC, "power": "stopped"})
    assert reset(lab) == Reset("ops", "cloud-init", "password")
    assert sent(lab) == []


def test_another_user_s_goes_through_the_agent_only(lab: Lab) -> None:
    assert reset(lab, "deploy") == Reset("deploy", "agent", "password:deploy")
    assert sent(lab)[0][0] == "deploy"
    assert kept(lab, "password:deploy") != kept(lab)
    assert lab.run().writes == 0


def test_a_given_password_is_set_and_not_delivered(lab: Lab) -> None:
    reset(lab, secret="correct horse")
    assert kept(lab) == "correct horse"
    with Store.open(lab.where, at=lab.clock.now()) as store:
        assert not store.vault.shown("a", "password", lab.clock.now())


def test_a_drawn_user_is_the_one_that_was_drawn(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, {**SPEC, "cloudinit": {"user": "random", "password": "generate"}})
    assert reset(lab).user == lab.world.vms[100].config["ciuser"]


def test_a_lost_answer_is_said_to_be_one(lab: Lab) -> None:
    lab.simulator.faults.add(Fault("drop-after", method="POST", path=AGENT))
    done = reset(lab)
    assert done.way == "agent and cloud-init"
    assert "the answer was lost" in done.doubt


def test_a_password_that_somebody_set_is_replaced_once_a_person_says_so(tmp_path: Path) -> None:
    """Until then it is left alone: CredentialUnverified."""
    lab = lab_of(tmp_path, {**SPEC, "cloudinit": {"user": "ops"}})
    lab.ask("PUT", "/nodes/pve1/qemu/100/config", cipassword="theirs")
    lab.write(fleet_files({"a": {"node": "pve1", **SPEC}}))
    lab.clock.sleep(20.0)
    lab.settle()
    theirs = lab.world.vms[100].config["cipassword"]
    reset(lab)
    lab.settle()
    assert lab.world.vms[100].config["cipassword"] != theirs
    with lab.store() as store:
        assert [one.type for one in store.conditions.all()["a"]] == ["Ready"]


NO_INIT: Spec = {"memory": "1GiB", "agent": True}
REFUSED: list[tuple[Spec, str | None, str | None, str]] = [
    (NO_INIT, None, None, "whose password?"),
    ({**NO_INIT, "agent": False}, "ops", None, "the guest agent did not set it"),
    ({**NO_INIT, "power": "stopped"}, "ops", None, "is not running"),
    (SPEC, None, "shor", "5 to 1024 characters"),
]


@pytest.mark.parametrize(("spec", "user", "secret", "told"), REFUSED)
def test_what_cannot_be_set_is_refused_in_words(
    tmp_path: Path, spec: Spec, user: str | None, secret: str | None, told: str
) -> None:
    lab = lab_of(tmp_path, spec)
    with pytest.raises(PasswordRefused, match=told.replace("?", r"\?")):
        reset(lab, user, secret)


def test_a_password_that_the_spec_refers_to_is_changed_where_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_PASSWORD", "hunter22")
    given = {"user": "ops", "password": "env:WEB_PASSWORD"}
    lab = lab_of(tmp_path, {**SPEC, "cloudinit": given})
    with pytest.raises(PasswordRefused, match="takes this password from env:WEB_PASSWORD"):
        reset(lab)
    assert reset(lab, "deploy").way == "agent"


def test_a_machine_that_is_not_ours_any_more_is_left_alone(lab: Lab) -> None:
    uuid = "uuid=00000000-0000-4000-8000-000000000000"
    lab.world.vms[100].config["smbios1"] = uuid
    with pytest.raises(PasswordRefused, match="made anew by somebody"):
        reset(lab)
    assert sent(lab) == []


def test_a_vm_that_is_gone_or_not_made_yet_has_none(lab: Lab) -> None:
    del lab.world.vms[100]
    with pytest.raises(PasswordRefused, match="not listed"):
        reset(lab)
    with Store.open(lab.where, at=lab.clock.now()) as store:
        store.bindings.withdraw("a")
    with pytest.raises(PasswordRefused, match="not deployed yet"):
        reset(lab)
