"""A lost store is rebuilt from the marks in Proxmox; nothing is written there."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from desired.catalog import Pool
from desired.source import Fleet
from reconciler.clock import Workers
from reconciler.execute import Executor
from reconciler.neighbours import Neighbours
from reconciler.rebuild import Found, Rebuilt, find_marked, take_in
from reconciler.site import Site
from state.api import Forbidden, Json, Unavailable
from state.memory import Phase
from state.observe import Observer
from state.store import Store
from tests.engine import (
    AT,
    DEMO,
    UUID,
    Answer,
    Answers,
    HandClock,
    binding,
    fleet,
    lease,
    marked,
    pending,
    spec,
)

TAGGED: dict[str, Json] = {"type": "qemu", "node": "pve1", "tags": "web;reconcile-demo"}
PLAIN: dict[str, object] = {
    "description": f"A shop.\n\n{marked('web-1', 101, 'old')}",
    "smbios1": f"uuid={UUID}",
    "name": "web-1",
    "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0",
    "ipconfig0": "ip=192.0.2.4/29,gw=192.0.2.1,ip6=dhcp",
}

LEASE = replace(lease("web-1", "192.0.2.4"), gateway="192.0.2.1", dns=("192.0.2.1", "192.0.2.2"))
POOL_ELSEWHERE = Pool.model_validate({"network": "192.0.2.0/29", "cluster": "lab"})


@dataclass
class Ruins:
    """A cluster with marked VMs and a store that knows none of them."""

    source: Fleet = field(default_factory=lambda: fleet(spec(name="web-1", name_template="w")))
    store: Store = field(default_factory=lambda: Store.temporary(at=AT))
    answers: dict[str, Sequence[Answer]] = field(default_factory=dict)
    rows: list[Json] = field(
        default_factory=lambda: [{"type": "node", "node": "pve1", "status": "online"}]
    )

    def __post_init__(self) -> None:
        for name in ("log", "tasks", "status"):
            self.answers[f"/cluster/{name}"] = [[]]
        self.answers["/cluster/resources"] = [self.rows]

    def add(self, vmid: int = 101, status: str = "running", **values: object) -> None:
        """A VM that bears our tag; `values` over those of the plain one."""
        self.rows.append({**TAGGED, "vmid": vmid, "status": status})
        base = f"/nodes/pve1/qemu/{vmid}"
        self.answers[f"{base}/pending"] = [pending(**PLAIN | values)]
        self.sets(vmid)

    def sets(self, vmid: int = 101, **sets: list[str]) -> None:
        base = f"/nodes/pve1/qemu/{vmid}/firewall"
        self.answers[f"{base}/options"] = self.answers[f"{base}/rules"] = [[]]
        self.answers[f"{base}/options"] = [{}]
        names = {name.replace("_", "-"): cidrs for name, cidrs in sets.items()}
        self.answers[f"{base}/ipset"] = [[{"name": name} for name in names]]
        for name, cidrs in names.items():
            self.answers[f"{base}/ipset/{name}"] = [[{"cidr": one} for one in cidrs]]

    def look(self) -> Rebuilt:
        clock = HandClock(step=0.001)
        api = Answers(self.answers)
        observer = Observer("demo", api, self.store, clock.now)
        executor = Executor(api, self.store, {}, clock.now, "demo")
        site = Site("demo", DEMO, api, observer, executor, Neighbours(self.store, {}))
        found = find_marked([site], self.source, self.store, AT, Workers())
        assert api.writes == 0
        return found

    def found(self) -> Found:
        (only,) = self.look().found
        return only

    def leased(self) -> list[tuple[str, int, str, str]]:
        return [(one.nic, one.ordinal, one.address, one.pool) for one in self.found().leases]


@pytest.fixture
def ruins() -> Ruins:
    return Ruins()


def test_a_marked_vm_is_bound_to_its_key_as_it_is(ruins: Ruins) -> None:
    ruins.add()
    found = ruins.found()
    expected = binding(
        uuid=UUID,
        name_template="w",
        phase=Phase.READY,
        node="pve1",
        created_at=AT,
        ready_at=AT,
    )
    assert (found.binding, found.problem) == (expected, "")
    assert found.leases == (replace(LEASE, key="web-1"),)


@pytest.mark.parametrize(
    ("status", "password", "phase"),
    [
        ("running", None, Phase.READY),
        ("stopped", "**********", Phase.READY),
        ("stopped", None, Phase.DEPLOY),
    ],
)
def test_one_that_ran_or_has_a_password_was_ready(
    ruins: Ruins, status: str, password: str | None, phase: Phase
) -> None:
    """Its password is not made anew."""
    ruins.add(status=status, **{"cipassword": password} if password else {})
    bound = ruins.found().binding
    assert bound is not None
    assert (bound.phase, bound.ready_at) == (phase, AT if phase is Phase.READY else None)


def test_a_vm_whose_spec_is_gone_is_bound_under_the_name_in_proxmox(ruins: Ruins) -> None:
    ruins.source = fleet()
    ruins.add(name="shop")
    bound = ruins.found().binding
    assert bound is not None
    assert (bound.name, bound.name_template) == ("shop", "")


@pytest.mark.parametrize(("known", "name"), [(True, "web-1"), (False, "web-1")])
def test_a_vm_without_a_name_gets_its_specs_or_its_key(
    ruins: Ruins, known: bool, name: str
) -> None:
    ruins.source = fleet(spec()) if known else fleet()
    ruins.add(name="")
    bound = ruins.found().binding
    assert bound is not None
    assert bound.name == name


def test_addresses_come_from_cloud_init_first_and_then_from_the_nics_set(ruins: Ruins) -> None:
    """The first of each nic is the one in the guest; the others follow in order."""
    ruins.add(ipconfig0="ip=192.0.2.5/29,ip6=2001:db8::4/125", net3="virtio=BC:24:11:00:00:02")
    ruins.sets(
        ipfilter_net0=["192.0.2.6", "192.0.2.5", "192.0.2.3", "2001:db8::2"],
        ipfilter_net7=["192.0.2.2"],
    )
    assert ruins.leased() == [
        ("net0", 0, "192.0.2.5", "v4"),
        ("net0", 0, "2001:db8::4", "v6"),
        ("net0", 1, "192.0.2.3", "v4"),
        ("net0", 2, "192.0.2.6", "v4"),
        ("net0", 1, "2001:db8::2", "v6"),
        ("net7", 0, "192.0.2.2", "v4"),
    ]


def test_what_is_no_single_address_of_a_pool_is_nobodys_lease(ruins: Ruins) -> None:
    """Networks, aliases and foreign addresses of sets that a person has made."""
    ruins.add(ipconfig0="ip=dhcp,ip6=auto")
    ruins.sets(
        ipfilter_net0=["192.0.2.0/29", "dc/office", "203.0.113.9", "192.0.2.6/32"],
        ipfilter_nets=["192.0.2.3"],
        wm_101=["192.0.2.5"],
    )
    assert ruins.leased() == [("net0", 0, "192.0.2.6", "v4")]


def test_an_address_is_of_the_pool_that_the_spec_names_for_that_nic(ruins: Ruins) -> None:
    """Two pools may cut one network."""
    twin = Pool.model_validate({"network": "192.0.2.0/29"})
    nics = {"net0": {"ipv4": {"pool": "z-twin"}, "ipv6": {"pool": "gone"}}}
    ruins.source = replace(
        fleet(spec(nics=nics)), pools={"v4": twin, "z-twin": twin, "a-other": POOL_ELSEWHERE}
    )
    ruins.add()
    assert ruins.leased() == [("net0", 0, "192.0.2.4", "z-twin")]
    ruins.source = replace(ruins.source, vms={})
    assert ruins.leased() == [("net0", 0, "192.0.2.4", "v4")]


def test_a_vm_without_a_firewall_of_its_own_has_what_cloud_init_says(ruins: Ruins) -> None:
    ruins.add()
    ruins.rows[-1] = {**TAGGED, "vmid": 101, "status": "running"}
    assert [address for *_, address, _ in ruins.leased()] == ["192.0.2.4"]


def test_only_vms_with_our_tag_that_the_store_does_not_know_are_read(ruins: Ruins) -> None:
    ruins.add()
    ruins.rows.append({**TAGGED, "vmid": 102, "tags": "other"})
    ruins.store.bindings.bind(binding())
    assert ruins.look() == Rebuilt()


@pytest.mark.parametrize("text", ["nothing of ours", marked("web-1", 101, "old", "another")])
def test_a_vm_with_our_tag_but_not_our_mark_is_foreign(ruins: Ruins, text: str) -> None:
    ruins.add(description=text)
    assert ruins.look() == Rebuilt()


def test_a_copy_that_somebody_made_is_told_of_and_not_taken(ruins: Ruins) -> None:
    ruins.add(555)
    found = ruins.found()
    assert (found.key, found.vmid, found.binding) == ("web-1", 555, None)
    assert found.problem == "is a copy of vm 101 that somebody made: foreign"
    assert take_in(ruins.look(), ruins.store, AT) == [f"web-1 (vm 555): {found.problem}"]


def test_a_vm_that_cannot_be_read_is_told_of(ruins: Ruins) -> None:
    ruins.add()
    ruins.answers["/nodes/pve1/qemu/101/pending"] = [Forbidden("Permission check failed")]
    assert "Permission check failed" in ruins.found().problem
    ruins.rows[0] = {"type": "node", "node": "pve1", "status": "offline"}
    assert ruins.found().problem == "could not be read"


def test_a_cluster_that_is_not_reached_is_told_of(ruins: Ruins) -> None:
    ruins.answers["/cluster/status"] = [Unavailable("no route")]
    assert take_in(ruins.look(), ruins.store, AT) == ["cluster demo: no route"]


def test_an_empty_store_takes_over_the_lost_ones_id(ruins: Ruins) -> None:
    """So that the marks are known as its own."""
    ruins.add()
    assert take_in(ruins.look(), ruins.store, AT) == []
    assert ruins.store.id == "old"
    assert ruins.store.bindings.all().keys() == {"web-1"}
    assert ruins.store.leases.taken() == {"192.0.2.4"}
    assert take_in(ruins.look(), ruins.store, AT) == []


def test_a_store_that_knows_vms_keeps_its_id_and_says_whose_marks_it_saw(ruins: Ruins) -> None:
    ruins.store.bindings.bind(binding("other", 999))
    ruins.add()
    (problem,) = take_in(ruins.look(), ruins.store, AT)
    assert problem == "markers of other stores (old): those VMs stay untouched"
    assert ruins.store.id != "old"


def test_an_address_that_two_vms_have_is_given_to_the_first(ruins: Ruins) -> None:
    ruins.add()
    ruins.add(102, description=marked("web-2", 102, "old"))
    (problem,) = take_in(ruins.look(), ruins.store, AT)
    assert problem.startswith("web-2 (vm 102): ")
    assert ruins.store.bindings.all().keys() == {"web-1"}
