"""Single volumes: look at, annotate, erase. Sources: pve-storage PVE/API2/Storage/Content.pm,
PVE/Storage/DirPlugin.pm (update_volume_attribute)."""

import pytest

from tests.sim.backup.conftest import NODE, Keeper, said

CONTENT = f"{NODE}/storage/local/content"
DOWNLOAD = f"{NODE}/storage/local/download-url"
ISO = {"content": "iso", "filename": "a/b c.iso", "url": "https://x.example/b.iso"}
MISSING = "backup/vzdump-qemu-100-2020_01_01-00_00_00.vma"


@pytest.fixture
def archive(keeper: Keeper) -> str:
    keeper.back_up(vmid=100, compress="zstd")
    return keeper.newest()


def test_an_archive_is_measured_in_sectors_and_blocks(keeper: Keeper, archive: str) -> None:
    row = keeper.get(f"{CONTENT}/{archive}")
    listed = keeper.archives()[0]["size"]
    assert row["format"] == "raw" and row["notes"] == "" and row["protected"] == 0
    assert row["size"] % 512 == 0 and 0 <= row["size"] - listed < 512
    assert row["used"] % 4096 == 0 and 0 <= row["used"] - listed < 4096
    assert row["path"] == f"/var/lib/vz/dump/{archive.partition('/')[2]}"


def test_the_storage_may_be_left_out_of_the_name(keeper: Keeper, archive: str) -> None:
    name = archive.removeprefix("local:")
    assert keeper.get(f"{CONTENT}/{name}") == keeper.get(f"{CONTENT}/{archive}")


def test_notes_are_set_and_taken_back(keeper: Keeper, archive: str) -> None:
    path = f"{CONTENT}/{archive}"
    assert keeper.ask("PUT", path, {"notes": "first\nsecond"}).status == 200
    assert keeper.get(path)["notes"] == "first\nsecond"
    assert keeper.archives()[0]["notes"] == "first"
    keeper.ask("PUT", path, {"notes": ""})
    assert keeper.get(path)["notes"] == "" and "notes" not in keeper.archives()[0]


def test_a_protected_archive_is_not_erased(keeper: Keeper, archive: str) -> None:
    path = f"{CONTENT}/{archive}"
    keeper.ask("PUT", path, {"protected": "1"})
    text = f"cannot remove protected volume '{archive.removeprefix('local:')}' on 'local'"
    task = keeper.task(keeper.ask("DELETE", path).data)
    assert (task.kind, task.id, task.status) == ("imgdel", "100@local", text)
    assert keeper.refusal("DELETE", path, {"delay": "5"}) == f"500 {text}"
    keeper.ask("PUT", path, {"protected": "0"})
    assert keeper.ask("DELETE", path, {"delay": "5"}).data is None
    assert keeper.archives() == [] and not keeper.world.rooms["backup"].archives


def test_what_is_gone_is_erased_with_a_word(keeper: Keeper) -> None:
    task = keeper.task(keeper.ask("DELETE", f"{CONTENT}/{MISSING}").data)
    assert task.lines == [
        f"disk image '/var/lib/vz/dump/{MISSING.partition('/')[2]}' does not exist",
        f"Removed volume 'local:{MISSING}'",
        "TASK OK",
    ]
    assert keeper.ask("PUT", f"{CONTENT}/{MISSING}", {"notes": "n"}).status == 200
    assert keeper.ask("PUT", f"{CONTENT}/{MISSING}", {"protected": "1"}).status == 200


@pytest.mark.parametrize(
    ("method", "path", "params", "refused"),
    [
        ("PUT", "local:iso/t.iso", {"notes": "n"}, "500 only backups can have notes"),
        (
            "PUT",
            "local:iso/t.iso",
            {"protected": "1"},
            "500 only backups support attribute 'protected'",
        ),
        ("GET", "store2:1/x.raw", {}, "volume: storage ID mismatch (store2 != local)"),
        ("GET", "_:x", {}, "volume: unable to parse volume ID '_:x'"),
        ("GET", "odd/x", {}, "500 unable to parse directory volume name 'odd/x'"),
        ("DELETE", "iso/t.iso", {"delay": "31"}, "delay: value must have a maximum value of 30"),
    ],
)
def test_what_is_refused(
    keeper: Keeper, method: str, path: str, params: dict[str, object], refused: str
) -> None:
    assert keeper.refusal(method, f"{CONTENT}/{path}", params) == refused


def test_block_storages_know_no_attributes(keeper: Keeper) -> None:
    keeper.world.storages["thin"] = thin = keeper.world.storages.pop("store2")
    thin.name, thin.kind, thin.options = "thin", "lvmthin", {}
    path = f"{NODE}/storage/thin/content/thin:vm-1-disk-0"
    refused = keeper.refusal("PUT", path, {"notes": "n"})
    assert refused == "500 volume notes are not supported for PVE::Storage::LvmThinPlugin"
    refused = keeper.refusal("PUT", path, {"protected": "1"})
    assert refused == "500 attribute 'protected' is not supported for storage type 'lvmthin'"


def test_an_image_has_no_notes(keeper: Keeper) -> None:
    row = keeper.get(f"{CONTENT}/local:100/vm-100-disk-0.qcow2")
    assert row["format"] == "qcow2" and "notes" not in row


def test_who_lists_sees_what_it_may_read(keeper: Keeper, archive: str) -> None:
    bob = keeper.user("bob@pve", ("/storage/local", "PVEDatastoreUser"))

    def seen() -> list[str]:
        return sorted({row["content"] for row in keeper.ask("GET", CONTENT, who=bob).data})

    assert seen() == ["import", "iso"]
    keeper.user("bob@pve", ("/vms/100", "PVEVMUser"), ("/storage/local", "PVEDatastoreUser"))
    assert seen() == ["backup", "import", "iso"]
    keeper.user("bob@pve", ("/vms/100", "PVEVMAdmin"))
    assert seen() == ["backup", "images", "import", "iso"]
    keeper.user("bob@pve", ("/storage/local", "PVEDatastoreAdmin"))
    assert seen() == ["backup", "images", "import", "iso"]


def test_lists_take_known_kinds_only(keeper: Keeper) -> None:
    refused = keeper.refusal("GET", CONTENT, {"content": "disks"})
    assert refused == "content: invalid format - invalid content type 'disks'"


def test_erasing_a_backup_takes_its_rights(keeper: Keeper, archive: str) -> None:
    bob = keeper.user("bob@pve", ("/storage/local", "PVEDatastoreUser"))
    refused = said(keeper.ask("DELETE", f"{CONTENT}/{archive}", who=bob))
    assert refused == "403 Permission check failed (/vms/100, VM.Backup)"
    refused = said(keeper.ask("DELETE", f"{CONTENT}/local:iso/t.iso", who=bob))
    assert refused == "403 Permission check failed (/storage/local, Datastore.Allocate)"
    keeper.user("bob@pve", ("/vms/100", "PVEVMUser"))
    assert keeper.ask("DELETE", f"{CONTENT}/{archive}", who=bob).status == 200


def test_archives_outlive_their_vm(keeper: Keeper, archive: str) -> None:
    params = {"purge": 1, "destroy-unreferenced-disks": 1}
    assert keeper.hands.task("DELETE", "/100", **params) == "OK"
    assert [row["volid"] for row in keeper.archives()] == [archive]
    assert keeper.restore(100, archive).status == "OK"


class TestDownload:
    """POST download-url (pve-storage PVE/API2/Storage/Status.pm)."""

    def test_a_file_arrives_under_a_safe_name(self, keeper: Keeper) -> None:
        task = keeper.task(keeper.ask("POST", DOWNLOAD, dict(ISO)).data)
        assert (task.kind, task.id) == ("download", "b_c.iso")
        assert keeper.hands.end(task.upid) == "OK"
        row = keeper.get(CONTENT, {"content": "iso"})[0]
        assert (row["volid"], row["format"]) == ("local:iso/b_c.iso", "iso")
        assert keeper.hands.task("POST", "", vmid=105, ide2="local:iso/b_c.iso,media=cdrom") == "OK"

    def test_an_image_can_be_imported(self, keeper: Keeper) -> None:
        params = {"content": "import", "filename": "d.qcow2", "url": "https://x.example/d"}
        checked = {"checksum": "00", "checksum-algorithm": "sha256"}
        assert keeper.hands.end(keeper.ask("POST", DOWNLOAD, {**params, **checked}).data) == "OK"
        disk = "local:0,import-from=local:import/d.qcow2,format=qcow2"
        assert keeper.hands.task("POST", "", vmid=105, scsi0=disk) == "OK"

    @pytest.mark.parametrize(
        ("place", "params", "refused"),
        [
            ("local", {"filename": "x.txt"}, "filename: wrong file extension"),
            (
                "local",
                {"content": "import", "filename": "x.iso"},
                "filename: invalid filename or wrong extension",
            ),
            ("local", {"url": "ftp://x"}, "url: value does not match the regex pattern"),
            (
                "local",
                {"checksum": "00"},
                "checksum-algorithm: missing property - 'checksum' requires this property",
            ),
            ("store2", {}, "500 storage 'store2' is not configured for content-type 'iso'"),
            ("thin", {}, "500 can't upload to storage type 'lvmthin', not a file based storage!"),
        ],
    )
    def test_what_is_refused(
        self, keeper: Keeper, place: str, params: dict[str, object], refused: str
    ) -> None:
        add_thin(keeper)
        path = f"{NODE}/storage/{place}/download-url"
        assert keeper.refusal("POST", path, {**ISO, **params}) == refused

    def test_what_fails_in_the_task(self, keeper: Keeper) -> None:
        def status(**params: object) -> str:
            return keeper.hands.end(keeper.ask("POST", DOWNLOAD, {**ISO, **params}).data)

        assert status(url="http://no.invalid/x").endswith("failed: exit code 4")
        params = {"content": "import", "filename": "d.raw", "compression": "zst"}
        assert status(**params) == "decompression not supported for import"
        keeper.world.storages["local"].full = True
        assert status().endswith("failed: exit code 3")

    def test_it_takes_the_right_to_probe_the_network(self, keeper: Keeper) -> None:
        bob = keeper.user("bob@pve", ("/storage", "PVEDatastoreAdmin"))
        assert said(keeper.ask("POST", DOWNLOAD, dict(ISO), bob)).startswith("403")


def add_thin(keeper: Keeper) -> None:
    keeper.world.storages["thin"] = type(keeper.world.storages["local"])(
        "thin", "lvmthin", ["images"], 1 << 30
    )
