"""Observing a cluster: constant reads, and of the VMs only what may have moved."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import Workers
from state.api import Forbidden, Json, NotFound, Unavailable
from state.cache import CachedVM
from state.machine import Machine, machine, parse_firewall
from state.memory import Binding
from state.observe import Observer, Reading, read_firewall, rotation, rotation_share
from state.observed import ClusterView, HAResource, SeenRule
from state.store import Store
from tests.engine import AT, Answer, Answers, HandClock, pending, vm

CONFIG = "/nodes/pve1/qemu/101/pending"
FIREWALL = "/nodes/pve1/qemu/101/firewall"
NODES: list[Json] = [{"type": "node", "node": "pve1", "status": "online"}]
QUORATE: Json = [{"type": "cluster", "quorate": 1}]


def listed(vmid: int, **fields: Json) -> Json:
    return {"type": "qemu", "vmid": vmid, "node": "pve1", "status": "stopped", **fields}


@dataclass
class Cluster:
    """Answers of a cluster with the VM 101, one store, and an observer for each process."""

    answers: dict[str, Sequence[Answer]] = field(default_factory=dict)
    clock: HandClock = field(default_factory=lambda: HandClock(step=0.001))
    store: Store = field(default_factory=lambda: Store.temporary(at=AT))

    def __post_init__(self) -> None:
        self.answers.update(
            {
                "/cluster/log": [[]],
                "/cluster/tasks": [[]],
                "/cluster/resources": [[*NODES, listed(101)]],
                "/cluster/status": [QUORATE],
                CONFIG: [pending(cores=2)],
                f"{FIREWALL}/options": [{"enable": 1, "digest": "x"}],
                f"{FIREWALL}/rules": [[]],
                f"{FIREWALL}/ipset": [[]],
            }
        )
        self.restart()

    def restart(self, dry: bool = False) -> None:
        """A new process: only the store is left."""
        self.api = Answers(self.answers)
        self.observer = Observer("demo", self.api, self.store, self.clock.now, dry)

    def view(self) -> ClusterView:
        return self.observer.view(self.clock.now(), True)

    def look(
        self, reading: Reading | None = None, out_of_time: Callable[[], bool] = lambda: False
    ) -> Mapping[int, Machine]:
        """One look; `self.api.got` then holds what was read of VMs, and nothing else."""
        view = self.view()
        self.api.got.clear()
        return self.observer.machines(view, reading or Reading([101]), Workers(), out_of_time)

    def reads_again(self, reading: Reading | None = None) -> bool:
        self.look(reading)
        return bool(self.api.got)

    def wrote(self, reason: str = "write", firewall: bool = False) -> None:
        self.store.cache.mark_dirty("demo", 101, self.clock.now(), reason, firewall=firewall)  # type: ignore[arg-type]


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def cores(found: Mapping[int, Machine]) -> int:
    config = found[101].config
    assert config is not None, found[101].problem
    return config.wanted.integer("cores", 0)


def test_an_unreachable_cluster_is_a_view_with_its_problem(cluster: Cluster) -> None:
    cluster.answers["/cluster/status"] = [Unavailable("no route to pve1")]
    assert cluster.view().problem == "cluster demo: no route to pve1"
    assert cluster.view().vms == {}


def test_a_look_makes_four_constant_reads(cluster: Cluster) -> None:
    cluster.view()
    expected = ["status", "log", "tasks", "resources"]
    assert cluster.api.got == [f"/cluster/{name}" for name in expected]


def test_a_vm_is_read_once_and_then_believed(cluster: Cluster) -> None:
    assert cores(cluster.look()) == 2
    assert cluster.api.got == [CONFIG]
    cluster.restart()
    assert cores(cluster.look()) == 2
    assert cluster.api.got == []


def test_vms_that_are_not_listed_are_not_asked_for(cluster: Cluster) -> None:
    assert cluster.look(Reading([101, 999])).keys() == {101}


def test_a_row_that_moved_is_a_reason_to_read(cluster: Cluster) -> None:
    cluster.look()
    cluster.answers["/cluster/resources"] = [[*NODES, listed(101, tags="new")]]
    assert cluster.reads_again()
    assert not cluster.reads_again()


def test_a_log_line_is_a_reason_to_read_even_for_the_next_process(cluster: Cluster) -> None:
    cluster.look()
    cluster.answers["/cluster/log"] = [[{"node": "pve1", "uid": 3, "msg": "-"}]]
    cluster.look()
    cluster.answers["/cluster/log"] = [
        [{"node": "pve1", "uid": uid, "msg": "update VM 101: -cores 4"} for uid in (3, 4)]
    ]
    cluster.view()
    cluster.restart()
    assert cluster.reads_again()
    assert not cluster.reads_again()


def test_a_node_whose_log_was_lost_makes_its_vms_be_read(cluster: Cluster) -> None:
    cluster.look()
    cluster.answers["/cluster/log"] = [[{"node": "pve1", "uid": 3, "msg": "-"}]]
    assert cluster.reads_again()


def test_a_task_is_a_reason_to_read_when_it_begins_and_when_it_ends(cluster: Cluster) -> None:
    cluster.look()
    running = {"upid": "U", "type": "qmconfig", "id": "101"}
    cluster.answers["/cluster/tasks"] = [[running]]
    assert cluster.reads_again()
    assert not cluster.reads_again()
    cluster.answers["/cluster/tasks"] = [[{**running, "endtime": 9, "status": "OK"}]]
    assert cluster.reads_again()
    assert not cluster.reads_again()


def test_our_own_write_is_a_reason_to_read(cluster: Cluster) -> None:
    cluster.look()
    cluster.wrote()
    assert cluster.reads_again()
    assert not cluster.reads_again()


def test_a_dry_run_reads_what_moved_and_leaves_no_trace(cluster: Cluster) -> None:
    cluster.look()
    cluster.answers["/cluster/log"] = [[{"node": "pve1", "uid": 3, "msg": "-"}]]
    for _ in range(2):
        cluster.restart(dry=True)
        assert cluster.reads_again()
        assert not cluster.store.cache.all("demo")[101].dirty
    cluster.restart()
    assert cluster.reads_again()


def test_two_equal_digests_settle_a_write_whose_answer_was_lost(cluster: Cluster) -> None:
    """Design 3.2: after MaybeRunning one read is not enough."""
    cluster.look()
    cluster.wrote("maybe-running")
    first = cluster.look()[101]
    assert first.passing
    assert first.problem is not None
    assert "the answer to our last write was lost" in first.problem
    assert cores(cluster.look()) == 2
    assert not cluster.reads_again()


def test_another_digest_in_between_begins_the_proof_anew(cluster: Cluster) -> None:
    cluster.look()
    cluster.wrote("maybe-running")
    cluster.look()
    cluster.answers[CONFIG] = [pending("d2", cores=4)]
    cluster.restart()
    assert cluster.look()[101].passing
    assert cores(cluster.look()) == 4


@pytest.mark.parametrize("sign", ["lock", "task"])
def test_a_lock_or_a_task_in_between_begins_the_proof_anew(cluster: Cluster, sign: str) -> None:
    cluster.look()
    cluster.wrote("maybe-running")
    cluster.look()
    quiet = dict(cluster.answers)
    if sign == "lock":
        cluster.answers["/cluster/resources"] = [[*NODES, listed(101, lock="backup")]]
    else:
        cluster.answers["/cluster/tasks"] = [[{"upid": "U", "type": "qmconfig", "id": "101"}]]
    assert cluster.look()[101].passing
    cluster.answers.update(quiet)
    assert cluster.look()[101].passing
    assert cores(cluster.look()) == 2


@pytest.mark.parametrize(("began", "holds"), [(100, True), (130, False)])
def test_c_09_a_shutdown_that_hangs_holds_up_no_proof(
    cluster: Cluster, began: int, holds: bool
) -> None:
    """Else a guest that does not listen could never be switched off."""
    start = int(AT.timestamp()) - began
    task: Json = {"upid": "U", "type": "qmshutdown", "id": "101", "starttime": start}
    cluster.answers["/cluster/tasks"] = [[task]]
    cluster.look()
    cluster.wrote("maybe-running")
    cluster.look()
    assert cluster.look()[101].passing is holds


RESOURCES = "/cluster/ha/resources"


def test_ha_is_read_where_a_spec_or_a_row_speaks_of_it(cluster: Cluster) -> None:
    cluster.answers[RESOURCES] = [[{"sid": "vm:101", "state": "stopped"}]]
    assert cluster.view().ha is None
    assert cluster.observer.view(AT, ha=True).ha == {101: HAResource(101, "stopped")}
    cluster.answers["/cluster/resources"] = [[*NODES, listed(101, hastate="stopped")]]
    assert cluster.view().ha == {101: HAResource(101, "stopped")}
    assert cluster.api.got.count(RESOURCES) == 2


def test_ha_that_may_not_be_read_is_unknown_and_hinders_nothing(cluster: Cluster) -> None:
    cluster.answers[RESOURCES] = [Forbidden("Permission check failed (/, Sys.Audit)")]
    view = cluster.observer.view(AT, ha=True)
    assert (view.ha, view.problem) == (None, None)


def test_a_dry_run_does_not_settle_a_doubt(cluster: Cluster) -> None:
    cluster.look()
    cluster.wrote("maybe-running")
    cluster.restart(dry=True)
    assert cluster.look()[101].passing
    assert cluster.look()[101].passing


def test_a_vm_that_went_away_while_it_was_read_is_looked_at_again(cluster: Cluster) -> None:
    cluster.answers[CONFIG] = [NotFound("no such vm")]
    found = cluster.look()[101]
    assert found.passing
    assert found.problem == "vm/101 has moved from pve1 or is being removed: looking again"


def test_a_vm_that_could_not_be_read_is_unknown_until_it_is(cluster: Cluster) -> None:
    """Its cached config is not believed meanwhile, and it takes nobody's turn in the rotation."""
    cluster.look()
    cluster.answers[CONFIG] = [Forbidden("Permission check failed")]
    found = cluster.look(Reading([101], rotation=1))[101]
    assert (found.problem, found.passing) == (
        "vm/101 could not be read: Permission check failed",
        False,
    )
    cluster.restart()
    assert cluster.look()[101].config is None
    cluster.answers[CONFIG] = [pending(cores=8)]
    assert cores(cluster.look()) == 8


def test_an_answer_without_sense_is_that_vms_problem(cluster: Cluster) -> None:
    cluster.answers[CONFIG] = [[{"value": 1}]]
    problem = cluster.look()[101].problem
    assert problem is not None
    assert "vm/101: Proxmox's answer cannot be read" in problem


def test_what_was_cached_without_sense_is_that_vms_problem() -> None:
    for kept in (
        CachedVM(101, "no json"),
        CachedVM(101, "[1]"),
        CachedVM(101, "[]", firewall_json='{"options": [1], "rules": [], "ipsets": {}}'),
    ):
        problem = machine(kept).problem
        assert problem is not None
        assert "cannot be read" in problem


def test_a_vm_on_a_node_that_is_not_online_is_not_asked_for(cluster: Cluster) -> None:
    cluster.look()
    for rows in ([{"type": "node", "node": "pve1", "status": "offline"}], []):
        cluster.answers["/cluster/resources"] = [[*rows, listed(101)]]
        cluster.wrote()
        assert cluster.look() == {}
        assert cluster.api.got == []


def test_what_is_not_read_in_time_is_unknown_and_believed_again_later(cluster: Cluster) -> None:
    cluster.look()
    found = cluster.look(Reading([101], rotation=1), lambda: True)[101]
    assert found.problem is not None
    assert "the time for observation is out" in found.problem
    assert not cluster.store.cache.all("demo")[101].dirty


def test_a_firewall_is_read_once_where_it_is_ours(cluster: Cluster) -> None:
    ours = Reading([101], firewalls=[101])
    assert cluster.look()[101].firewall is None
    found = cluster.look(ours)[101]
    assert found.firewall is not None
    assert (found.firewall.options, found.firewall.read_at) == ({"enable": "1"}, cluster.clock.at)
    assert not cluster.reads_again(ours)


def test_a_config_read_again_keeps_the_firewall_read_before(cluster: Cluster) -> None:
    ours = Reading([101], firewalls=[101])
    cluster.look(ours)
    cluster.wrote()
    assert cluster.look(ours)[101].firewall is not None
    assert cluster.api.got == [CONFIG]


def test_a_firewall_write_makes_the_firewall_be_read(cluster: Cluster) -> None:
    ours = Reading([101], firewalls=[101])
    cluster.look(ours)
    cluster.wrote(firewall=True)
    cluster.look(ours)
    assert f"{FIREWALL}/options" in cluster.api.got


def test_a_turn_in_the_rotation_reads_config_and_firewall(cluster: Cluster) -> None:
    """Drift without a hint: a file edited by hand, a rule added in the GUI."""
    ours = Reading([101], firewalls=[101], rotation=1)
    cluster.look(ours)
    cluster.look(ours)
    assert cluster.api.got == [
        CONFIG,
        *(f"{FIREWALL}/{name}" for name in ("options", "rules", "ipset")),
    ]


def test_templates_are_read_but_take_no_turn(cluster: Cluster) -> None:
    both = Reading([], others=[101], rotation=5)
    assert cluster.reads_again(both)
    assert not cluster.reads_again(both)


def test_a_firewall_is_text_with_only_our_kinds_of_sets_listed() -> None:
    base = FIREWALL
    answers = Answers(
        {
            f"{base}/options": [{"enable": 1, "policy_in": "DROP", "digest": "x"}],
            f"{base}/rules": [
                [
                    {"pos": 1, "type": "in", "digest": "x"},
                    {"pos": 0, "type": "out", "comment": "ours"},
                ]
            ],
            f"{base}/ipset": [[{"name": "ipfilter-net0"}, {"name": "foreign"}, {"name": "wm-101"}]],
            f"{base}/ipset/ipfilter-net0": [[{"cidr": "192.0.2.9"}, {"cidr": "192.0.2.3"}]],
            f"{base}/ipset/wm-101": [[]],
        }
    )
    found = parse_firewall(read_firewall(answers, vm(101)), AT)
    assert found.options == {"enable": "1", "policy_in": "DROP"}
    assert found.rules == (
        SeenRule(0, {"type": "out", "comment": "ours"}),
        SeenRule(1, {"type": "in"}),
    )
    assert [rule.comment for rule in found.rules] == ["ours", ""]
    assert found.ipsets == {
        "foreign": (),
        "ipfilter-net0": ("192.0.2.3", "192.0.2.9"),
        "wm-101": (),
    }
    assert parse_firewall('{"options": null, "rules": [], "ipsets": {}}', None).options == {}


def read_on(vmid: int, config: int, firewall: int | None = None) -> CachedVM:
    at = AT + timedelta(seconds=config)
    of_firewall = AT + timedelta(seconds=firewall) if firewall is not None else None
    return CachedVM(vmid, "[]", read_at=at, firewall_read_at=of_firewall)


def test_the_rotation_takes_who_was_verified_longest_ago() -> None:
    kept = [read_on(1, 5), read_on(2, 3), read_on(3, 4), CachedVM(4, "[]")]
    assert rotation(kept, [], 2) == {4, 2}
    assert rotation(kept, [], 0) == set()


def test_a_firewall_counts_as_verified_only_by_its_own_reading() -> None:
    kept = [read_on(1, 9, 1), read_on(2, 5)]
    assert rotation(kept, [1], 1) == {1}


def test_a_firewall_that_is_no_longer_ours_takes_no_turn_from_others() -> None:
    """Else its old reading would make it the first for ever."""
    kept = [read_on(1, 9, 1), read_on(2, 5)]
    assert rotation(kept, [], 1) == {2}


@pytest.mark.parametrize(
    ("vms", "since", "every", "share"),
    [
        (0, 60, None, 0),
        (12, 60, None, 1),
        (12, 0, None, 1),
        (450, 60, None, 30),
        (600, 60, None, 1),
        (10_000, 60, None, 7),
        (12, 60, 60, 12),
        (12, 6000, None, 12),
    ],
)
def test_the_share_is_what_covers_all_in_time(
    vms: int, since: float, every: float | None, share: int
) -> None:
    assert rotation_share(vms, since, every) == share


@given(
    vms=st.integers(1, 12),
    gaps=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    every=st.integers(60, 900),
    firewalls=st.sets(st.integers(0, 11)),
)
def test_everyone_is_verified_within_the_time_however_the_runs_fall(
    vms: int, gaps: list[int], every: int, firewalls: set[int]
) -> None:
    """No VM is older than `verify_every` and the longest pause between two runs."""
    kept = {vmid: read_on(vmid, 0, 0) for vmid in range(vms)}
    now = 0
    for gap in gaps:
        now += gap
        turn = rotation(kept.values(), firewalls, rotation_share(vms, gap, every))
        for vmid in turn:
            kept[vmid] = read_on(vmid, now, now if vmid in firewalls else None)
        for one in kept.values():
            assert one.read_at is not None
            age = (AT + timedelta(seconds=now) - one.read_at).total_seconds()
            assert age < every + max(gaps)


def test_a_vm_that_nobody_may_read_starves_nobody() -> None:
    cluster = Cluster()
    cluster.answers["/cluster/resources"] = [[*NODES, *(listed(101 + n) for n in range(3))]]
    for vmid in (102, 103):
        path = f"/nodes/pve1/qemu/{vmid}/pending"
        cluster.answers[path] = [pending(cores=1)]
        cluster.store.bindings.bind(Binding(f"vm-{vmid}", "demo", vmid, ""))
    everyone = Reading([101, 102, 103], rotation=1)
    cluster.restart()
    cluster.look(everyone)
    cluster.answers[CONFIG] = [Forbidden("no")]
    read: set[str] = set()
    for _ in count(), *range(4):
        cluster.look(everyone)
        read.update(cluster.api.got)
    assert {f"/nodes/pve1/qemu/{vmid}/pending" for vmid in (102, 103)} <= read


def test_when_no_known_line_is_left_every_vm_is_read(cluster: Cluster) -> None:
    """Also those of a node that never stood in the log: its lines may have come and gone."""
    cluster.answers["/cluster/log"] = [[{"node": "pve2", "uid": 3, "msg": "-"}]]
    cluster.look()
    assert not cluster.reads_again()
    cluster.answers["/cluster/log"] = [[{"node": "pve2", "uid": 900, "msg": "-"}]]
    assert cluster.reads_again()
