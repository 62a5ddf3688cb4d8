"""What a person sees of a VM: its last failure, its states, and its spec beside Proxmox."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from desired.files import FileSource
from reconciler.behaviour import BEHAVIOURS
from reconciler.compare import Comparison, compare
from reconciler.config import open_preview
from reconciler.pipeline import CHANGE, DEPLOY
from reconciler.show.compare import render_comparison
from reconciler.show.text import Paint
from reconciler.sim.faults import Fault
from reconciler.status import fleet_status
from state.memory import Phase
from state.store import Store
from tests.lab import Lab, Told
from tests.laws.fleets import Spec, fleet_files
from tests.scenarios.conftest import Open
from tests.scenarios.test_change_package import SMALL, VM, made

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SEEN: Spec = {**SMALL, "disks": {"system": {"size": "10GiB", "mbps_rd": 100}}, "restart": "never"}


@pytest.fixture(scope="module", autouse=True)
def stores() -> str:
    """These scenes are about the cluster; one kind of store will do."""
    return "sqlite"


def compared(lab: Lab) -> Comparison:
    lab.wire.next_run()
    return compare(lab._options(), "a", Told(), lab.clock, lab._opening(open_preview))


def cells(found: Comparison) -> dict[str, tuple[str, str, str]]:
    return {row.field: (row.spec, row.live, row.pending) for row in found.rows}


def test_log_08_the_spec_stands_beside_what_runs_and_what_waits(tmp_path: Path) -> None:
    """LOG-08: disks, limits and NICs; remote status and lock beside the local status."""
    lab = made(tmp_path, {**SEEN, "nics": {"net0": {"rate": "12.5MB/s"}}})
    lab.write(fleet_files({"a": {**SEEN, "memory": "2GiB", "cpu": {"cores": 3}}}))
    lab.run()
    lab.ask("PUT", f"{VM}/config", delete="cores")
    lab.world.vms[100].config["lock"] = "backup"
    lab.clock.sleep(60.0)
    found = compared(lab)
    assert lab.wire.writes(lab.wire.run) == []
    assert (found.status.state, found.remote, found.lock) == ("ready", "running", "backup")
    shown = cells(found)
    assert shown["memory"] == ("2 GiB", "1 GiB", "2 GiB")
    assert shown["disks.system.size"] == ("10 GiB", "10 GiB", "")
    assert shown["disks.system.mbps_rd"] == ("100 MB/s", "100 MB/s", "")
    assert shown["nics.net0.rate"] == ("-", "12.5 MB/s", "")
    assert shown["nics.net0.link"][1] == "up"
    text = render_comparison(found, Paint()).splitlines()
    assert text[1] == "local     ready (phase ready)"
    assert text[2].startswith("remote    running since ") and text[2].endswith("locked (backup)")
    marked = [line.split()[0] for line in text if line.endswith("<")]
    assert marked == ["cpu.cores", "memory"]


def test_log_08_devices_are_shown_where_the_spec_has_them(tmp_path: Path) -> None:
    """LOG-08: and `q35` is any version of it, as the handler has it."""
    lab = made(tmp_path, {**SEEN, "bios": "ovmf", "machine": "q35", "efi": {}, "iso": "none"})
    lab.world.vms[100].config["machine"] = "pc-q35-9.0"
    lab.world.vms[100].config["agent"] = "1"
    shown = cells(compared(lab))
    assert shown["bios"] == ("ovmf", "ovmf", "")
    assert shown["machine"] == ("pc-q35-9.0", "pc-q35-9.0", "")
    assert "agent" not in shown and "iso.state" not in shown


def test_log_08_a_leased_address_is_no_difference(tmp_path: Path) -> None:
    """LOG-08: Proxmox has an address where the spec names a pool; `status` tells which."""
    nics = {"net0": {"ipv4": {"pool": "public-v4"}}}
    found = compared(made(tmp_path, {**SEEN, "nics": nics}))
    text = render_comparison(found, Paint()).splitlines()
    assert [line for line in text if line.startswith("nics.") and line.endswith("<")] == []


def test_log_08_what_cannot_be_seen_is_said(tmp_path: Path) -> None:
    """LOG-08: a VM that is not there, and one whose node is lost."""
    lab = Lab(tmp_path, fleet_files({"a": SEEN}))
    assert (compared(lab).remote, compared(lab).rows) == ("not there", ())
    lab.settle()
    lab.simulator.faults.add(Fault("node-down", node="pve1"))
    lab.clock.sleep(60.0)
    found = compared(lab)
    assert found.remote.startswith("unknown: ")
    assert render_comparison(found, Paint()).splitlines()[-1].startswith("remote    unknown")


def test_log_08_over_the_wire(scene: Open) -> None:
    grounds = scene("web: {node: pve1, memory: 1GiB}\n")
    grounds.settle()
    told = grounds.cli("show", "web")
    assert told.returncode == 0 and "remote    running" in told.stdout
    parts = json.loads(grounds.cli("show", "web", "--output", "json").stdout)
    assert parts["remote"] == "running"
    assert {row["field"]: row["live"] for row in parts["rows"]}["memory"] == "1 GiB"


STATES = {
    "next": {*DEPLOY.names[:-1], *CHANGE.names[:-1]},
    "ignore": {"ready"},
    "act": {"reinstall", "set_dns_records", "terminate"},
    "skip": {"error_terminate", "remove", "abandoned"},
}


def test_log_09_each_state_says_what_a_run_does_about_it() -> None:
    """LOG-09: the contract's table, and `abandoned` beside `remove`."""
    told = {way: {one for one, does in BEHAVIOURS.items() if does == way} for way in STATES}
    assert told == STATES


@pytest.mark.parametrize("phase", list(Phase))
def test_log_09_a_run_skips_what_needs_a_person_and_goes_on_with_the_rest(
    tmp_path: Path, phase: Phase
) -> None:
    """LOG-09, DEP-06: ready is compared and nothing written; `error_*` is never tried again."""
    lab = made(tmp_path, SEEN)
    put(lab, phase)
    assert lab.run().writes == 0
    put(lab, phase)
    lab.write(fleet_files({"a": {**SEEN, "tags": ["x"]}}))
    summary = lab.run()
    alone = phase in (Phase.ERROR_TERMINATE, Phase.ABANDONED)
    assert (summary.writes, summary.waiting, summary.failed) == ((0, 1, 0) if alone else (1, 0, 0))
    with lab.store() as store:
        (shown,) = fleet_status(FileSource(lab.fleet).load({}, AT), store, AT)
    assert ("left alone" in shown.next) == alone


def put(lab: Lab, phase: Phase) -> None:
    with Store.open(lab.where, at=AT) as store:
        binding = store.bindings.all()["a"]
        store.bindings.change(replace(binding, phase=phase))


def test_log_03_a_failed_step_stands_red_above_status_until_a_success(scene: Open) -> None:
    """LOG-03, CP-13: action, step and message; `why` says it too."""
    grounds = scene("web: {node: pve1, disks: {system: {size: 8GiB}}}\n")
    grounds.settle()
    grounds.fault("task-fail", task="resize", times=None, text="no space left on device")
    grounds.write({"vms/vms.yaml": "web: {node: pve1, disks: {system: {size: 9GiB}}}\n"})
    grounds.run()
    banner = grounds.cli("status", "web").stdout.splitlines()[0]
    assert banner.startswith("!! change failed at ") and "no space left on device" in banner
    assert "Resize system disk" in banner
    assert "no space left on device" in grounds.cli("why", "web").stdout
    grounds.run()
    assert grounds.cli("status", "web").stdout.startswith("!! change failed at ")
    grounds.sim("DELETE", "faults")
    grounds.later(4000.0)
    grounds.settle()
    assert grounds.cli("status", "web").stdout.startswith("VM  ")
