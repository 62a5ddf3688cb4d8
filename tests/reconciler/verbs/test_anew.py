"""A VM that is made anew: what it keeps, what it loses, and that a crash makes no difference."""

from pathlib import Path

from state.memory import Phase
from tests.lab import Lab
from tests.laws.fleets import Spec, everything, fleet_files
from tests.verbs import asked, open_verbs, phase, results

PLAIN: Spec = {"memory": "1GiB", "nics": {"net0": {"ipv4": {"pool": "public-v4"}}}}


def macs(lab: Lab, vmid: int = 100) -> dict[str, str]:
    """The MAC of each NIC."""
    config = lab.world.vms[vmid].config
    nics = {key: str(value) for key, value in config.items() if key.startswith("net")}
    return {key: value.split(",")[0].split("=")[1] for key, value in nics.items()}


def uuid(lab: Lab, vmid: int = 100) -> str:
    return str(lab.world.vms[vmid].config["smbios1"])


def addresses(lab: Lab, key: str) -> list[str]:
    with lab.store() as store:
        return sorted(lease.address for lease in store.memories([key])[key].leases)


def free(files: dict[str, str]) -> dict[str, str]:
    """The files of a fleet in which every VM may be destroyed without approval."""
    return {**files, "fleet.yaml": files["fleet.yaml"] + "guard: {destroys: 100%}\n"}


def deployed(folder: Path, spec: Spec) -> Lab:
    lab = Lab(folder, free(fleet_files({"a": spec})))
    lab.settle()
    lab.wire.calls.clear()
    return lab


def deployed_everything(folder: Path) -> Lab:
    lab = Lab(folder, free(everything()))
    lab.settle()
    lab.wire.calls.clear()
    return lab


def test_dep_28_a_reinstall_keeps_vmid_addresses_and_macs(tmp_path: Path) -> None:
    lab = deployed_everything(tmp_path)
    world, before = lab.shot(), (macs(lab), uuid(lab), addresses(lab, "all-1"))
    with lab.store() as store:
        password = store.vault.reveal("all-1", "password")
    asked(lab, "snapshot", "gone-then", key="all-1")
    lab.settle()
    asked(lab, "reinstall", "t1", key="all-1")
    lab.settle()
    assert lab.shot() == world
    assert macs(lab) == before[0]
    assert addresses(lab, "all-1") == before[2]
    assert uuid(lab) != before[1]
    assert lab.world.vms[100].snapshots == {}
    with lab.store() as store:
        binding = store.bindings.of("all-1")
        assert binding is not None and binding.uuid in uuid(lab)
        assert store.vault.reveal("all-1", "password") != password
        assert [one.event for one in store.outbox.past("vm_reinstalled")] == ["vm_reinstalled"]
    assert results(lab, "all-1")["reinstall t1"] == "done"
    assert open_verbs(lab, "all-1") == []


def test_dep_28_backups_outlive_a_reinstall_and_no_policy_removes_them(tmp_path: Path) -> None:
    lab = deployed(tmp_path, {**PLAIN, "terminate": {"grace": "7d", "backups": "delete"}})
    node = lab.world.vms[100].node
    lab.ask("POST", f"/nodes/{node}/vzdump", vmid=100, storage="local", mode="stop")
    lab.clock.sleep(600.0)
    lab.settle()
    asked(lab, "reinstall")
    lab.settle()
    backups = lab.ask("GET", f"/nodes/{node}/storage/local/content", content="backup")
    assert isinstance(backups, list)
    assert len(backups) == 1
    assert results(lab) == {"reinstall t1": "done"}


def test_a_suspended_vm_is_reinstalled_and_stays_off(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    asked(lab, "suspend")
    lab.settle()
    asked(lab, "reinstall", "t2")
    lab.settle()
    assert (lab.world.vms[100].status, phase(lab)) == ("stopped", Phase.SUSPENDED)
    asked(lab, "resume", "t3")
    lab.settle()
    assert (lab.world.vms[100].status, phase(lab)) == ("running", Phase.READY)


def test_dep_28_a_locked_vm_is_not_reinstalled(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    lab.world.vms[100].config["lock"] = "backup"
    asked(lab, "reinstall")
    before = uuid(lab)
    for _ in range(3):
        lab.run()
        lab.clock.sleep(60.0)
    assert uuid(lab) == before
    assert lab.wire.writes() == []


def test_dep_09_a_redeploy_makes_another_machine_with_fresh_addresses(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    before = uuid(lab)
    asked(lab, "redeploy")
    lab.settle()
    lab.settle()
    assert phase(lab) is Phase.READY
    with lab.store() as store:
        binding = store.bindings.of("a")
        assert binding is not None
        # What it went through before is cleared; the end itself is the first of the new story.
        actions = [run.action for run in store.journal.vm_runs("a", 10)]
        assert actions == ["deploy", "terminate"]
    assert uuid(lab, binding.vmid) != before
    assert results(lab) == {"redeploy t1": "done"}


def test_a_dry_run_shows_what_a_reinstall_destroys(tmp_path: Path) -> None:
    lab = deployed(tmp_path, PLAIN)
    lab.write({"vms/all.yaml": "a: {memory: 1GiB, do: {reinstall: again}}\n"})
    before = lab.bytes()
    planned = lab.dry().vms[0]
    assert any(str(change.effect) == "destroy" for change in planned.changes)
    assert lab.bytes() == before


def test_a_move_is_not_told_as_done_while_a_reinstall_bars_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path, fleet_files({"a": PLAIN}))
    lab.settle()
    asked(lab, "move", "t1", node="nowhere")
    asked(lab, "reinstall", "t1")
    lab.run()
    assert results(lab)["move t1"] == "open"
    with lab.store() as store:
        assert store.outbox.past("vm_moved") == ()
