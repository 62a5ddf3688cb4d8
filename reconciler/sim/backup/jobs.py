"""Cluster-wide backup jobs: GET, POST, PUT and DELETE /cluster/backup.

Source: pve-manager PVE/API2/Backup.pm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, check, check_pool, perm
from reconciler.sim.backup import options
from reconciler.sim.backup.archive import shelf
from reconciler.sim.backup.calendar import DAYS, calendar_event, parse_event
from reconciler.sim.backup.schedule import plan_run
from reconciler.sim.errors import bad_parameters, failed
from reconciler.sim.parameters.formats import config_id
from reconciler.sim.parameters.schema import Boolean, Field, FormatError, Text, split_list
from reconciler.sim.routes import Json, Request, route

if TYPE_CHECKING:
    from reconciler.sim.world import World

PATH = "/cluster/backup"
ONE = f"{PATH}/{{id}}"
AUDIT = perm("/", "Sys.Audit")
MODIFY = perm("/", "Sys.Modify")
ID = Text(pattern=r"\S+", max_length=50)
DELETABLE = (*options.OPTIONS, "comment", "repeat-missed")


def weekday(text: str) -> str:
    if text not in DAYS:
        raise FormatError(f"invalid day '{text}'")
    return text


TIMING: dict[str, Field] = {
    "comment": Text(optional=True, max_length=512),
    "dow": Text(optional=True, list_of=weekday, requires="starttime"),
    "enabled": Boolean(optional=True),
    "repeat-missed": Boolean(optional=True),
    "schedule": Text(optional=True, format=calendar_event, max_length=128),
    "starttime": Text(optional=True, pattern=r"\d{1,2}:\d{1,2}"),
}
CREATE: dict[str, Field] = {
    **options.OPTIONS,
    **TIMING,
    "id": Text(optional=True, format=config_id),
}
UPDATE: dict[str, Field] = {
    **options.OPTIONS,
    **TIMING,
    "id": ID,
    "delete": Text(optional=True, list_of=config_id),
}


def time_job(params: dict[str, Any], required: bool) -> None:
    """One `schedule` out of what was given; the old start time with its days is turned into it."""
    start, days = params.pop("starttime", None), params.pop("dow", None)
    if params.get("schedule") is not None:
        if start is not None:
            text = "'starttime' and 'schedule' cannot both be set"
            raise bad_parameters({"starttime": text})
    elif start is not None:
        listed = ",".join(split_list(str(days or "")))
        every = not listed or listed == ",".join(DAYS)
        params["schedule"] = str(start) if every else f"{listed} {start}"
    elif required:
        raise bad_parameters({"schedule": "neither 'starttime' nor 'schedule' were set"})


def find(world: World, name: str) -> dict[str, Any]:
    """The job. Raises 400 `No such job 'x'`."""
    job = shelf(world).jobs.get(name)
    if job is None:
        raise bad_parameters({"id": f"No such job '{name}'"})
    return job


@route("GET", PATH, permission=AUDIT)
def list_jobs(world: World, request: Request) -> Json:
    """In the order they were made, each with its next run."""
    rows = []
    for job in shelf(world).jobs.values():
        due = parse_event(str(job["schedule"])).after(world.now)
        rows.append(job if due is None else job | {"next-run": due})
    return rows


@route("GET", ONE, fields={"id": ID}, permission=AUDIT)
def get_job(world: World, request: Request) -> Json:
    return find(world, str(request.params["id"]))


def _given(request: Request) -> dict[str, Any]:
    return {key: value for key, value in request.params.items() if value is not None}


def _check_pool(world: World, identity: Identity, params: Mapping[str, Any]) -> None:
    if params.get("pool"):
        check_pool(world, str(params["pool"]))
        check(world, identity, f"/pool/{params['pool']}", ["VM.Backup"])


@route("POST", PATH, fields=CREATE, permission=MODIFY, protected=True)
def create_job(world: World, request: Request) -> None:
    params, identity = _given(request), request.identity
    options.check_restricted(world, identity, params)
    place = options.target_storage(params)
    if place is not None:
        check(world, identity, f"/storage/{place}", ["Datastore.Allocate"])
    _check_pool(world, identity, params)
    time_job(params, required=True)
    name = str(params.pop("id", None) or world.new_uuid())
    if name in shelf(world).jobs:
        raise failed(f"Job '{name}' already exists\n")
    options.verify(params, whole=True)
    shelf(world).jobs[name] = {"id": name, "type": "vzdump", "enabled": 1, **params}
    plan_run(world, name)


@route("PUT", ONE, fields=UPDATE, permission=MODIFY, protected=True)
def update_job(world: World, request: Request) -> None:
    """Whom the job means replaces what it meant before."""
    params, identity = _given(request), request.identity
    name = str(params.pop("id"))
    gone = dict.fromkeys(split_list(str(params.pop("delete", ""))), "1")
    _check_update(world, identity, params, gone)
    _check_pool(world, identity, params)
    time_job(params, required=False)
    if not params and not gone:
        raise failed("no options specified\n")
    options.verify(params, whole=False)
    job = shelf(world).jobs.get(name)
    if job is None:
        raise failed("no such vzdump job\n")
    _check_current(world, identity, job)
    for key in sorted(gone):
        if key not in DELETABLE:
            raise bad_parameters({"delete": f"unknown option '{key}'"})
    changed = {key: value for key, value in job.items() if key not in gone} | params
    _narrow(changed, params)
    options.verify(changed, whole=True)
    shelf(world).jobs[name] = changed
    plan_run(world, name)


def _check_update(
    world: World, identity: Identity, params: Mapping[str, Any], gone: Mapping[str, str]
) -> None:
    if identity.root:
        return
    options.check_restricted(world, identity, params)
    options.check_restricted(world, identity, gone, removal=True)
    if params.get("storage"):
        check(world, identity, f"/storage/{params['storage']}", ["Datastore.Allocate"])
    elif "storage" in gone:
        check(world, identity, "/storage/local", ["Datastore.Allocate"])


def _check_current(world: World, identity: Identity, job: Mapping[str, Any]) -> None:
    if identity.root:
        return
    place = options.target_storage(job)
    if place is None:
        raise failed("only root@pam may edit jobs with a 'dumpdir' option.\n")
    check(world, identity, f"/storage/{place}", ["Datastore.Allocate"])


def _narrow(job: dict[str, Any], params: Mapping[str, Any]) -> None:
    """Of vmid, all and pool the last one that was said holds."""
    if job.get("exclude") is not None and job.get("pool") is None:
        job["all"] = 1
    drop: tuple[str, ...] = ()
    if params.get("vmid") is not None:
        drop = ("all", "exclude", "pool")
    elif params.get("all"):
        drop = ("vmid", "pool")
    elif job.get("pool"):
        drop = ("vmid", "all", "exclude")
    for key in drop:
        job.pop(key, None)


@route("DELETE", ONE, fields={"id": ID}, permission=MODIFY, protected=True)
def delete_job(world: World, request: Request) -> None:
    name = str(request.params["id"])
    find(world, name)
    del shelf(world).jobs[name]


def forget_guest(world: World, vmid: int) -> None:
    """What a destroy with `purge` does; a job that meant only this guest goes with it."""
    jobs = shelf(world).jobs
    for name in list(jobs):
        job = jobs[name]
        key = "vmid" if job.get("vmid") else "exclude"
        listed = split_list(str(job.get(key) or ""))
        if str(vmid) not in listed:
            continue
        rest = ",".join(one for one in listed if one != str(vmid))
        if rest:
            job[key] = rest
        elif key == "exclude":
            del job[key]
        else:
            del jobs[name]
