"""Retention: GET and DELETE .../prunebackups and pruning after a backup. Sources: pve-storage
PVE/Storage.pm (prune_mark_backup_group), PVE/API2/Storage/PruneBackups.pm."""

from datetime import UTC, datetime, timedelta

import pytest

from reconciler.sim.backup.archive import STAMP
from reconciler.sim.backup.retention import Candidate, limit_of, mark, parse_retention
from reconciler.sim.cluster.inventory import Volume
from tests.sim.backup.conftest import NODE, Keeper, said

PRUNE = f"{NODE}/storage/local/prunebackups"
NEWEST = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)


def ages(retention: str, *hours: float) -> list[float]:
    """Which of the backups, given by age in hours, a retention keeps."""
    group = [
        Candidate(str(age), int((NEWEST - timedelta(hours=age)).timestamp()), "qemu", 100)
        for age in hours
    ]
    mark(group, parse_retention(retention))
    return [float(one.volid) for one in group if one.mark == "keep"]


@pytest.mark.parametrize(
    ("retention", "kept"),
    [
        ("keep-last=2", [0, 0.2]),
        ("keep-all=1", [0, 0.2, 1, 25, 49, 24 * 9, 24 * 40, 24 * 400]),
        ("keep-last=0", [0, 0.2, 1, 25, 49, 24 * 9, 24 * 40, 24 * 400]),
        ("keep-hourly=2", [0, 1]),
        ("keep-daily=2", [0, 25]),
        ("keep-weekly=2", [0, 49]),
        ("keep-monthly=3", [0, 24 * 40, 24 * 400]),
        ("keep-yearly=5", [0, 24 * 400]),
        ("keep-last=1,keep-daily=1", [0, 25]),
        ("keep-last=1,keep-hourly=1,keep-yearly=1", [0, 1, 24 * 400]),
    ],
)
def test_each_option_covers_periods_that_nothing_kept_covers(
    retention: str, kept: list[float]
) -> None:
    assert ages(retention, 0, 0.2, 1, 25, 49, 24 * 9, 24 * 40, 24 * 400) == kept


def test_protected_ones_stay_and_count_for_nothing() -> None:
    group = [Candidate(str(n), 1000 - n, "qemu", 100) for n in range(3)]
    group[0].mark = "protected"
    mark(group, {"keep-last": "1"})
    assert [one.mark for one in group] == ["protected", "keep", "remove"]
    mark(group, {"keep-all": "1"})
    assert group[0].mark == "protected"


def test_a_limit_is_the_sum_of_the_counts() -> None:
    assert limit_of(parse_retention("keep-last=2,keep-daily=7")) == 9
    assert limit_of(parse_retention("keep-all=1")) == 0


@pytest.fixture
def full(keeper: Keeper) -> Keeper:
    """Three backups of VM 100 a day apart, one of 101, one renamed."""
    names = [f"vzdump-qemu-100-{(NEWEST - timedelta(days=n)).strftime(STAMP)}" for n in (2, 1, 0)]
    names += [f"vzdump-qemu-101-{NEWEST.strftime(STAMP)}", "vzdump-qemu-100-before-upgrade"]
    for name in names:
        volid, vmid = f"local:backup/{name}.vma", int(name.split("-")[2])
        volume = Volume(volid, "pve1", "backup", "vma", 5, vmid, 5, 1700000000)
        keeper.world.volumes["pve1", volid] = volume
    return keeper


def marks(keeper: Keeper, **params: object) -> list[tuple[str, int, str]]:
    given = {key.replace("_", "-"): one for key, one in params.items()}
    rows = keeper.get(PRUNE, given)
    return [(row["type"], row["vmid"], row["mark"]) for row in rows]


def test_a_preview_tells_every_backups_fate(full: Keeper) -> None:
    assert marks(full, prune_backups="keep-last=1") == [
        ("qemu", 100, "remove"),
        ("qemu", 100, "remove"),
        ("qemu", 100, "keep"),
        ("unknown", 100, "renamed"),
        ("qemu", 101, "keep"),
    ]
    assert marks(full, prune_backups="keep-last=1", vmid="101") == [("qemu", 101, "keep")]
    assert marks(full, prune_backups="keep-last=1", type="lxc") == []


def test_without_options_the_storages_own_hold(full: Keeper) -> None:
    refused = full.refusal("GET", PRUNE)
    assert refused == "500 no prune-backups options configured for storage 'local'"
    full.world.storages["local"].options["prune-backups"] = "keep-last=2"
    assert [row[2] for row in marks(full, vmid="100")] == ["remove", "keep", "keep", "renamed"]


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("nope", "500 storage 'nope' does not exist"),
        ("store2", "500 storage 'store2' does not support backups"),
    ],
)
def test_only_backup_storages_are_pruned(full: Keeper, path: str, refused: str) -> None:
    assert full.refusal("GET", f"{NODE}/storage/{path}/prunebackups") == refused


def test_pruning_removes_what_was_marked(full: Keeper) -> None:
    full.world.volumes["pve1", full.archives()[0]["volid"]].protected = True
    answer = full.ask("DELETE", PRUNE, {"prune-backups": "keep-last=1", "vmid": "100"})
    task = full.task(answer.data)
    assert (task.kind, task.id, task.status) == ("prunebackups", "100@local", "OK")
    assert task.lines[0] == "removing backup 'local:backup/vzdump-qemu-100-2026_03_30-12_30_00.vma'"
    assert len(full.archives()) == 4
    answer = full.ask("DELETE", PRUNE)
    task = full.task(answer.data)
    assert (task.id, task.status) == (
        "local",
        "no prune-backups options configured for storage 'local'",
    )


def test_pruning_one_guest_needs_less_than_pruning_all(full: Keeper) -> None:
    bob = full.user("bob@pve", ("/storage/local", "PVEDatastoreUser"))
    params: dict[str, object] = {"prune-backups": "keep-last=1"}
    refused = said(full.ask("DELETE", PRUNE, params, bob))
    assert refused == "403 Permission check failed (/storage/local, Datastore.Allocate)"
    refused = said(full.ask("DELETE", PRUNE, params | {"vmid": "100"}, bob))
    assert refused == "403 Permission check failed (/vms/100, VM.Backup)"
    full.user("bob@pve", ("/storage/local", "PVEDatastoreUser"), ("/vms", "PVEVMUser"))
    assert full.ask("DELETE", PRUNE, params | {"vmid": "100"}, bob).status == 200


def test_a_backup_prunes_its_own_guest_afterwards(full: Keeper) -> None:
    task = full.back_up(vmid=100, prune_backups="keep-last=2")
    assert "INFO: prune older backups with retention: keep-last=2" in task.lines
    assert "INFO: pruned 2 backup(s) not covered by keep-retention policy" in task.lines
    assert [row["vmid"] for row in full.archives()] == [100, 100, 100, 101]
    task = full.back_up(vmid=100, prune_backups="keep-last=9")
    assert "INFO: pruned 0 backup(s)" in task.lines


def test_without_removal_the_limit_refuses_the_next(full: Keeper) -> None:
    full.world.storages["local"].options["prune-backups"] = "keep-last=4"
    task = full.back_up(vmid=100, remove=0)
    assert task.status == "job errors"
    limit = "There is a max backup limit of 4 enforced by the target storage"
    assert any(limit in line for line in task.lines)
    full.hands.vm(101)
    assert full.back_up(vmid=101, remove=0).status == "OK"


def test_protected_backups_have_a_limit_of_their_own(full: Keeper) -> None:
    store = full.world.storages["local"]
    assert full.back_up(vmid=100, protected=1).status == "OK"
    store.options["max-protected-backups"] = "1"
    task = full.back_up(vmid=100, protected=1)
    limit = "The number of protected backups per guest is limited to 1 on storage 'local'"
    assert f"ERROR: Backup of VM 100 failed - {limit}" in task.lines
    other = next(row["volid"] for row in full.archives() if not row.get("protected"))
    path = f"{NODE}/storage/local/content/{other}"
    assert full.refusal("PUT", path, {"protected": "1"}) == f"500 {limit}"
    store.options["max-protected-backups"] = "-1"
    assert full.ask("PUT", path, {"protected": "1"}).status == 200


def test_others_than_the_storages_owners_protect_five(full: Keeper) -> None:
    bob = full.user("bob@pve", ("/storage/local", "PVEDatastoreUser"), ("/vms", "PVEVMUser"))
    for volume in full.world.volumes.values():
        volume.protected = volume.vmid == 100 and volume.content == "backup"
    full.back_up(vmid=100, protected=1)
    full.back_up(vmid=100)
    path = f"{NODE}/storage/local/content/{full.newest_of(100)}"
    refused = said(full.ask("PUT", path, {"protected": "1"}, bob))
    assert refused.startswith("500 The number of protected backups per guest is limited to 5")
