"""What a VM is given before it can be compared: vmid, place, name, uuid, addresses, secrets."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from desired.catalog import Pool
from desired.source import Fleet
from desired.spec import VMSpec
from reconciler.allocation.addresses import Addresses
from reconciler.allocation.allocate import Allocated, Ground, Vmids, allocate
from reconciler.allocation.capacity import Capacity
from reconciler.allocation.terrain import Terrain
from state.memory import Attempt, Binding, Memory, OpenTask, Phase
from state.observed import ClusterView, Presence, SeenVM
from state.secret import Secret
from state.store import Store, Taken
from tests.engine import (
    AT,
    UUID,
    absent,
    binding,
    config,
    fleet,
    lease,
    machine,
    marked,
    seen,
    spec,
    storage,
    template,
    view,
    vm,
)

TEMPLATES = [template(9000 + n, f"pve{n + 1}") for n in range(3)]
LOCAL = tuple(storage("local-lvm", "pve1", "pve2", "pve3"))
NIC = {"net0": {"ipv4": {"pool": "v4"}}}


@dataclass
class Field:
    """A store and a cluster to allocate in; `free` tells what nextid says."""

    world: ClusterView = field(default_factory=lambda: view(TEMPLATES, storages=LOCAL))
    store: Store = field(default_factory=lambda: Store.temporary(at=AT))
    source: Fleet = field(default_factory=fleet)
    free: Callable[[int], bool] = lambda vmid: True
    dry: bool = False
    frozen: str | None = None

    def give(self, wanted: VMSpec | None = None, found: SeenVM | None = None) -> Allocated:
        inside = machine(scsi0="local-lvm:base-9000-disk-0")
        machines = {row.vmid: inside for row in TEMPLATES}
        used = self.store.bindings.vmids("demo") | self.world.vms.keys()
        ground = Ground(
            self.source,
            self.store,
            self.world,
            machines,
            Terrain(self.world, machines, Capacity.of(self.world, self.source.placement)),
            Addresses(self.store.leases.taken()),
            Vmids(set(used), 100, self.free),
            Secret,
            self.dry,
            self.frozen,
        )
        return allocate(wanted or spec(), found or absent(), ground)

    def bind(self, bound: Binding, **fields: object) -> SeenVM:
        """The absent VM of a binding that the store has."""
        self.store.bindings.bind(bound)
        return absent(bound.key, Memory(bound), **fields)


@pytest.fixture
def here() -> Field:
    return Field()


def bound(given: Allocated) -> Binding:
    assert given.seen.memory.binding is not None
    return given.seen.memory.binding


def note(given: Allocated) -> tuple[str | None, str]:
    (only,) = given.notes
    assert only.blocking
    return only.condition, only.reason


def test_vmids_follow_the_first_and_skip_what_is_used_anywhere() -> None:
    """DEP-12: unique in the store and in Proxmox, also where our token sees nothing."""
    vmids = Vmids({100, 102}, 100, lambda vmid: vmid != 101)
    assert [vmids.take(), vmids.take()] == [103, 104]


def test_a_new_vm_is_bound_before_anything_is_asked_of_proxmox(here: Field) -> None:
    """DEP-12, DEP-13"""
    given = here.give(spec(name="web-1", name_template="web-{{ key }}", clone="full", node="pve2"))
    expected = Binding(
        "web-1",
        "demo",
        100,
        "web-1",
        "web-{{ key }}",
        template=9001,
        template_node="pve2",
        node="pve2",
        clone="full",
        created_at=AT,
    )
    assert bound(given) == expected == here.store.bindings.of("web-1")
    assert given.seen.presence is Presence.ABSENT


def test_a_preview_binds_nothing(here: Field) -> None:
    here.dry = True
    assert bound(here.give(spec(nics=NIC))).vmid == 100
    assert here.store.bindings.all() == {}
    assert here.store.leases.taken() == set()


def test_a_vmid_that_another_process_bound_meanwhile_is_passed_over(here: Field) -> None:
    """DEP-12, IP-11: the database decides."""
    taken = here.store.bindings

    def late(vmid: int) -> bool:
        if vmid == 100:
            taken.bind(binding("other", 100))
        return True

    here.free = late
    assert bound(here.give()).vmid == 101


def test_a_binding_refused_for_another_reason_is_an_error(here: Field) -> None:
    here.store.bindings.bind(binding("web-1", 555))
    with pytest.raises(Taken):
        here.give()


def test_without_a_template_the_words_say_where_to_set_one(here: Field) -> None:
    condition, reason = note(here.give(spec(template=None)))
    assert condition == "TemplateMissing"
    assert "set template: in the VM, its package or defaults" in reason
    assert here.store.bindings.all() == {}


def test_an_adopted_vm_that_is_gone_is_not_made_of_anything(here: Field) -> None:
    condition, reason = note(here.give(spec(template=None, adopt=300)))
    assert condition == "TemplateMissing"
    assert "vm 300, which was adopted, is gone" in reason


def test_a_template_that_is_not_there_binds_nothing(here: Field) -> None:
    here.world = view()
    assert note(here.give())[0] == "TemplateMissing"
    assert here.store.bindings.all() == {}


def test_a_template_of_another_cluster_is_none(here: Field) -> None:
    here.source = fleet()
    elsewhere = replace(here.source, templates={"debian": {"lab": (9000,)}})
    here.source = elsewhere
    assert note(here.give())[0] == "TemplateMissing"


def test_a_waiting_vm_keeps_its_vmid_and_place(here: Field) -> None:
    first = bound(here.give())
    again = here.give(found=absent(memory=Memory(first)))
    assert bound(again) == first


def test_a_waiting_vm_follows_its_edited_spec(here: Field) -> None:
    """Nothing was cloned yet, so where it comes from may still change."""
    first = bound(here.give(spec(node="pve1")))
    again = bound(here.give(spec(node="pve2"), absent(memory=Memory(first))))
    assert (again.vmid, again.node, again.created_at) == (first.vmid, "pve2", AT)
    assert here.store.bindings.of("web-1") == again


def test_after_a_failed_clone_a_taken_vmid_is_given_up(here: Field) -> None:
    """DEP-13: the clone is run again; the failed one may have left its id behind."""
    first = bound(here.give())
    attempt = Attempt("web-1", "exists", 1, "clone failed", AT, AT)
    failed = absent(memory=Memory(first, attempts={"exists": attempt}))
    assert bound(here.give(found=failed)).vmid == first.vmid
    here.free = lambda vmid: vmid != first.vmid
    assert bound(here.give(found=failed)).vmid == first.vmid + 1


def test_a_clone_at_work_is_not_placed_again(here: Field) -> None:
    old = binding(template=9999, template_node="pve9", node="pve9")
    found = here.bind(old)
    task = OpenTask("UPID", "web-1", "demo", "exists", AT)
    busy = replace(found, memory=replace(found.memory, task=task))
    assert bound(here.give(found=busy)) == old


@pytest.mark.parametrize(("store", "vmid"), [("", 0), ("another", 101), ("", 55)])
def test_a_vmid_that_somebody_took_first_is_left_to_them(
    here: Field, store: str, vmid: int
) -> None:
    """DEP-12: no mark, another store's, or a copy's."""
    old = here.bind(binding()).memory
    text = marked("web-1", vmid, store or here.store.id) if vmid else ""
    theirs = seen(memory=old, config=config(description=text), store=here.store.id)
    given = here.give(found=theirs)
    assert bound(given).vmid == 100
    assert (given.seen.presence, given.seen.row) == (Presence.ABSENT, None)


@pytest.mark.parametrize("hidden", [{"row": vm(101, lock="clone")}, {"config": None}])
def test_a_vm_that_shows_nothing_yet_is_nobody_elses(
    here: Field, hidden: dict[str, object]
) -> None:
    """While a clone runs Proxmox shows a placeholder description."""
    old = here.bind(binding()).memory
    assert bound(here.give(found=seen(memory=old, **hidden))) == binding()


def test_our_machine_is_known_by_its_uuid_once_it_shows_our_mark(here: Field) -> None:
    old = here.bind(binding()).memory
    inside = config(description=marked("web-1", 101, here.store.id), smbios1=f"uuid={UUID}")
    given = here.give(found=seen(memory=old, config=inside, store=here.store.id))
    assert bound(given).uuid == UUID
    assert here.store.bindings.all()["web-1"].uuid == UUID


def test_the_node_that_a_machine_is_seen_on_is_remembered(here: Field) -> None:
    """Observed, never identity: somebody may have migrated it."""
    old = here.bind(binding(uuid=UUID, node="pve1")).memory
    given = here.give(found=seen(memory=old, row=vm(101, "pve3")))
    assert bound(given).node == "pve3"
    assert here.store.bindings.all()["web-1"].node == "pve3"


def test_a_new_vm_is_placed_before_it_is_bound(here: Field) -> None:
    """DEP-16: killed in between it is placed anew; a preview keeps nothing."""
    here.dry = True
    given = here.give()
    assert given.seen.memory.placing is not None
    assert here.store.placements.choice("web-1") is None
    here.dry = False
    here.give()
    chosen = here.store.placements.choice("web-1")
    assert chosen is not None
    assert chosen[0].node == "pve1"


def test_a_machine_renamed_while_it_was_cloned_is_still_ours(here: Field) -> None:
    """`was:` changes the key; the mark in Proxmox still says the old one."""
    old = here.bind(binding("new")).memory
    inside = config(description=marked("old", 101, here.store.id), smbios1=f"uuid={UUID}")
    given = here.give(spec("new"), seen("new", old, config=inside, store=here.store.id))
    assert (bound(given).vmid, bound(given).uuid) == (101, UUID)


def test_a_locked_clone_or_one_without_uuid_is_not_identified_yet(here: Field) -> None:
    old = here.bind(binding()).memory
    mark = marked("web-1", 101, here.store.id)
    locked = config(description=mark, smbios1=f"uuid={UUID}")
    row = vm(101, lock="clone")
    found = seen(memory=old, config=locked, row=row, store=here.store.id)
    assert bound(here.give(found=found)).uuid is None
    found = seen(memory=old, config=config(description=mark), store=here.store.id)
    assert bound(here.give(found=found)).uuid is None


def test_a_machine_that_is_surely_gone_is_placed_anew_under_its_vmid(here: Field) -> None:
    """A rebuilt store knows no template, an old one may be gone too; what it was is remembered."""
    ready = binding(uuid=UUID, phase=Phase.READY, ready_at=AT, created_at=AT)
    given = here.give(found=here.bind(ready))
    assert bound(given) == replace(ready, template=9000, template_node="pve1", node="pve1")
    assert given.seen.presence is Presence.ABSENT


def test_editing_the_name_renames_the_machine(here: Field) -> None:
    """CI-03: the stored name follows the spec's, which was rolled once."""
    old = here.bind(binding(uuid=UUID)).memory
    given = here.give(spec(name="front", name_template="front"), seen(memory=old))
    assert (bound(given).vmid, bound(given).name) == (101, "front")
    assert here.store.bindings.names()["web-1"].name == "front"


def test_a_preview_renames_nothing(here: Field) -> None:
    here.dry = True
    old = here.bind(binding(uuid=UUID)).memory
    assert bound(here.give(spec(name="front"), seen(memory=old))).name == "front"
    assert here.store.bindings.names()["web-1"].name == "web-1"


def test_a_vm_that_has_everything_costs_nothing(here: Field) -> None:
    old = here.bind(binding(uuid=UUID)).memory
    found = seen(memory=old)
    assert here.give(found=found) == Allocated(found)


def test_addresses_come_with_the_binding(here: Field) -> None:
    """DEP-11"""
    given = here.give(spec(nics=NIC))
    assert [one.address for one in given.seen.memory.leases] == ["192.0.2.3"]
    assert here.store.leases.of("web-1") == given.seen.memory.leases


def test_a_dry_pool_holds_only_the_vm_that_asks(here: Field) -> None:
    """DEP-27, IP-11"""
    narrow = Pool.model_validate({"network": "192.0.2.0/30", "gateway": "192.0.2.1"})
    here.source = replace(here.source, pools={"v4": narrow})
    assert here.give(spec(nics=NIC)).notes == ()
    assert note(here.give(spec("web-2", nics=NIC), absent("web-2")))[0] == "PoolExhausted"


def test_a_lost_store_creates_nothing(here: Field) -> None:
    here.frozen = "VMs marked as ours are not in the store"
    assert note(here.give()) == ("StoreIncomplete", here.frozen)
    gone = here.bind(binding("web-2", uuid=UUID))
    assert note(here.give(spec("web-2"), gone)) == ("StoreIncomplete", here.frozen)
    assert here.store.bindings.of("web-2") == binding("web-2", uuid=UUID)


def test_a_lost_store_leases_nothing_but_lets_those_have_their_own(here: Field) -> None:
    """The VMs that it lost may have the addresses that look free."""
    here.frozen = "lost"
    old = here.bind(binding(uuid=UUID)).memory
    held = replace(old, leases=(lease("web-1", "192.0.2.3"),))
    assert here.give(spec(nics=NIC), seen(memory=held)).notes == ()
    two = {"net0": {"ipv4": {"pool": "v4", "count": 2}}}
    assert note(here.give(spec(nics=two), seen(memory=held))) == ("StoreIncomplete", "lost")
    assert here.store.leases.taken() == set()


def test_a_vm_whose_vmid_is_somebody_elses_and_that_has_no_place_is_absent(here: Field) -> None:
    """Nobody plans anything for the machine that is there."""
    old = here.bind(binding()).memory
    here.world = view()
    given = here.give(found=seen(memory=old))
    assert given.seen.presence is Presence.ABSENT
    assert note(given)[0] == "TemplateMissing"
