"""The sample fleet, deployed by the command itself: one run makes it, the next does nothing."""

from collections import Counter

import pytest

from desired.spec import VMSpec
from reconciler.pipeline import DEPLOY
from reconciler.report import Summary
from state.memory import Lease
from state.store import Store
from tests.scenarios.sample import Done, Sample, events, requests, summary, writes

Deployed = tuple[Sample, Done, Done]
VMS = 12
TEMPLATE_SIZES = {"debian-12": 3 * 1024**3, "ubuntu-24": 4 * 1024**3}
MOST_READS = 12


@pytest.fixture(scope="module")
def deployed(stores: str, tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """The sample fleet after two runs; the runs as they were printed."""
    sample = Sample.copy(tmp_path_factory.mktemp("sample"))
    first = sample.cli("--once", "--output", "json", "--verbose")
    second = sample.cli("--once", "--output", "json", "--verbose")
    return sample, first, second


def test_one_run_makes_all_twelve_ready(deployed: Deployed) -> None:
    """DEP-07, DEP-10, DEP-24: from nothing to running, in one tick."""
    sample, first, _ = deployed
    assert (first.returncode, first.stderr) == (0, "")
    told = summary(first)
    assert (told["vms"], told["ready"], told["changed"], told["failed"]) == (VMS, VMS, VMS, 0)
    assert set(told["results"].values()) == {"ready"} and told.keys() == set(Summary.__slots__)
    ours = [vm for vmid, vm in sample.shot()["vms"].items() if vmid < 9000]
    assert len(ours) == VMS and {vm["status"] for vm in ours} == {"running"}
    assert not any(vm["pending"] for vm in ours)


def test_a_deploy_is_told_in_sixteen_states_and_fifteen_transitions(deployed: Deployed) -> None:
    """DEP-02, DEP-03, DEP-04, C-03, LOG-01: in order, in the journal of every VM."""
    with deployed[0].store() as store:
        keys = sorted(store.bindings.all())
        runs = {key: store.journal.vm_runs(key) for key in keys}
    assert len(keys) == VMS and len(DEPLOY.names) == 16
    wanted = [(one.label, one.before, one.after) for one in DEPLOY.transitions]
    assert len(wanted) == 15
    for key in keys:
        (run,) = runs[key]
        assert [(step.label, step.before, step.after) for step in run.steps] == wanted, key
        assert (run.action, run.result, run.state_before, run.state_after) == (
            "deploy",
            "success",
            "creation",
            "ready",
        )
        assert run.finished_at and run.finished_at >= run.started_at


def test_what_was_not_asked_for_is_a_skip_of_no_time(deployed: Deployed) -> None:
    """LOG-02, DEP-20: no additional disk, no DNS, no migration: skipped, zero duration."""
    with deployed[0].store() as store:
        (run,) = store.journal.vm_runs("web-1")
        (other,) = store.journal.vm_runs("cache/1")
    skipped = [step.after for step in run.steps if step.result == "skip"]
    assert skipped == [
        "set_dns",
        "migrated",
        "set_created_additional_disk",
        "set_additional_disk_size",
        "set_additional_disk_bandwidth",
    ]
    assert all(step.seconds == 0 for step in run.steps if step.result == "skip")
    made = [step.after for step in other.steps if step.result == "success"]
    assert "set_created_additional_disk" in made


def fewest_writes(spec: VMSpec, leases: tuple[Lease, ...]) -> int:
    """Writes that a deploy cannot do without.

    One each for the clone, all config keys together, the firewall's options and the start; one for
    growing the system disk, and one for every additional disk, rule, address set and address.
    """
    assert spec.firewall is not None and spec.firewall.rules is not None
    system = spec.disks["system"].size or 0
    grows = system > TEMPLATE_SIZES[spec.template or ""]
    sets = {lease.nic for lease in leases}
    extra = len(spec.disks.keys() - {"system"})
    return 4 + grows + extra + len(spec.firewall.rules) + len(sets) + len(leases)


def migrated(store: Store, key: str) -> bool:
    """Whether the node that was chosen can only be reached by a migration after the clone."""
    placed = store.placements.choice(key)
    assert placed is not None
    choice, _ = placed
    ways = {one.node: one.way for one in choice.verdicts}
    return ways[choice.node] == "clone, then migrate"


def test_a_deploy_takes_the_fewest_writes(deployed: Deployed) -> None:
    """DEP-05: no call is made twice, and the keys of all handlers go out as one."""
    sample, first, _ = deployed
    fleet = sample.specs()
    with sample.store() as store:
        leases, bound = store.leases.all(), store.bindings.all()
        least = {
            key: fewest_writes(spec, leases[key]) + migrated(store, key)
            for key, spec in fleet.vms.items()
        }
    sent = writes(first)
    assert Counter(path.endswith("/clone") for _, path in sent)[True] == VMS
    for key, spec in fleet.vms.items():
        mine = [path for _, path in sent if f"/qemu/{bound[key].vmid}/" in path]
        assert len(mine) + 1 == least[key], key
        assert sum(path.endswith("/config") for path in mine) == 1 + len(spec.disks) - 1
    assert summary(first)["writes"] == len(sent) == sum(least.values())


def test_two_nics_on_one_pool_are_two_leases(deployed: Deployed) -> None:
    """IP-08, IP-11, DEP-11: no address twice; each nic's first in cloud-init, one gateway."""
    sample = deployed[0]
    with sample.store() as store:
        leases, bound = store.leases.all(), store.bindings.all()
    every = [lease.address for own in leases.values() for lease in own]
    assert len(every) == len(set(every))
    nics = [(one.nic, one.family, one.pool) for one in leases["router"]]
    assert ("net0", "ipv4", "public-v4") in nics and ("net1", "ipv4", "public-v4") in nics
    config = sample.shot()["vms"][bound["router"].vmid]["config"]
    first, second = (one.address for one in leases["router"] if one.family == "ipv4")
    assert config["ipconfig0"].startswith(f"ip={first}/24,gw=203.0.113.1")
    assert config["ipconfig1"] == f"ip={second}/24"


def test_each_nics_set_holds_its_addresses(deployed: Deployed) -> None:
    """FW-02, FW-05, C-10: `ipfilter-netN` equals the leases, and the nic's flag is set."""
    sample = deployed[0]
    with sample.store() as store:
        leases, bound = store.leases.all(), store.bindings.all()
    vms = sample.shot()["vms"]
    for key, own in leases.items():
        vm = vms[bound[key].vmid]
        for nic in {lease.nic for lease in own}:
            rows = vm["firewall"]["ipsets"][f"ipfilter-{nic}"]
            wanted = {lease.address for lease in own if lease.nic == nic}
            assert {row["cidr"] for row in rows} == wanted, key
            assert "firewall=1" in vm["config"][nic]


def test_vmids_go_up_from_the_first(deployed: Deployed) -> None:
    """DEP-12: sequential from 100, in the order of the keys."""
    with deployed[0].store() as store:
        bound = store.bindings.all()
    assert [bound[key].vmid for key in sorted(bound)] == list(range(100, 100 + VMS))


def test_the_second_run_writes_nothing_and_reads_little(deployed: Deployed) -> None:
    """0 writes, at most 12 reads: the constant ones, and one VM's insides by rotation."""
    _, _, second = deployed
    told = summary(second)
    assert second.returncode == 0
    assert (told["ready"], told["changed"], told["writes"]) == (VMS, 0, 0)
    assert told["reads"] == len(requests(second)) <= MOST_READS
    assert {one["event"] for one in events(second)} == {"run_started", "request", "run_done"}


def test_nothing_differs_afterwards(deployed: Deployed) -> None:
    """CLI-04: the dry run of a settled fleet ends with 0, and says so."""
    dry = deployed[0].cli("--once", "--dry-run")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert "12 unchanged" in dry.stdout


def test_no_secret_is_told(deployed: Deployed) -> None:
    """C-17, LOG-05: a password is in no line of a run, and shown once on demand."""
    sample, first, second = deployed
    shown = sample.cli("password", "web-1", "--show-once")
    again = sample.cli("password", "web-1", "--show-once")
    secret = shown.stdout.strip()
    assert shown.returncode == 0 and len(secret) == 20 and again.returncode == 1
    assert secret not in first.stdout + first.stderr + second.stdout + again.stderr
    assert secret.encode() not in b"".join(
        one.read_bytes() for one in sample.folder.rglob("*") if one.is_file()
    )
