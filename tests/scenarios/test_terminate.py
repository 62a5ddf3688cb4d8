"""Ends over the wire: what dies and what stays, a DELETE that fails, a node that is dead."""

from collections.abc import Callable

from tests.grounds import Grounds

Open = Callable[..., Grounds]
HEAD = "termination FAILED - admin attention required: "
POOL = {"pools__pools": "p: {bridge: vmbr0, network: 203.0.113.0/24, gateway: 203.0.113.1}\n"}
NIC = "nics: {net0: {ipv4: {pool: p}}}"


def bold(scene: Grounds) -> Grounds:
    scene.write({"fleet.yaml": scene.head() + "guard: {destroys: 100%}\n"})
    scene.settle()
    return scene


def phases(scene: Grounds) -> dict[str, str]:
    with scene.store() as store:
        return {key: str(one.phase) for key, one in store.bindings.all().items()}


def told(scene: Grounds, event: str) -> list[str]:
    with scene.store() as store:
        return [one.key for one in store.outbox.waiting() if one.event == event]


def test_term_02_07_08_one_end_succeeds_one_fails_and_the_third_vm_lives(scene: Open) -> None:
    """TERM-02, TERM-06, TERM-07, TERM-08, TERM-10, TERM-16, TASK-01, SUS-03."""
    vms = f"a: {{{NIC}}}\nb: {{{NIC}}}\nc: {{{NIC}}}\n"
    fleet = bold(scene(vms, **POOL))
    text = "unable to remove VM 101 - storage is not online"
    where = "/nodes/*/qemu/101"
    fleet.fault("error-before", method="DELETE", path=where, status=500, text=text, times=None)
    gone = "a: {state: absent}\nb: {state: absent}\n"
    fleet.write({"vms/vms.yaml": gone + f"c: {{{NIC}}}\n"})
    summary = fleet.run()
    assert (summary.ready, summary.failed) == (2, 1)
    assert sorted(vmid for vmid in fleet.world().vms if vmid < 9000) == [101, 102]
    assert phases(fleet) == {"b": "error_terminate", "c": "ready"}
    again = fleet.run()
    assert (again.writes, again.failed) == (0, 0)
    assert told(fleet, "vm_terminated") == ["a"] and told(fleet, "terminate_failed") == ["b"]
    with fleet.store() as store:
        assert set(store.leases.all()) == {"b", "c"}
    shown = fleet.cli("status", "b").stdout
    assert shown.startswith("!! terminate failed at ") and HEAD + text in shown
    assert "DELETE VM" in fleet.cli("log", "a").stdout


def test_term_15_what_a_dead_node_held_is_closed_out_by_force(scene: Open) -> None:
    """TERM-15, TERM-09: nothing is freed while nobody knows whether the guest still runs."""
    fleet = bold(scene(f"a: {{{NIC}, node: pve2}}\n", **POOL))
    refused = fleet.cli("terminate", "a", "--force", "--yes")
    assert refused.returncode == 1 and "its node answers" in refused.stderr
    fleet.fault("node-down", node="pve2", times=None)
    fleet.later(60)
    asked = fleet.cli("terminate", "a", "--force", "--yes")
    assert "a is abandoned: its addresses are kept" in asked.stdout
    assert fleet.run().writes == 0
    assert phases(fleet) == {"a": "abandoned"}
    with fleet.store() as store:
        assert len(store.leases.of("a")) == 1


def test_c_19_an_end_waits_for_the_lock_of_a_backup(scene: Open) -> None:
    """C-19: a lock is waited for, and nothing is begun under it."""
    fleet = bold(scene("a: {}\n"))
    fleet.fault("lock", vmid=100, text="backup", times=None)
    fleet.write({"vms/vms.yaml": "a: {state: absent}\n"})
    assert fleet.run(time_limit=3.0).writes == 0
    assert phases(fleet) == {"a": "ready"}
