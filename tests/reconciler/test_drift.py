"""Drift: what somebody changed in Proxmox is put back, told of, or left alone, as the spec says."""

from pathlib import Path

import pytest

from desired.files import FileSource
from desired.spec import VMSpec
from reconciler.clock import SystemClock
from reconciler.sim.faults import Fault
from state.store import Store
from tests.lab import Lab

FLEET = """
fleet: law
clusters:
  demo: {endpoints: ["https://unused:8006"], token: {id: reconcile@pve!fleet, secret: "env:X"}}
defaults: {cluster: demo, template: debian-12, storage: local-lvm}
templates: {debian-12: {demo: [9000]}}
"""
VM = "/nodes/pve1/qemu/100"


def lab_of(folder: Path, spec: str) -> Lab:
    lab = Lab(folder, {"fleet.yaml": FLEET, "vms/web.yaml": f"web: {{{spec}}}\n"})
    lab.settle()
    return lab


def rewrite(lab: Lab, spec: str) -> None:
    lab.write({"vms/web.yaml": f"web: {{{spec}}}\n"})


def drifts(lab: Lab) -> list[str]:
    with lab.store() as store:
        return [str(one.detail["text"]) for one in store.outbox.waiting() if one.event == "drift"]


def conditions(lab: Lab) -> dict[str, str]:
    with lab.store() as store:
        return {one.type: one.message for one in store.conditions.all().get("web", ())}


def test_drift_is_put_back_and_told_with_who_made_it(tmp_path: Path) -> None:
    """LOG-03: enforced by default; one event however often it is looked at."""
    lab = lab_of(tmp_path, "cpu: {cores: 2, limit: 1.5}")
    lab.ask("PUT", f"{VM}/config", cpulimit=3)
    lab.run()
    assert lab.world.vms[100].config["cpulimit"] == "1.5"
    assert len(drifts(lab)) == 1
    assert "changed by root@pam at" in drifts(lab)[0]
    lab.settle()
    assert len(drifts(lab)) == 1
    lab.clock.sleep(60)
    lab.ask("PUT", f"{VM}/config", cpulimit=3)
    lab.run()
    assert len(drifts(lab)) == 2


def test_alert_writes_nothing_and_raises_a_condition(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "cpu: {cores: 2, limit: 1.5}, drift: alert")
    lab.ask("PUT", f"{VM}/config", cpulimit=3)
    summary = lab.run()
    assert (summary.writes, summary.ready) == (0, 1)
    assert "by root@pam at" in conditions(lab)["Drifted"]
    lab.run()
    assert len(drifts(lab)) == 1
    lab.ask("PUT", f"{VM}/config", cpulimit=1.5)
    lab.run()
    assert "Drifted" not in conditions(lab)


def test_ignore_says_and_does_nothing(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "cpu: {cores: 2, limit: 1.5}, drift: {cpu: ignore}")
    lab.ask("PUT", f"{VM}/config", cpulimit=3)
    assert lab.run().writes == 0
    assert (drifts(lab), "Drifted" in conditions(lab)) == ([], False)


@pytest.mark.parametrize("policy", ["alert", "ignore"])
def test_an_edit_of_the_spec_is_applied_whatever_the_policy(tmp_path: Path, policy: str) -> None:
    lab = lab_of(tmp_path, f"cpu: {{cores: 2, limit: 1.5}}, drift: {policy}")
    lab.ask("PUT", f"{VM}/config", cpulimit=3)
    rewrite(lab, f"cpu: {{cores: 2, limit: 1}}, drift: {policy}")
    lab.run()
    assert float(lab.world.vms[100].config["cpulimit"]) == 1
    assert drifts(lab) == []


def test_the_policy_of_one_handler_is_not_anothers(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "cpu: {limit: 1.5}, onboot: true, drift: {default: alert, cpu: enforce}")
    lab.ask("PUT", f"{VM}/config", cpulimit=3, onboot=0)
    lab.run()
    assert lab.world.vms[100].config["cpulimit"] == "1.5"
    assert not lab.world.vms[100].config["onboot"]
    assert "onboot" in conditions(lab)["Drifted"]


def test_a_stopped_guest_is_left_alone_under_alert_only(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "drift: {power: alert}")
    lab.ask("POST", f"{VM}/status/stop")
    lab.clock.sleep(30)
    lab.run()
    assert lab.world.vms[100].status == "stopped"
    assert "stopped" in conditions(lab)["Drifted"]
    rewrite(lab, "drift: {}")
    lab.clock.sleep(90)
    lab.settle()
    assert lab.world.vms[100].status == "running"


def test_our_marks_are_put_back_whatever_the_policy(tmp_path: Path) -> None:
    """Design 4: a missing marker of a machine that is known by its uuid is repaired."""
    lab = lab_of(tmp_path, "tags: [a], description: Shop, drift: alert")
    lab.ask("PUT", f"{VM}/config", description="Shop", tags="a")
    lab.run()
    config = lab.world.vms[100].config
    assert "key=web" in str(config["description"])
    assert "reconcile-law" in str(config["tags"])
    lab.ask("PUT", f"{VM}/config", description="Mine", tags="b;reconcile-law")
    lab.run()
    assert str(lab.world.vms[100].config["description"]).startswith("Mine")


def test_a_dry_run_says_who(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "cpu: {cores: 2, limit: 1.5}")
    lab.ask("PUT", f"{VM}/config", cpulimit=3)
    (web,) = lab.dry().vms
    assert [change.drift[:8] for change in web.changes] == ["root@pam"]
    assert drifts(lab) == []


def test_an_applied_spec_of_another_version_makes_everything_an_edit(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "cpu: {limit: 1.5}, drift: alert")
    with Store.open(str(lab.database), at=SystemClock().now()) as store:
        kept = store.applied.of("web")
        assert kept is not None
        broken = kept.document.replace('"cores"', '"kernels"')
        store.applied.put(type(kept)("web", broken, kept.at))
    lab.ask("PUT", f"{VM}/config", cpulimit=3)
    lab.run()
    assert lab.world.vms[100].config["cpulimit"] == "1.5"


def test_a_spec_is_the_same_after_its_way_through_the_store(tmp_path: Path) -> None:
    fleet = FileSource(Path("desired/fleet"), b"seed").load({}, SystemClock().now())
    for spec in fleet.vms.values():
        assert VMSpec.model_validate_json(spec.document()) == spec


@pytest.mark.parametrize("policy", ["enforce", "alert", "ignore"])
def test_an_address_that_the_spec_gives_up_leaves_the_set_as_an_edit(
    tmp_path: Path, policy: str
) -> None:
    """C-26: nobody drifted, so the freed address may not stay in the set under any policy."""
    pool = "p: {network: 203.0.113.0/24, bridge: vmbr0}\n"
    words = f"firewall: {{anti_spoofing: true}}, drift: {policy}"
    nic = "nics: {{net0: {{ipv4: {{pool: p, count: {}}}}}}}"
    vm = f"web: {{{nic.format(2)}, {words}}}\n"
    lab = Lab(tmp_path, {"fleet.yaml": FLEET, "pools/p.yaml": pool, "vms/web.yaml": vm})
    lab.settle()
    rewrite(lab, f"{nic.format(1)}, {words}")
    lab.settle()
    sets = lab.shot()["vms"][100]["firewall"]["ipsets"]
    assert len(sets["ipfilter-net0"]) == 1
    assert drifts(lab) == []


def test_an_edit_that_was_refused_at_first_is_no_drift(tmp_path: Path) -> None:
    lab = lab_of(tmp_path, "drift: alert")
    lab.simulator.faults.add(
        Fault("error-before", method="PUT", path="*/config", status=500, times=1)
    )
    rewrite(lab, "tags: [hot], drift: alert")
    lab.run()
    assert "hot" not in str(lab.world.vms[100].config.get("tags"))
    lab.clock.sleep(3600)
    lab.settle()
    assert "hot" in str(lab.world.vms[100].config.get("tags"))
    assert drifts(lab) == []
