"""Which nodes have a mapped device or a file that only some have."""

from typing import Any

from desired.spec import VMSpec
from reconciler.allocation.capacity import Capacity
from reconciler.allocation.holdings import Holdings
from reconciler.allocation.placing import Placed, place
from reconciler.allocation.terrain import Terrain
from state.api import Forbidden, Json
from state.observed import StorageRow
from tests.engine import Answers, machine, spec, storage, template, view

PCI: Json = [
    {"id": "gpu", "map": ["node=pve2,path=0000:01:00.0,id=10de:1eb8", "node=pve3,path=x,id=y"]},
    {"id": "odd", "map": None},
    {"id": "vague", "map": ["path=only"]},
]
NODES = ("pve1", "pve2", "pve3")
LOCAL = storage("local", *NODES, content=frozenset({"iso", "snippets"}))
ISO = "local:iso/d.iso"


def content(on: str, name: str = "local") -> str:
    return f"/nodes/{on}/storage/{name}/content"


def chosen(wanted: VMSpec, api: Answers, storages: list[StorageRow] = LOCAL) -> Placed:
    rows = [template(9000 + number, on) for number, on in enumerate(NODES)]
    world = view(rows, storages=tuple(storages))
    inside = dict.fromkeys(world.vms, machine(scsi0="local-lvm:base,size=3G"))
    answer = place(
        wanted, tuple(world.vms), Terrain(world, inside, Capacity.of(world), Holdings(api))
    )
    assert isinstance(answer, Placed)
    return answer


def against(answer: Placed) -> dict[str, tuple[str, ...]]:
    assert answer.placing.choice is not None
    return {one.node: one.against for one in answer.placing.choice.verdicts if one.against}


def test_a_vm_goes_where_its_mapped_device_is() -> None:
    api = Answers({"/cluster/mapping/pci": [PCI]})
    wanted = spec(pci={"hostpci0": "gpu", "hostpci1": "none"})
    answer = chosen(wanted, api)
    assert answer.node == "pve2"
    assert against(answer) == {"pve1": ("mapping gpu has no pci device there",)}


def test_every_kind_of_mapping_is_asked_for_once() -> None:
    row: Json = [{"id": "stick", "map": ["node=pve3,id=1"]}]
    api = Answers({f"/cluster/mapping/{kind}": [row] for kind in ("usb", "dir")})
    shared: dict[str, Any] = {
        "usb": {"usb0": "stick"},
        "virtiofs": {"virtiofs0": {"mapping": "stick"}},
    }
    assert chosen(spec(**shared), api).node == "pve3"
    holdings = Holdings(api)
    assert [holdings.mapped("usb", name) for name in ("stick", "stick", "other")] == [
        frozenset({"pve3"}),
        frozenset({"pve3"}),
        frozenset(),
    ]
    assert api.got.count("/cluster/mapping/usb") == 2


def test_a_mapping_that_is_seen_on_no_node_keeps_nobody_away() -> None:
    """A right may be missing, or the mapping: Proxmox then says so."""
    denied = Answers({"/cluster/mapping/pci": [Forbidden("Permission check failed")]})
    assert chosen(spec(pci={"hostpci0": "gpu"}), denied).node == "pve1"
    api = Answers({"/cluster/mapping/pci": [PCI]})
    for name in ("odd", "vague", "unknown"):
        assert chosen(spec(pci={"hostpci0": name}), api).node == "pve1"


def test_a_vm_goes_where_its_iso_and_its_snippets_are() -> None:
    """CI-07"""
    there: Json = [{"volid": ISO}, {"volid": "local:snippets/u.yaml"}]
    nothing: Json = []
    api = Answers({content("pve1"): [nothing], content("pve2"): [there], content("pve3"): [there]})
    custom = {"custom": {"user": {"volume": "local:snippets/u.yaml"}, "network": "none"}}
    answer = chosen(spec(iso=ISO, cloudinit=custom), api)
    assert answer.node == "pve2"
    assert against(answer) == {
        "pve1": (f"{ISO} is not there", "local:snippets/u.yaml is not there")
    }
    assert chosen(spec(iso="none"), Answers()).node == "pve1"


def test_a_shared_storage_is_asked_once_for_its_files() -> None:
    shared = storage("nfs", *NODES, shared=True)
    api = Answers({content("pve1", "nfs"): [[{"volid": "nfs:iso/d.iso"}, "odd"]]})
    holdings = Holdings(api)
    rows = {row.node: row for row in shared}
    found = [holdings.holding("nfs:iso/d.iso", "iso", rows) for _ in range(2)]
    assert found == [frozenset(NODES)] * 2
    assert len(api.got) == 1


def test_a_storage_that_cannot_be_listed_keeps_nobody_away() -> None:
    odd = Answers({content("pve1"): [None], content("pve2"): [Forbidden("no")]})
    assert chosen(spec(iso=ISO), odd).node == "pve1"
