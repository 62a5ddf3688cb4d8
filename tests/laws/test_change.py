"""The laws of changing what is ready, whoever edits: it settles, disturbs least, loses nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.sim.api import Simulator
from reconciler.sim.faults import Fault
from reconciler.sim.world import World
from state.change import Call, Method
from tests.lab import Lab
from tests.laws.effort import few, many
from tests.laws.fleets import Spec, fleet_files

HOUR = 3600.0
VM = "/nodes/pve1/qemu/100"
PLAIN: Spec = {"memory": "1GiB", "cpu": {"cores": 1}, "disks": {"system": {"size": "8GiB"}}}
POOL = "public-v4"


def nic(rate: str, count: int) -> Spec:
    return {"net0": {"rate": rate, "ipv4": {"pool": POOL, "count": count}}}


FIELDS = st.one_of(
    st.tuples(st.just("memory"), st.sampled_from(["1GiB", "2GiB", "3GiB"])),
    st.tuples(st.just("cpu"), st.sampled_from([{"cores": 1}, {"cores": 2, "limit": 1.5}])),
    st.tuples(st.just("tags"), st.sampled_from([["x"], ["x", "y"], []])),
    st.tuples(st.just("description"), st.sampled_from(["one", "two, 100 %"])),
    st.tuples(st.just("onboot"), st.booleans()),
    st.tuples(st.just("restart"), st.sampled_from(["never", "allow"])),
    st.tuples(st.just("power"), st.sampled_from(["running", "stopped"])),
    st.tuples(
        st.just("nics"),
        st.builds(nic, st.sampled_from(["10MB/s", "25MB/s"]), st.integers(1, 3)),
    ),
    st.tuples(
        st.just("firewall"),
        st.sampled_from(
            [
                {"policy_in": "DROP"},
                {"ipfilter": True, "rules": [{"in": "ACCEPT", "dport": 22, "proto": "tcp"}]},
            ]
        ),
    ),
    st.tuples(
        st.just("disks"),
        st.sampled_from(
            [
                {"system": {"size": "9GiB", "iops_rd": 500}},
                {"system": {"size": "8GiB"}, "scsi1": {"size": "4GiB"}},
                {"system": {"size": "5GiB"}, "scsi1": {"size": 0}},
            ]
        ),
    ),
    st.tuples(st.just("cloudinit"), st.sampled_from([{"user": "ops"}, {"user": "dev"}])),
)
"""Edits of the spec."""

OUTSIDE = st.sampled_from(
    [
        ("PUT", "config", {"cores": 4}),
        ("PUT", "config", {"memory": "4096"}),
        ("PUT", "config", {"tags": "theirs"}),
        ("PUT", "config", {"delete": "description"}),
        ("PUT", "config", {"cpulimit": "3", "onboot": 1}),
        ("PUT", "config", {"net7": "virtio=BC:24:11:00:00:07,bridge=vmbr1"}),
        ("PUT", "config", {"ciuser": "root"}),
        ("PUT", "resize", {"disk": "scsi0", "size": "+1G"}),
        ("PUT", "firewall/options", {"policy_in": "ACCEPT", "enable": 0}),
        ("POST", "firewall/rules", {"type": "in", "action": "ACCEPT", "proto": "udp"}),
        ("POST", "status/stop", {}),
        ("POST", "status/reboot", {}),
        ("POST", "snapshot", {"snapname": "s"}),
    ]
)
"""What others do by hand; some of it is refused, as it is to them."""

STEP = st.tuples(st.one_of(FIELDS, OUTSIDE), st.booleans())
STEPS, MANY_STEPS = (st.lists(STEP, min_size=1, max_size=most) for most in (4, 8))
Step = tuple[tuple[str, object] | tuple[str, str, dict[str, object]], bool]


def settles(plan: list[Step]) -> None:
    """Some edits are looked at by a run before the next comes, some are not."""
    with TemporaryDirectory() as folder:
        spec = dict(PLAIN)
        lab = Lab(Path(folder), fleet_files({"a": spec}))
        lab.settle()
        for what, looked_at in plan:
            if len(what) == 3:
                lab.simulator.call(what[0], f"{VM}/{what[1]}", what[2])
            else:
                spec = {**spec, what[0]: what[1]}
                lab.write(fleet_files({"a": spec}))
            lab.clock.sleep(30.0)
            if looked_at:
                lab.run()
        for _ in range(2):
            lab.clock.sleep(HOUR)
            lab.settle(apart=HOUR)
        dry = lab.dry()
        assert not dry.differs, [one.changes for one in dry.vms]
        waiting = lab.world.vms[100].pending
        assert not waiting or spec.get("restart", "never") == "never"
        assert lab.world.vms[100].status == spec.get("power", "running")


@few
@given(STEPS)
def test_whatever_is_edited_the_difference_settles_to_nothing(plan: list[Step]) -> None:
    """CP-05, CP-15, C-04: edits of the spec and of others, in any order."""
    settles(plan)


@pytest.mark.nightly
@many
@given(MANY_STEPS)
def test_whatever_is_edited_it_always_settles(plan: list[Step]) -> None:
    settles(plan)


LARGE: Spec = {
    "memory": "2GiB",
    "cpu": {"cores": 2},
    "restart": "allow",
    "disks": {"system": {"size": "9GiB", "iops_rd": 500}, "scsi1": {"size": "4GiB"}},
    "nics": nic("25MB/s", 2),
    "firewall": {"policy_in": "DROP", "ipfilter": True},
    "tags": ["large"],
    "cloudinit": {"user": "ops"},
}
THEIRS = (
    {"net7": "virtio=BC:24:11:00:00:07,bridge=vmbr1"},
    {"scsi9": "local-lvm:2"},
    {"vga": "std"},
    {"bootdisk": "scsi0"},
    {"hotplug": "disk,network,usb"},
)
"""Keys that no spec here mentions."""


def meanwhile(lab: Lab, number: int, params: dict[str, str]) -> None:
    """Let another writer be faster than our write of this number, once."""
    counted = [0]

    def other(call: Call) -> bool:
        if call.method is Method.GET or not call.path.startswith(VM):
            return False
        counted[0] += 1
        if counted[0] <= number:
            return False
        lab.simulator.call("PUT", f"{VM}/config", params)
        return True

    lab.wire.meanwhile = other


def prepared(folder: Path) -> Lab:
    lab = Lab(folder, fleet_files({"a": {**PLAIN, "nics": nic("10MB/s", 1), "restart": "allow"}}))
    lab.settle()
    lab.wire.calls.clear()
    lab.write(fleet_files({"a": LARGE}))
    return lab


def test_two_writers_with_digests_lose_neither_s_keys(tmp_path: Path) -> None:
    """CP-09, CP-15: another writes just before one of our writes; both find what they wrote."""
    for number, theirs in enumerate(THEIRS[:4]):
        both_stand(tmp_path / str(number), number, theirs)


@pytest.mark.nightly
@pytest.mark.parametrize("theirs", THEIRS, ids=lambda params: next(iter(params)))
@pytest.mark.parametrize("number", range(6))
def test_two_writers_never_lose_a_key(tmp_path: Path, number: int, theirs: dict[str, str]) -> None:
    both_stand(tmp_path, number, theirs)


def both_stand(folder: Path, number: int, theirs: dict[str, str]) -> None:
    """Let the other write before our write of this number, from 0."""
    lab = prepared(folder)
    meanwhile(lab, number, theirs)
    lab.settle(apart=20.0)
    shot = lab.shot()["vms"][100]
    both = shot["config"] | {key: str(value) for key, value in shot["pending"].items()}
    assert lab.wire.meanwhile is None
    assert theirs.keys() <= both.keys()
    assert (both["memory"], both["cores"]) == ("2048", "2")
    assert "rate=25" in both["net0"] and "iops_rd=500" in both["scsi0"]
    assert not lab.dry().differs


PLUGS = st.sampled_from(
    [
        {"nics": {"net0": {"model": "e1000"}}},
        {"nics": {"net0": {}, "net1": {"bridge": "vmbr0"}}},
        {"nics": {"net0": {"bridge": "vmbr1"}}},
        {"disks": {"scsi1": {"size": "4GiB"}}},
        {"disks": {"system": {"size": "9GiB", "cache": "writeback"}}},
        {"disks": {"scsi1": {"size": 0, "reclaim": "delete"}}},
        {"disks": {}},
        {"boot": ["net0"]},
        {"boot": ["system", "net0"]},
        {"usb": {"usb0": "spice"}},
        {"scsihw": "virtio-scsi-single"},
        {"memory": "2GiB", "config": {"hotplug": "0"}},
    ]
)
HOT, MUCH_HOT = (st.lists(PLUGS, min_size=1, max_size=most) for most in (2, 5))
TROUBLE = st.lists(
    st.sampled_from(["stubborn-guest", "error-before", "error-after", "drop-after"]), max_size=3
)


def survives(edits: list[Spec], troubles: list[str]) -> None:
    """At any moment somebody may pull the plug: the VM keeps its disks and boots from its own."""
    with TemporaryDirectory() as folder:
        lab = Lab(Path(folder), fleet_files({"a": PLAIN}))
        lab.settle()
        for kind in troubles:
            at = {"vmid": 100} if kind == "stubborn-guest" else {"path": "*/config", "times": 2}
            lab.simulator.faults.add(Fault(kind, **at))  # type: ignore[arg-type]
        for edit in edits:
            lab.write(fleet_files({"a": {**PLAIN, **edit}}))
            for _ in range(2):
                lab.run()
                lab.clock.sleep(60.0)
                unplugged(lab)


def unplugged(lab: Lab) -> None:
    """Stop and start a copy of the world by force: its disks are all there, attached."""
    before, copy = lab.world.vms[100], World.load(lab.world.dump())
    clock = [copy.now]
    simulator = Simulator(copy, lambda: clock[0])
    volumes = {volid for volid, one in copy.volumes.items() if one.vmid == 100}
    for verb, status in (("stop", "stopped"), ("start", "running")):
        assert simulator.call("POST", f"{VM}/status/{verb}", {}).ok
        clock[0] += 60.0
        simulator.call("GET", "/version")
        assert copy.vms[100].status == status
    after = copy.vms[100]
    assert {volid for volid, one in copy.volumes.items() if one.vmid == 100} == volumes
    assert "scsi0" in after.config, (before.pending, before.pending_delete)
    disks = {key for key in before.config if key.startswith("scsi") and key[4:].isdigit()}
    assert disks <= after.config.keys()
    assert not [key for key in after.config if key.startswith("unused")]


@few
@given(HOT, TROUBLE)
def test_no_failed_hot_plug_leaves_what_a_later_stop_turns_into_harm(
    edits: list[Spec], troubles: list[str]
) -> None:
    """CP-15, C-07: the boot disk, other disks and the order of boot, whatever the guest refuses."""
    survives(edits, troubles)


@pytest.mark.nightly
@many
@given(MUCH_HOT, TROUBLE)
def test_no_hot_plug_ever_leaves_harm(edits: list[Spec], troubles: list[str]) -> None:
    survives(edits, troubles)
