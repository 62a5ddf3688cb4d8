"""What nodes have left: what is observed, less what is promised and what no figure shows yet."""

from desired.catalog import PlacementRules
from desired.units import GIB
from reconciler.allocation.capacity import Capacity, cpus_of
from tests.engine import binding, node, spec, storage, view, vm


def test_free_ram_is_what_the_node_shows_less_what_is_planned_there() -> None:
    world = view(nodes=[node("a", free=4)])
    capacity = Capacity.of(world)
    capacity.place(spec("one", memory="1GiB", cpu={"cores": 2, "sockets": 2}), "a", {})
    capacity.place(spec("two"), "elsewhere", {})
    assert capacity.ram == {"a": 3 * GIB, "elsewhere": 0}
    assert capacity.cpus == {"a": 4, "elsewhere": 1}
    assert capacity.ours == {"a": 1, "elsewhere": 1}


def test_a_clone_counts_where_it_is_to_be_until_it_runs() -> None:
    """The nodes' figures do not show it yet, and the next VM must not be put on top of it."""
    rows = [vm(101, "pve1", lock="clone"), vm(102, maxmem=GIB, maxcpu=3), vm(103, status="running")]
    world = view([*rows, vm(105, maxmem=GIB)])
    capacity = Capacity.of(world)
    two = spec(memory="2GiB", cpu={"cores": 2})
    capacity.expect(world, binding("a", 101, node="pve2"), two)
    capacity.expect(world, binding("b", 102), None)
    capacity.expect(world, binding("c", 103), two)
    capacity.expect(world, binding("d", 104, node="pve3"), two)
    capacity.expect(world, binding("e", 105, node="pve1"), two, target="pve3")
    assert capacity.ram == {"pve1": 7 * GIB, "pve2": 6 * GIB, "pve3": 6 * GIB}
    assert capacity.cpus == {"pve1": 3, "pve2": 2, "pve3": 2}


def test_the_disks_of_a_clone_count_until_it_runs() -> None:
    """A clone takes little at first, and grows to what its spec says."""
    rows = storage("local", "pve1", "pve2", kind="lvm", total=100 * GIB, used=10 * GIB)
    world = view([vm(101, "pve1")], storages=tuple(rows))
    capacity = Capacity.of(world)
    disks = {
        "system": {"size": "20GiB"},
        "scsi1": {"size": "5GiB", "storage": "local"},
        "scsi2": {},
    }
    capacity.expect(world, binding("a", 101, node="pve1"), spec(storage="local", disks=disks))
    assert [capacity.free(row) for row in rows] == [65 * GIB, 90 * GIB]


def test_a_guest_that_was_just_started_will_still_take_its_memory() -> None:
    running = {"status": "running", "maxmem": 3 * GIB, "mem": GIB, "maxcpu": 2}
    rows = [
        vm(101, "pve1", uptime=30, **running),
        vm(102, "pve1", uptime=3600, **running),
        vm(103, "pve9", uptime=30, **running),
    ]
    capacity = Capacity.of(view(rows, [node("pve1", free=8)]))
    assert capacity.ram == {"pve1": 6 * GIB}
    assert capacity.cpus == {"pve1": 4, "pve9": 2}


def test_disks_take_of_thin_storage_less_than_their_size() -> None:
    """The limit of overcommitment is the fleet's."""
    fields = {"total": 100 * GIB, "used": 40 * GIB}
    rows = [
        *storage("thin", "pve1", kind="lvmthin", **fields),
        *storage("thick", "pve1", kind="lvm", **fields),
        *storage("silent", "pve1"),
    ]
    world = view(storages=tuple(rows))
    capacity = Capacity.of(world, PlacementRules(thin_overcommit=2))
    size = 10 * GIB
    capacity.place(spec(), "pve1", {"thin": size, "thick": size, "silent": size})
    assert [capacity.free(row) for row in rows] == [55 * GIB, 50 * GIB, None]


def test_a_storage_that_nodes_share_is_counted_once() -> None:
    rows = storage("ceph", "pve1", "pve2", shared=True, total=100 * GIB, kind="rbd")
    world = view(storages=tuple(rows))
    capacity = Capacity.of(world, PlacementRules(thin_overcommit=1))
    capacity.place(spec(), "pve1", {"ceph": 10 * GIB})
    capacity.place(spec("b"), "pve2", {"ceph": 10 * GIB})
    assert [capacity.free(row) for row in rows] == [80 * GIB] * 2


def test_the_members_of_a_group_are_known_by_their_nodes() -> None:
    capacity = Capacity()
    web = [spec(f"web-{n}", anti_affinity="web") for n in (1, 2, 3)]
    for one, on in zip(web, ("pve1", "pve1", "pve2"), strict=True):
        capacity.know(one.key, one, on)
    assert capacity.mates(web[0], "pve1") == ("web-2",)
    assert capacity.mates(web[2], "pve1") == ("web-1", "web-2")
    assert capacity.mates(spec("other"), "pve1") == ()


def test_the_cpus_of_a_vm_are_its_cores_times_its_sockets() -> None:
    asked = [{"cores": 4}, {"sockets": 2}, {"cores": 2, "sockets": 2}, {"limit": 1.0}]
    assert [cpus_of(spec(cpu=one), 3) for one in asked] == [4, 2, 4, 3]
    assert [cpus_of(spec(), 0), cpus_of(spec())] == [1, 1]
