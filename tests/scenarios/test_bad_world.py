"""A world that is not as it should be: each trouble says what to do, and the others go on."""

from pathlib import Path

import pytest

from reconciler.report import Remark
from tests.grounds import Grounds
from tests.lab import Told
from tests.scenarios.conftest import Open

GOOD = "good: {nics: {net0: {ipv4: {pool: public-v4}}}}\n"


def goes_on(grounds: Grounds) -> None:
    """The VM that nothing is wrong with is up and ready (DEP-27)."""
    with grounds.store() as store:
        binding = store.bindings.of("good")
    assert binding is not None and binding.phase == "ready"
    assert grounds.world().vms[binding.vmid].status == "running"


def remarks(told: Told) -> str:
    return "\n".join(one.text for one in told.events if isinstance(one, Remark))


def said(grounds: Grounds, key: str, *words: str) -> None:
    """What the run, `reconcile why` and `reconcile status` say of a VM holds all these words."""
    told = grounds.told.words(key)
    for word in words:
        assert word in told, told
    why = grounds.cli("why", key)
    assert why.returncode == 0
    assert " ".join(words[0].split()) in " ".join(why.stdout.split())


def test_a_dry_pool_stops_one_vm_and_creates_nothing(scene: Open) -> None:
    """DEP-11, DEP-27, IP-11: one address free, two asked for."""
    vms = GOOD + "bad: {nics: {net0: {bridge: vmbr0, ipv4: {pool: tiny-v4, count: 2}}}}\n"
    grounds = scene(vms)
    summary = grounds.run()
    assert (summary.ready, summary.vms) == (1, 2)
    goes_on(grounds)
    said(grounds, "bad", "pool tiny-v4", "no free address", "widen it")
    assert len([vmid for vmid in grounds.world().vms if vmid < 9000]) == 1
    grounds.write({"vms/vms.yaml": vms.replace(", count: 2", "")})
    assert grounds.settle().ready == 2


def test_a_missing_template_stops_its_vms_only(scene: Open) -> None:
    """DEP-13, DEP-27: preflight says it before the first write, the VM says it too."""
    grounds = scene(GOOD + "bad: {template: fedora}\n")
    grounds.write({"fleet.yaml": grounds.head() + "  fedora: {demo: [9500]}\n"})
    summary = grounds.run()
    assert summary.ready == 1
    goes_on(grounds)
    assert "9500" in remarks(grounds.told)
    said(grounds, "bad", "fedora: no template 9500 in cluster demo", "create it", "VM.Audit")


def test_a_full_storage_is_waited_for(scene: Open) -> None:
    """DEP-06, DEP-08: the clone fails for ever, with Proxmox's words, until there is room."""
    grounds = scene(GOOD + "bad: {template: ubuntu-24, storage: shared, clone: full}\n")
    grounds.fault("storage-full", storage="shared")
    for _ in range(3):
        summary = grounds.run()
        assert (summary.ready, summary.failed) == (1, 1)
        grounds.later(1000.0)
    goes_on(grounds)
    assert "space" in grounds.told.words("bad")
    retries = grounds.sim("GET", "calls")["POST /nodes/{node}/qemu/{vmid}/clone"]
    assert retries >= 4
    grounds.sim("DELETE", "faults")
    assert grounds.settle().ready == 2
    assert len([vmid for vmid in grounds.world().vms if vmid < 9000]) == 2


def test_a_wrong_token_writes_nothing_and_says_what_to_check(scene: Open) -> None:
    grounds = scene(GOOD)
    grounds.write({"token": "wrong"})
    done = grounds.cli("--once")
    assert done.returncode == 1
    assert "login refused" in done.stdout and "token's id and secret" in done.stdout
    assert set(grounds.world().vms) == {9000, 9001, 9002, 9100}
    assert grounds.cli("--once", "--dry-run").returncode == 1


def test_a_certificate_that_does_not_match_is_not_spoken_to(scene: Open) -> None:
    """The token is never sent to whoever shows another certificate."""
    grounds = scene(GOOD)
    grounds.write({"fleet.yaml": grounds.head(fingerprint="AA:" * 31 + "AA")})
    done = grounds.cli("--once")
    assert done.returncode == 1
    assert "fingerprint" in done.stdout
    assert set(grounds.world().vms) == {9000, 9001, 9002, 9100}
    assert grounds.sim("GET", "calls") == {}


def test_an_unreachable_node_delays_its_own_vms_only(scene: Open) -> None:
    """DEP-08, Q-09: its VMs are unknown and untouched, until it is back."""
    grounds = scene("good: {node: pve1}\nbad: {node: pve2}\n")
    grounds.settle()
    grounds.write({"vms/vms.yaml": "good: {node: pve1, tags: [x]}\nbad: {node: pve2, tags: [x]}\n"})
    grounds.fault("node-down", node="pve2")
    grounds.later(60.0)
    summary = grounds.run()
    assert (summary.ready, summary.writes) == (1, 1)
    said(grounds, "bad", "pve2", "not online")
    grounds.sim("DELETE", "faults")
    assert grounds.settle().ready == 2


def test_no_quorum_is_read_only(scene: Open) -> None:
    grounds = scene(GOOD)
    grounds.fault("quorum-lost")
    summary = grounds.run()
    assert (summary.ready, summary.writes) == (0, 0)
    assert "no quorum" in grounds.told.words("good") + remarks(grounds.told)
    grounds.sim("DELETE", "faults")
    assert grounds.settle().ready == 1


def test_a_lost_database_creates_nothing_and_is_rebuilt(scene: Open) -> None:
    """IP-05, DEP-12: nothing is created or leased until the marked VMs are taken in again."""
    grounds = scene(GOOD + "other: {nics: {net0: {ipv4: {pool: public-v4}}}, tags: [b]}\n")
    grounds.settle()
    before = grounds.shot()
    grounds.lose_store()
    grounds.write({"vms/more.yaml": "new: {nics: {net0: {ipv4: {pool: public-v4}}}}\n"})
    assert grounds.run().writes == 0
    said(grounds, "new", "marked as ours are not in the store", "rebuild-state")
    rebuilt = grounds.cli("rebuild-state")
    assert rebuilt.returncode == 0, rebuilt.stdout + rebuilt.stderr
    assert grounds.settle().ready == 3
    after = grounds.shot()
    assert {key: after["leases"][key] for key in before["leases"]} == before["leases"]
    assert {vmid: after["vms"][vmid] for vmid in before["vms"]} == before["vms"]
    assert len(after["vms"]) == len(before["vms"]) + 1


def test_a_copy_that_somebody_made_is_foreign(scene: Open) -> None:
    """A marker that names another vmid: neither ours, nor a reason to stop."""
    grounds = scene(GOOD)
    grounds.settle()
    grounds.ask("POST", "/nodes/pve1/qemu/100/clone", newid=555, full=1, name="copy")
    grounds.later(120.0)
    copied = grounds.world().vms[555].config
    assert "vmid=100" in str(copied["description"]) and "reconcile-scene" in str(copied["tags"])
    grounds.write({"vms/more.yaml": "new: {}\n"})
    assert grounds.settle().ready == 2
    assert grounds.world().vms[555].config == copied


def test_a_lock_is_waited_for(scene: Open) -> None:
    """DEP-26: while Proxmox holds a lock nothing is written to that VM."""
    grounds = scene(GOOD + "bad: {}\n")
    grounds.settle()
    grounds.write({"vms/vms.yaml": GOOD + "bad: {tags: [x], cpu: {cores: 3}}\n"})
    with grounds.store() as store:
        binding = store.bindings.of("bad")
    assert binding is not None
    grounds.fault("lock", vmid=binding.vmid, text="backup")
    summary = grounds.run(time_limit=1.0)
    assert (summary.ready, summary.writes) == (1, 0)
    said(grounds, "bad", "holds the lock backup")
    grounds.sim("DELETE", "faults")
    assert grounds.settle().ready == 2


def test_a_vm_that_was_deleted_by_hand_is_made_again(scene: Open) -> None:
    """DEP-11, IP-05: once a person approves, under its own vmid, with its own addresses."""
    grounds = scene(GOOD)
    grounds.settle()
    before = grounds.shot()
    grounds.ask("POST", "/nodes/pve1/qemu/100/status/stop")
    grounds.later(60.0)
    grounds.ask("DELETE", "/nodes/pve1/qemu/100")
    grounds.later(60.0)
    assert 100 not in grounds.world().vms
    grounds.run(approve=grounds.dry().digest)
    grounds.settle()
    assert grounds.shot() == before


def test_a_vm_that_took_the_vmid_is_left_alone(scene: Open) -> None:
    """DEP-12: deleted by hand, and somebody made another one of that number."""
    grounds = scene(GOOD)
    grounds.settle()
    grounds.ask("POST", "/nodes/pve1/qemu/100/status/stop")
    grounds.later(60.0)
    grounds.ask("DELETE", "/nodes/pve1/qemu/100")
    grounds.later(60.0)
    grounds.ask("POST", "/nodes/pve1/qemu", vmid=100, name="theirs")
    grounds.later(60.0)
    theirs = grounds.world().vms[100].config
    summary = grounds.run()
    assert (summary.ready, summary.writes) == (0, 0)
    said(grounds, "good", "vm 100 has uuid", "made anew by somebody")
    assert grounds.world().vms[100].config == theirs


def test_a_broken_spec_stops_itself_only(scene: Open, tmp_path: Path) -> None:
    """DEP-27: and with --strict everything."""
    grounds = scene(GOOD)
    grounds.write({"vms/broken.yaml": "bad: {memory: 3 potatoes}\n"})
    strict = grounds.cli("--once", "--strict")
    assert strict.returncode == 1 and "broken.yaml:1:" in strict.stderr
    assert set(grounds.world().vms) == {9000, 9001, 9002, 9100}
    done = grounds.cli("--once")
    assert done.returncode == 1 and "broken.yaml:1:" in done.stdout
    goes_on(grounds)


@pytest.mark.parametrize("way", ["command", "tag"])
def test_a_vm_on_hold_is_left_alone(scene: Open, way: str) -> None:
    """By `reconcile hold`, and by the tag `hold` in Proxmox."""
    grounds = scene(GOOD + "bad: {}\n")
    grounds.settle()
    with grounds.store() as store:
        binding = store.bindings.of("bad")
    assert binding is not None
    config = f"/nodes/{binding.node}/qemu/{binding.vmid}/config"
    if way == "command":
        held = grounds.cli("hold", "bad", "--why", "kernel debugging", "--until", "4h")
        assert held.returncode == 0
    else:
        grounds.ask("PUT", config, tags="hold;reconcile-scene")
        grounds.later(30.0)
    grounds.write({"vms/vms.yaml": GOOD + "bad: {cpu: {cores: 3}}\n"})
    summary = grounds.run()
    assert (summary.ready, summary.writes) == (1, 0)
    words = ("held", "unhold bad") if way == "command" else ("held by the tag hold", "remove")
    said(grounds, "bad", *words)
    if way == "command":
        assert grounds.cli("unhold", "bad").returncode == 0
    else:
        grounds.ask("PUT", config, tags="reconcile-scene")
        grounds.later(30.0)
    assert grounds.settle().ready == 2
