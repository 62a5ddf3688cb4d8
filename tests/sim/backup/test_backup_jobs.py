"""Cluster-wide jobs: /cluster/backup, what they cover and when they run. Sources: pve-manager
PVE/API2/Backup.pm, PVE/API2/Cluster/BackupInfo.pm, pve-guest-common PVE/VZDump/Plugin.pm."""

from datetime import UTC, datetime

import pytest

from reconciler.sim.backup.calendar import parse_event
from reconciler.sim.parameters.schema import FormatError
from reconciler.sim.world import World
from tests.sim.backup.conftest import Keeper, said
from tests.sim.conftest import Hands

JOBS = "/cluster/backup"
MONDAY = datetime(2026, 11, 16, 12, 34, 56, tzinfo=UTC)


def make(keeper: Keeper, **params: object) -> None:
    given = {"id": "j1", "schedule": "sun 02:00", "storage": "local"} | {
        key.replace("_", "-"): one for key, one in params.items()
    }
    answer = keeper.ask("POST", JOBS, given)
    assert answer.status == 200, answer


def test_a_job_is_kept_as_it_was_given(keeper: Keeper) -> None:
    make(keeper, vmid="100", prune_backups="keep-last=3,keep-daily=2", comment="c")
    row = keeper.get(f"{JOBS}/j1")
    assert row == {
        "id": "j1",
        "type": "vzdump",
        "enabled": 1,
        "schedule": "sun 02:00",
        "storage": "local",
        "vmid": "100",
        "comment": "c",
        "prune-backups": {"keep-last": "3", "keep-daily": "2"},
    }
    listed = keeper.get(JOBS)
    assert listed[0]["next-run"] == datetime(2027, 1, 17, 2, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("params", "refused"),
    [
        ({"schedule": None}, "schedule: neither 'starttime' nor 'schedule' were set"),
        ({"starttime": "2:00"}, "starttime: 'starttime' and 'schedule' cannot both be set"),
        (
            {"schedule": "sometimes"},
            "schedule: invalid format - invalid calendar event 'sometimes'",
        ),
        ({"vmid": None}, "vmid: property is missing"),
        ({"all": "1"}, "all: option conflicts with option 'vmid'"),
        ({"dow": "mon"}, "starttime: missing property - 'dow' requires this property"),
        (
            {"schedule": None, "starttime": "2:00", "dow": "may"},
            "dow: invalid format - invalid day",
        ),
        ({"id": "j1"}, "500 Job 'j1' already exists"),
        ({"vmid": None, "pool": "x"}, "403 Permission check failed (pool 'x' does not exist)"),
    ],
)
def test_what_a_job_must_say(keeper: Keeper, params: dict[str, object], refused: str) -> None:
    make(keeper, vmid="100")
    whole: dict[str, object] = {"schedule": "daily", "vmid": "100"}
    given = {key: one for key, one in (whole | params).items() if one is not None}
    assert keeper.refusal("POST", JOBS, given).startswith(refused)


@pytest.mark.parametrize(
    ("days", "schedule"),
    [(None, "2:30"), ("mon;wed", "mon,wed 2:30"), ("mon,tue,wed,thu,fri,sat,sun", "2:30")],
)
def test_an_old_start_time_becomes_a_schedule(
    keeper: Keeper, days: str | None, schedule: str
) -> None:
    given: dict[str, object] = {"starttime": "2:30", "vmid": "100"}
    keeper.ask("POST", JOBS, given | ({"dow": days} if days else {}))
    assert [row["schedule"] for row in keeper.get(JOBS)] == [schedule]


def test_whom_a_job_means_is_replaced_as_a_whole(keeper: Keeper) -> None:
    keeper.ask("POST", "/pools", {"poolid": "p"})
    make(keeper, vmid="100")

    def after(**params: object) -> dict[str, object]:
        assert keeper.ask("PUT", f"{JOBS}/j1", params).status == 200
        row = keeper.get(f"{JOBS}/j1")
        return {key: row[key] for key in ("vmid", "all", "exclude", "pool") if key in row}

    assert after(all="1", exclude="101") == {"all": 1, "exclude": "101"}
    assert after(pool="p") == {"pool": "p"}
    assert after(vmid="100") == {"vmid": "100"}
    assert after(comment="x") == {"vmid": "100"}


def test_settings_can_be_taken_back(keeper: Keeper) -> None:
    make(keeper, vmid="100", mode="stop", comment="c", enabled=0)
    keeper.ask("PUT", f"{JOBS}/j1", {"delete": "mode,comment", "starttime": "4:00"})
    row = keeper.get(f"{JOBS}/j1")
    assert "mode" not in row and "comment" not in row
    assert (row["schedule"], row["enabled"]) == ("4:00", 0)


@pytest.mark.parametrize(
    ("method", "path", "params", "refused"),
    [
        ("PUT", "j1", {}, "500 no options specified"),
        ("PUT", "no", {"mode": "stop"}, "500 no such vzdump job"),
        ("PUT", "j1", {"delete": "schedule"}, "delete: unknown option 'schedule'"),
        ("PUT", "j1", {"delete": "vmid"}, "vmid: property is missing"),
        ("GET", "no", {}, "id: No such job 'no'"),
        ("DELETE", "no", {}, "id: No such job 'no'"),
        ("GET", "no/included_volumes", {}, "id: No such job 'no'"),
    ],
)
def test_what_a_change_refuses(
    keeper: Keeper, method: str, path: str, params: dict[str, object], refused: str
) -> None:
    make(keeper, vmid="100")
    assert keeper.refusal(method, f"{JOBS}/{path}", params) == refused
    assert keeper.get(f"{JOBS}/j1")["vmid"] == "100"


def test_jobs_take_the_right_to_change_the_cluster_and_the_storage(keeper: Keeper) -> None:
    bob = keeper.user("bob@pve", ("/", "PVEAuditor"))
    params: dict[str, object] = {"schedule": "daily", "vmid": "100", "id": "j2"}
    refused = said(keeper.ask("POST", JOBS, params, bob))
    assert refused == "403 Permission check failed (/, Sys.Modify)"
    keeper.world.access.roles["Modifier"] = ["Sys.Modify", "Sys.Audit"]
    bob = keeper.user("bob@pve", ("/", "Modifier"))
    refused = said(keeper.ask("POST", JOBS, params, bob))
    assert refused == "403 Permission check failed (/storage/local, Datastore.Allocate)"
    make(keeper, vmid="100", dumpdir="/x", storage=None)
    refused = said(keeper.ask("PUT", f"{JOBS}/j1", {"mode": "stop"}, bob))
    assert refused == "500 only root@pam may edit jobs with a 'dumpdir' option."
    refused = said(keeper.ask("PUT", f"{JOBS}/j1", {"delete": "dumpdir"}, bob))
    assert refused == "dumpdir: Only root may set this option."
    for change in ({"storage": "local"}, {"delete": "storage"}):
        refused = said(keeper.ask("PUT", f"{JOBS}/j1", change, bob))
        assert refused == "403 Permission check failed (/storage/local, Datastore.Allocate)"
    keeper.user("bob@pve", ("/storage", "PVEDatastoreAdmin"))
    assert keeper.ask("POST", JOBS, params, bob).status == 200
    assert keeper.ask("PUT", f"{JOBS}/j2", {"mode": "stop"}, bob).status == 200


def test_guests_in_no_job_are_told(keeper: Keeper) -> None:
    keeper.hands.vm(101)
    keeper.hands.vm(102, name="two")
    make(keeper, vmid="100", enabled=0)
    rows = keeper.get("/cluster/backup-info/not-backed-up")
    assert rows == [
        {"vmid": 101, "type": "qemu"},
        {"vmid": 102, "type": "qemu", "name": "two"},
    ]
    assert keeper.get("/cluster/backup-info") == [{"subdir": "not-backed-up"}]


def test_a_jobs_volumes_are_a_tree(keeper: Keeper) -> None:
    make(keeper, vmid="100,555")
    guest, gone = keeper.get(f"{JOBS}/j1/included_volumes")["children"]
    assert gone == {"id": 555, "type": "unknown", "leaf": 1}
    assert (guest["name"], guest["leaf"]) == ("one", 0)
    assert [(one["id"], one["included"], one["reason"]) for one in guest["children"]] == [
        ("100:scsi0", 1, "backup=yes"),
        ("100:scsi1", 0, "backup=no"),
    ]


def test_a_purged_guest_leaves_its_jobs(keeper: Keeper) -> None:
    keeper.hands.vm(101)
    make(keeper, vmid="100")
    make(keeper, id="j2", vmid="100,101")
    make(keeper, id="j3", exclude="100")
    make(keeper, id="j4", exclude="100,101")
    assert keeper.hands.task("DELETE", "/100", purge=1) == "OK"
    rows = {row["id"]: row for row in keeper.get(JOBS)}
    assert set(rows) == {"j2", "j3", "j4"}
    assert rows["j2"]["vmid"] == "101" and rows["j4"]["exclude"] == "101"
    assert "exclude" not in rows["j3"] and rows["j3"]["all"] == 1
    assert keeper.hands.task("DELETE", "/101") == "OK"
    assert keeper.get(f"{JOBS}/j2")["vmid"] == "101"


def test_jobs_run_at_their_event_as_root(keeper: Keeper) -> None:
    make(keeper, vmid="100", schedule="*:0/30", compress="zstd")
    keeper.pass_by(1700)
    assert keeper.archives() == []
    keeper.pass_by(3710)
    assert [row["ctime"] for row in keeper.archives()] == [1800001800, 1800003600, 1800005400]
    task = next(one for one in keeper.world.tasks.newest() if one.kind == "vzdump")
    assert task.user == "root@pam" and "--quiet 1" in task.lines[0]


def test_disabled_changed_and_deleted_jobs_do_not_run(keeper: Keeper) -> None:
    make(keeper, vmid="100", schedule="*:0/30")
    keeper.ask("PUT", f"{JOBS}/j1", {"enabled": "0"})
    keeper.pass_by(3600)
    assert keeper.archives() == []
    keeper.ask("PUT", f"{JOBS}/j1", {"enabled": "1", "schedule": "*:15"})
    keeper.ask("PUT", f"{JOBS}/j1", {"schedule": "*:45"})
    keeper.pass_by(3600)
    assert [row["ctime"] % 3600 for row in keeper.archives()] == [2700]
    keeper.ask("DELETE", f"{JOBS}/j1")
    keeper.pass_by(7200)
    assert len(keeper.archives()) == 1


def test_a_job_whose_storage_has_gone_wrong_says_so_in_its_tasks(keeper: Keeper) -> None:
    make(keeper, pool=None, vmid="100", schedule="*:0/30", storage="nope")
    keeper.pass_by(1801)
    task = next(one for one in keeper.world.tasks.newest() if one.kind == "vzdump")
    assert task.status is not None and task.status.startswith("could not activate storage 'nope'")


def test_a_job_of_a_pool_that_is_gone_is_logged(keeper: Keeper) -> None:
    keeper.ask("POST", "/pools", {"poolid": "p"})
    make(keeper, pool="p", schedule="*:0/30")
    keeper.ask("DELETE", "/pools", {"poolid": "p"})
    keeper.pass_by(1801)
    assert keeper.world.logbook[-1].msg == "pool 'p' does not exist"


def test_each_node_runs_its_part_unless_one_is_named(demo_hands: Hands) -> None:
    world = demo_hands.simulator.world
    world.storages["local"].content.append("backup")
    for name, extra in (("j1", {}), ("j2", {"node": "pve2"})):
        params = {"id": name, "schedule": "*:0/30", "all": "1", "storage": "local", **extra}
        assert demo_hands.simulator.call("POST", JOBS, params).status == 200
    world.nodes["pve3"].online = False
    demo_hands.clock.pass_by(1801)
    world.advance(demo_hands.clock.now)
    nodes = sorted(one.node for one in world.tasks.newest() if one.kind == "vzdump")
    assert nodes == ["pve1", "pve2", "pve2"]


def test_a_saved_world_keeps_jobs_and_archives(keeper: Keeper) -> None:
    make(keeper, vmid="100", schedule="*:0/30")
    keeper.back_up(vmid=100)
    world = World.load(keeper.world.dump())
    world.advance(world.now + 1801)
    held = world.rooms["backup"]
    assert set(held.jobs) == {"j1"} and len(held.archives) == 2


@pytest.mark.parametrize(
    ("event", "next_run"),
    [
        ("*/20", "2026-11-16 12:40:00"),
        ("15", "2026-11-16 13:15:00"),
        ("*:*", "2026-11-16 12:35:00"),
        ("*:*:*/30", "2026-11-16 12:35:00"),
        ("12:34:57", "2026-11-16 12:34:57"),
        ("daily", "2026-11-17 00:00:00"),
        ("weekly", "2026-11-23 00:00:00"),
        ("monthly", "2026-12-01 00:00:00"),
        ("quarterly", "2027-01-01 00:00:00"),
        ("sat", "2026-11-21 00:00:00"),
        ("tue..thu 8..10,22:0/15", "2026-11-17 08:00:00"),
        ("Monday 12:00", "2026-11-23 12:00:00"),
        ("mon..fri 18/2:30", "2026-11-16 18:30:00"),
        ("*-2-29 4:00", "2028-02-29 04:00:00"),
        ("2027-1-1", "2027-01-01 00:00:00"),
        ("12-24 20:00", "2026-12-24 20:00:00"),
        ("2020-1-1", None),
    ],
)
def test_calendar_events(event: str, next_run: str | None) -> None:
    due = parse_event(event).after(MONDAY.timestamp())
    seen = None if due is None else f"{datetime.fromtimestamp(due, UTC):%Y-%m-%d %H:%M:%S}"
    assert seen == next_run


@pytest.mark.parametrize(
    "event",
    ["", "may 2:00", "25:00", "mon mon", "fri..mon", "1:2:3:4", "2:00 x", "1-2-3-4", "5/0", "m"],
)
def test_what_is_no_calendar_event(event: str) -> None:
    with pytest.raises(FormatError, match="invalid calendar event"):
        parse_event(event)
