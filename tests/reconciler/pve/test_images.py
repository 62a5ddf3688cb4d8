"""Where a disk image can be read: each local storage is asked, a shared one once."""

from reconciler.pve.images import image_nodes
from state.api import Json
from state.observed import ClusterView, StorageRow
from tests.engine import Answers, storage, view

IMPORT = frozenset({"import"})


def world(*rows: StorageRow) -> ClusterView:
    return view(storages=rows)


def listing(node: str, name: str) -> str:
    return f"/nodes/{node}/storage/{name}/content"


def test_a_local_image_is_on_the_nodes_whose_storage_lists_it() -> None:
    rows = storage("local", "pve1", "pve2", "pve3", content=IMPORT)
    one: Json = {"volid": "local:import/a.qcow2"}
    other: Json = {"volid": "local:import/b.qcow2"}
    answers: dict[str, Json] = {
        "pve1": [other, one],
        "pve2": [other],
        "pve3": None,
    }
    api = Answers({listing(node, "local"): [told] for node, told in answers.items()})
    assert image_nodes(api, world(*rows), "local:import/a.qcow2") == {"pve1"}
    assert len(api.got) == 3


def test_a_shared_storage_is_asked_once_for_all_its_nodes() -> None:
    rows = storage("nfs", "pve1", "pve2", content=IMPORT, shared=True)
    api = Answers({listing("pve1", "nfs"): [[{"volid": "nfs:import/a.qcow2"}]]})
    assert image_nodes(api, world(*rows), "nfs:import/a.qcow2") == {"pve1", "pve2"}
    assert api.got == [listing("pve1", "nfs")]
    assert image_nodes(api, world(*rows), "nfs:import/b.qcow2") == frozenset()


def test_a_storage_that_is_away_or_holds_no_images_is_not_asked() -> None:
    away = storage("local", "pve1", content=IMPORT, available=False)
    plain = storage("local", "pve2", content=IMPORT)
    api = Answers({})
    assert image_nodes(api, world(*away, *plain), "local:vm-900-disk-0") == frozenset()
    assert image_nodes(api, world(*away), "local:import/a.qcow2") == frozenset()
    assert api.got == []
