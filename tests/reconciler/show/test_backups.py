"""The list of backups as a person reads it."""

from datetime import timedelta

from reconciler.backups.archive import Archive
from reconciler.backups.listing import Listed
from reconciler.show.backups import backups_json, render_backups
from reconciler.show.text import Paint
from tests.engine import AT


def listed(hours: float, **fields: object) -> Listed:
    plain = {"volume": f"pbs:{hours}", "node": "pve1", "storage": "pbs", "vmid": 100, "size": 5}
    archive = Archive(**{**plain, "at": AT - timedelta(hours=hours), **fields})  # type: ignore[arg-type]
    return Listed("demo", archive, "web-1", ours=True, verified=archive.is_verified())


def test_each_backup_has_its_age_and_whether_it_is_verified() -> None:
    found = [
        listed(0.5, on_server=True),
        listed(20, on_server=True, verification="ok"),
        listed(240, protected=True),
        listed(300, on_server=True, verification="failed"),
    ]
    lines = render_backups(found, AT, Paint()).splitlines()
    assert [line.split()[3:5] for line in lines[1:]] == [
        ["30", "min"],
        ["20", "h"],
        ["10", "d"],
        ["12", "d"],
    ]
    told = [(one["age"], one["verified"], one["verification"]) for one in backups_json(found, AT)]
    assert told == [
        (1800, False, None),
        (72000, True, "ok"),
        (864000, True, None),
        (1080000, False, "failed"),
    ]
    assert render_backups([], AT, Paint()) == "no backups"
