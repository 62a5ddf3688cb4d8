"""The folder as a source."""

import gc
from pathlib import Path

import pytest

from desired.errors import UnusableSource
from desired.files import FileSource
from tests.desired.fleets import AT, BASE, lines, load, write_fleet


def test_a_missing_folder_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(UnusableSource, match="expected a folder"):
        FileSource(tmp_path / "nowhere").load({}, AT)


def test_an_unreadable_file_is_unusable(tmp_path: Path) -> None:
    write_fleet(tmp_path, {})
    (tmp_path / "vms" / "folder.yaml").mkdir()
    with pytest.raises(UnusableSource, match=r"folder.yaml:1:1: cannot be read"):
        FileSource(tmp_path).load({}, AT)


def test_text_that_is_not_utf_8_is_unusable(tmp_path: Path) -> None:
    write_fleet(tmp_path, {})
    (tmp_path / "vms" / "latin.yaml").write_bytes(b"a: {description: \xe9}\n")
    with pytest.raises(UnusableSource, match="expected UTF-8"):
        FileSource(tmp_path).load({}, AT)


def test_hidden_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    files = {"vms/.#web.yaml": "broken: {", "vms/.git/x.yaml": "x: {", "vms/notes.txt": "no: {"}
    fleet = load(tmp_path, {**files, "vms/deep/er/w.yml": "w: {}\n"})
    assert sorted(fleet.vms) == ["ok", "w"]
    assert not fleet.errors


def test_the_revision_is_that_of_the_content(tmp_path: Path) -> None:
    first = load(tmp_path / "a", {})
    assert load(tmp_path / "b", {}).revision == first.revision
    assert load(tmp_path / "a", {"vms/ok.yaml": "ok: {}\n"}).revision != first.revision
    assert load(tmp_path / "c", {"vms/ok.yaml": None, "vms/o.yaml": "ok: {package: small}\n"})


def test_a_second_load_sees_what_changed_and_what_went(tmp_path: Path) -> None:
    source = FileSource(write_fleet(tmp_path, {"vms/a.yaml": "a: {}\n"}))
    assert sorted(source.load({}, AT).vms) == ["a", "ok"]
    (tmp_path / "vms/a.yaml").unlink()
    (tmp_path / "vms/ok.yaml").write_text("ok: {memory: 3GiB}\n")
    fleet = source.load({}, AT)
    assert list(fleet.vms) == ["ok"]
    assert fleet.vms["ok"].memory == 3 << 30


def test_loading_leaves_the_garbage_collector_as_it_was(tmp_path: Path) -> None:
    write_fleet(tmp_path, {})
    gc.disable()
    try:
        FileSource(tmp_path).load({}, AT)
        assert not gc.isenabled()
    finally:
        gc.enable()
    FileSource(tmp_path).load({}, AT)
    assert gc.isenabled()


def test_a_fleet_knows_broken_keys_their_machines_and_unreadable_files(tmp_path: Path) -> None:
    fleet = load(tmp_path, {"vms/a.yaml": "bad: {memory: 5}\ngroup: {count: x}\n"})
    assert [fleet.knows(key) for key in ("ok", "bad", "group/3", "gone")] == [
        True,
        True,
        True,
        False,
    ]
    torn = load(tmp_path, {"vms/torn.yaml": "torn: {\n"})
    assert torn.incomplete
    assert torn.knows("whatever was in there")


def test_the_guard_is_strictest_while_it_cannot_be_read(tmp_path: Path) -> None:
    fleet = load(tmp_path, {"fleet.yaml": BASE["fleet.yaml"] + "guard: {restarts: 50}\n"})
    assert (fleet.guard.restarts, fleet.guard.destroys) == (0, 0)
    assert "ok" in fleet.vms


def test_the_only_cluster_needs_no_name(tmp_path: Path) -> None:
    text = "fleet: t\nclusters: {one: {simulated: {}}}\ntemplates: {d: {one: [9000]}}\n"
    text += "defaults: {template: d}\nverify_every: 24h\ndatabase: /srv/fleet.db\n"
    fleet = load(tmp_path, {"fleet.yaml": text, "vms/ok.yaml": "ok: {}\ngone: {state: absent}\n"})
    assert fleet.vms["ok"].cluster == "one"
    assert fleet.vms["gone"].state == "absent"
    assert (fleet.verify_every, fleet.database, fleet.folder) == (
        86400,
        "/srv/fleet.db",
        str(tmp_path),
    )


def test_no_cluster_is_an_error_where_there_are_several(tmp_path: Path) -> None:
    text = BASE["fleet.yaml"].replace("cluster: demo, ", "")
    fleet = load(tmp_path, {"fleet.yaml": text, "vms/ok.yaml": "ok: {package: small}\n"})
    assert lines(fleet.errors, tmp_path) == [
        "vms/ok.yaml:1:1: cluster: expected a cluster, seen nothing; known: demo, other; "
        "name one here, or in defaults"
    ]


def test_an_absent_vm_does_not_hold_its_name_or_its_package(tmp_path: Path) -> None:
    vms = "old: {state: absent, name: web, package: nope, nics: {x: 1}}\nweb: {}\n"
    fleet = load(tmp_path, {"vms/a.yaml": vms})
    assert not fleet.errors
    assert fleet.vms["old"].nics == {}
    assert fleet.vms["web"].name == "web"


def test_the_head_is_the_fleet_file_alone(tmp_path: Path) -> None:
    source = FileSource(write_fleet(tmp_path, {"vms/ok.yaml": "ok: {memory: wrong}\n"}))
    assert source.head().fleet == "test"


def test_broken_clusters_and_templates_are_no_second_error(tmp_path: Path) -> None:
    text = BASE["fleet.yaml"].replace("other: {simulated: {nodes: 1}}", "other: {simulated: 5}")
    fleet = load(tmp_path, {"fleet.yaml": text, "vms/a.yaml": "a: {cluster: other}\n"})
    assert lines(fleet.errors, tmp_path) == [
        "fleet.yaml:4:22: clusters.other.simulated: expected a map, seen 5 (breaks a)"
    ]


def test_a_vm_goes_to_no_cluster_only_because_the_other_one_is_broken(tmp_path: Path) -> None:
    """OPT-06: with both sound it would have to name one."""
    text = BASE["fleet.yaml"].replace("other: {simulated: {nodes: 1}}", "other: {simulated: 5}")
    defaults = text.replace("cluster: demo, ", "")
    fleet = load(tmp_path, {"fleet.yaml": defaults, "vms/a.yaml": "a: {}\n"})
    assert "a" in fleet.broken
    assert any("expected a cluster" in line for line in lines(fleet.errors, tmp_path))


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        ("{token: {id: u@pve!t, secret: 'env:X'}}", "expected endpoints such as"),
        ("{endpoints: ['http://a:8006'], token: {id: u@pve!t, secret: 'env:X'}}", "seen 'http://a"),
        ("{endpoints: ['https://a:8006']}", "expected either token or login"),
    ],
)
def test_a_cluster_that_cannot_be_used_breaks_its_vms_only(
    tmp_path: Path, cluster: str, said: str
) -> None:
    """OPT-06: what is wrong, where, and whom it breaks."""
    text = BASE["fleet.yaml"].replace("{simulated: {nodes: 1}}", cluster)
    fleet = load(tmp_path, {"fleet.yaml": text, "vms/a.yaml": "a: {cluster: other}\nb: {}\n"})
    (line,) = lines(fleet.errors, tmp_path)
    assert said in line and line.endswith("(breaks a)")
    assert set(fleet.vms) == {"b", "ok"}


def test_of_a_vm_that_shall_go_its_tags_and_the_disks_that_stay_count(tmp_path: Path) -> None:
    vms = (
        "old:\n  state: absent\n  tags: [db, '{{ key }}']\n"
        "  disks: {scsi1: {reclaim: retain}, scsi2: {size: 1GiB}}\n"
    )
    found = load(tmp_path, {"vms/old.yaml": vms, "vms/ok.yaml": None}).vms["old"]
    assert found.tags == ("db",)
    assert {slot: disk.reclaim for slot, disk in found.disks.items()} == {"scsi1": "retain"}
