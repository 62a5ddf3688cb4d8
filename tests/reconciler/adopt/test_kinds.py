"""Keys and packages: legal, unique, and the same however often they are made."""

from typing import Any

from desired.merge import merge
from reconciler.adopt.kinds import keyed, kinds_of
from reconciler.adopt.tree import beyond, silenced


def test_a_key_is_the_name_made_legal() -> None:
    names = {("demo", 100): "web 1", ("demo", 101): "-x-", ("demo", 102): "", ("demo", 103): "ß"}
    assert list(keyed(names, ()).values()) == ["web-1", "x", "vm-102", "vm-103"]


def test_vms_of_one_name_and_taken_keys_get_their_vmid() -> None:
    names = {("demo", 100): "web", ("demo", 101): "WEB", ("lab", 102): "db", ("lab", 103): "app"}
    found = keyed(names, {"db/1", "app", "app-103"})
    assert list(found.values()) == ["web-100", "WEB-101", "db-102", "app-103-lab"]
    assert keyed(dict(reversed(names.items())), {"db/1", "app", "app-103"}) == found


def test_a_name_that_is_taken_in_every_form_still_has_a_key() -> None:
    taken = {"a", "a-100", "a-100-demo", "vm-100-demo"}
    assert keyed({("demo", 100): "a"}, taken) == {("demo", 100): "vm-100-4"}


def vm(cores: int = 2, disk: str = "8GiB", **more: Any) -> dict[str, Any]:
    disks = {"system": {"size": disk, "storage": "lvm"}}
    return {"cpu": {"cores": cores}, "memory": "2GiB", "disks": disks, **more}


def test_what_most_agree_on_is_a_package_and_a_vm_keeps_what_differs() -> None:
    trees = {f"w{n}": ("demo", vm()) for n in range(3)}
    trees["w3"] = ("demo", vm(disk="9GiB", onboot=True))
    trees["w4"] = ("demo", {**vm(), "disks": {}})
    trees["lone"] = ("demo", vm(cores=4))
    found = kinds_of(trees, ())
    assert found.packages == {"adopted-2c-2gib": vm()}
    assert found.entries["w0"] == {"package": "adopted-2c-2gib"}
    assert found.entries["w3"]["disks"] == {"system": {"size": "9GiB"}}
    assert found.entries["w3"]["onboot"] is True
    assert found.entries["lone"] == vm(cores=4)
    for key, (_, tree) in trees.items():
        package = found.packages.get(found.of.get(key, ""), {})
        own = {name: one for name, one in found.entries[key].items() if name != "package"}
        assert merge(merge({}, package), own) == tree


def test_vms_of_two_clusters_share_no_package_and_names_are_not_taken_twice() -> None:
    trees = {f"{c}{n}": (c, vm()) for c in ("a", "b") for n in range(3)}
    assert sorted(kinds_of(trees, {"adopted-2c-2gib"}).packages) == [
        "adopted-2c-2gib-2",
        "adopted-2c-2gib-3",
    ]


def test_a_disk_of_which_only_a_part_is_shared_stays_with_each_vm() -> None:
    def tree(size: str) -> dict[str, Any]:
        return {**vm(), "disks": {"scsi1": {"size": size, "storage": "lvm"}}}

    found = kinds_of({size: ("demo", tree(size)) for size in ("1GiB", "2GiB", "3GiB")}, ())
    assert found.packages == {"adopted-2c-2gib": {"cpu": {"cores": 2}, "memory": "2GiB"}}


def test_a_tree_is_silenced_where_only_what_is_below_speaks() -> None:
    below = {"a": {"b": 1, "c": 2}, "d": {"e": 1}, "f": None, "g": {"h": 1}}
    tree: dict[str, object] = {"a": {"b": 3}, "g": "text"}
    assert silenced(tree, below) == {"a": {"b": 3, "c": None}, "d": None, "g": "text"}


def test_true_is_not_one() -> None:
    assert beyond({"a": True}, {"a": 1}) == {"a": True}
    assert beyond({"a": 1}, {"a": 1, "b": {"c": 2}}) == {"b": None}
