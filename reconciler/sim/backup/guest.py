"""One guest's turn in a backup: lock it, quiesce it as the mode says, copy, then tidy up.

A stopped guest gets a paused QEMU for the time of the copy. Sources: pve-manager PVE/VZDump.pm
(exec_backup_task), qemu-server PVE/VZDump/QemuServer.pm.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from reconciler.sim.accounts.access import Identity, allowed
from reconciler.sim.backup import archive as archives
from reconciler.sim.backup import options
from reconciler.sim.backup.prune import backups, prune
from reconciler.sim.backup.report import clock, describe, file_size, say_left_out, say_sizes
from reconciler.sim.backup.retention import limit_of
from reconciler.sim.cluster.inventory import Volume
from reconciler.sim.cluster.tasks import Step, Task, step
from reconciler.sim.errors import Blocked, Refusal, TaskFailed, failed
from reconciler.sim.ha.book import book, sid_of
from reconciler.sim.parameters.options import AGENT
from reconciler.sim.parameters.schema import parse_properties
from reconciler.sim.parameters.volnames import file_path
from reconciler.sim.vm.fitness import has_system
from reconciler.sim.vm.locks import load, wait_flock
from reconciler.sim.vm.machine import Machine, check_lock
from reconciler.sim.vm.pending import apply_pending
from reconciler.sim.vm.power import SHUTDOWN_SECONDS, agent_enabled, switch_off, switch_on
from reconciler.sim.volumes import storage

if TYPE_CHECKING:
    from reconciler.sim.world import World

UNLIMITED = -1
PROTECTED_LIMIT = 5
NEVER = 1e9
"""Protected backups per guest for those who do not own the storage."""


@dataclass(slots=True)
class Plan:
    """One guest's backup: when it began, its options, who asked; `was` is the run state found,
    `mode` what is really done and `locked` whether the guest bears our lock."""

    vmid: int
    began: float
    options: dict[str, Any]
    user: str
    was: str = "stopped"
    mode: str = "stop"
    locked: bool = False

    @property
    def place(self) -> str:
        return str(self.options["storage"])


def begin(world: World, task: Task, plan: Plan, job: dict[str, Any]) -> list[Step]:
    """Checks, lock and the first phase; a fault is this guest's alone."""
    if world.vms.get(plan.vmid) is None:
        return _fault(world, task, plan, job, f"unable to find VM '{plan.vmid}'")
    store = storage.storage_of(world, plan.place)
    name = archives.volume_name(store, plan.vmid, plan.began, str(plan.options["compress"]))
    if world.volume(task.node, f"{plan.place}:{name}") is not None:
        # a name bears whole seconds, which only a sped-up cluster gets through faster
        wait = (int(world.now) + 1 - world.now) * world.speed
        again = job | {"vmids": [plan.vmid, *job["vmids"]]}
        return [Step("vzdump.next", {"job": again}, wait)]
    try:
        _check_rules(world, task.node, plan)
        return _lock(world, task, plan, job)
    except Blocked as blocked:
        since = float(job.get("since", world.now))
        if world.now >= since + world.lock_wait:
            return _fault(world, task, plan, job, blocked.text)
        until = min(max(blocked.until, world.now), since + world.lock_wait)
        again = job | {"vmids": [plan.vmid, *job["vmids"]], "since": since}
        # one that is due just now lets go at the instant after
        wait = (until if until > world.now else since + world.lock_wait) - world.now
        return [Step("vzdump.next", {"job": again}, wait * world.speed)]
    except (Refusal, TaskFailed) as error:
        text = error.reason if isinstance(error, Refusal) else str(error)
        return _fault(world, task, plan, job, text.rstrip("\n"))


def _check_rules(world: World, node: str, plan: Plan) -> None:
    """What HA and the storage forbid. Raises 500."""
    resource = book(world).resources.get(sid_of(plan.vmid))
    if plan.options["mode"] == "stop" and resource is not None and resource.wanted == "started":
        raise failed(
            "Cannot execute a backup with stop mode on a HA managed and enabled Service. "
            "Use snapshot mode or disable the Service.\n"
        )
    limit = limit_of(plan.options["prune-backups"])
    protected = bool(plan.options.get("protected"))
    there = [one for one in backups(world, node, plan.place) if one.vmid == plan.vmid]
    if protected:
        check_protected_limit(world, Identity.parse(plan.user), plan.place, there)
    elif not plan.options["remove"] and 0 < limit <= sum(not one.protected for one in there):
        raise failed(
            f"There is a max backup limit of {limit} enforced by the target storage or the "
            "vzdump parameters. Either increase the limit or delete old backups.\n"
        )


def check_protected_limit(
    world: World, identity: Identity, place: str, there: list[Volume]
) -> None:
    """Raise 500 when one more protected backup is one too many."""
    configured = storage.storage_of(world, place).options.get("max-protected-backups")
    owner = allowed(world, identity, f"/storage/{place}", ["Datastore.Allocate"])
    limit = UNLIMITED if owner else PROTECTED_LIMIT
    limit = limit if configured is None else int(configured)
    if limit > UNLIMITED and sum(one.protected for one in there) >= limit:
        raise failed(
            f"The number of protected backups per guest is limited to {limit} "
            f"on storage '{place}'\n"
        )


def _lock(world: World, task: Task, plan: Plan, job: dict[str, Any]) -> list[Step]:
    machine = load(world, task.node, plan.vmid)
    wait_flock(world, machine)
    job.pop("since", None)
    task.say(f"INFO: Starting Backup of VM {plan.vmid} (qemu)")
    task.say(f"INFO: Backup started at {clock(world.now)}")
    task.say(f"INFO: status = {'running' if machine.running else 'stopped'}")
    check_lock(machine)
    machine.config["lock"] = "backup"
    plan.locked, plan.was = True, machine.status
    plan.mode = str(plan.options["mode"]) if machine.running else "stop"
    task.on_fail = Step("vzdump.aborted", {"plan": asdict(plan)})
    if plan.mode == "snapshot":
        describe(task, machine)
    task.say(f"INFO: backup mode: {plan.mode}")
    if plan.options["bwlimit"]:
        task.say(f"INFO: bandwidth limit: {plan.options['bwlimit']} KiB/s")
    task.say(f"INFO: ionice priority: {plan.options['ionice']}")
    if plan.mode != "snapshot":
        describe(task, machine)
    archive = _packed(world, machine)
    return _quiesce(world, task, plan, machine, archive, job)


def _packed(world: World, machine: Machine) -> archives.Archive:
    drives = [one.drive for one in archives.choices(machine.config) if one.included]
    return archives.pack(world, machine, drives)


def _quiesce(
    world: World,
    task: Task,
    plan: Plan,
    machine: Machine,
    archive: archives.Archive,
    job: dict[str, Any],
) -> list[Step]:
    """Bring the guest into the state that the mode wants, then copy."""
    args = {"plan": asdict(plan), "job": job}
    if plan.was != "stopped" and plan.mode == "stop":
        task.say("INFO: stopping virtual guest")
        late = agent_enabled(machine) and world.now < machine.agent_ready_at
        patience = 60.0 * int(plan.options["stopwait"])
        late = late or plan.was == "paused"
        if late or patience <= SHUTDOWN_SECONDS or not has_system(world, machine):
            seconds = 3.0 if late else patience
            return [Step("vzdump.stuck", args, seconds)]
        return [Step("vzdump.halted", args, SHUTDOWN_SECONDS)]
    if plan.mode == "suspend":
        task.say("INFO: suspending guest")
        machine.status = "paused"
    return _copy(world, task, plan, machine, archive, job)


@step("vzdump.stuck")
def stuck(world: World, task: Task, plan: dict[str, Any], job: dict[str, Any]) -> list[Step]:
    """The guest did not shut down."""
    mine = Plan(**plan)
    patience = 60 * int(mine.options["stopwait"])
    command = f"qm shutdown {mine.vmid} --skiplock --keepActive --timeout {patience}"
    task.say("INFO: VM quit/powerdown failed")
    return _fault(world, task, mine, job, f"command '{command}' failed: exit code 255")


@step("vzdump.halted")
def halted(world: World, task: Task, plan: dict[str, Any], job: dict[str, Any]) -> list[Step]:
    """The guest is off: a new QEMU copies its disks, and the guest goes on in it at once."""
    mine = Plan(**plan)
    machine = load(world, task.node, mine.vmid)
    switch_off(world, machine, Identity.parse(mine.user))
    try:
        archive = _packed(world, machine)
    except Refusal as refusal:
        return _fault(world, task, mine, job, refusal.reason.rstrip("\n"))
    return _copy(world, task, mine, machine, archive, job)


def _copy(
    world: World,
    task: Task,
    plan: Plan,
    machine: Machine,
    archive: archives.Archive,
    job: dict[str, Any],
) -> list[Step]:
    """Start the copy. The archive holds the guest as it is at this instant."""
    say_left_out(task, machine)
    store = storage.storage_of(world, plan.place)
    compress = str(plan.options["compress"])
    name = archives.volume_name(store, plan.vmid, plan.began, compress)
    if store.kind == "pbs":
        target = name.removeprefix("backup/")
        task.say(f"INFO: creating Proxmox Backup Server archive '{target}'")
    else:
        task.say(f"INFO: creating vzdump archive '{file_path(store, name)}'")
    size = archives.file_size(archive, compress) if archive.disks else archives.HEADER
    seconds = archives.copy_seconds(archive, int(plan.options["bwlimit"]))
    if archive.disks:
        _start_copier(world, task, plan, machine)
        if agent_enabled(machine) and plan.mode != "stop" and plan.was == "running":
            _freeze(world, task, machine)
        task.say(f"INFO: started backup task '{world.new_uuid()}'")
        if plan.was == "running":
            task.say("INFO: resuming VM again")
            machine.status = "running"
    else:
        task.say("INFO: backup contains no disks")
        task.say("INFO: starting diskless backup")
    volume = {
        "volid": f"{plan.place}:{name}",
        "node": "" if store.shared or store.kind == "pbs" else task.node,
        "content": "backup",
        "format": "pbs-vm" if store.kind == "pbs" else name.rpartition("/")[2].partition(".")[2],
        "size": size,
        "vmid": plan.vmid,
        "used": size,
        "ctime": int(plan.began),
    }
    args = {"plan": asdict(plan), "job": job, "volume": volume, "archive": asdict(archive)}
    room = 1.0
    free = store.size - storage.used_bytes(world, task.node, store)
    if store.full or size > free:
        room = 0.0 if store.full else max(0.0, free / size)
        return [Step("vzdump.overflow", args, seconds * room)]
    return [Step("vzdump.copied", args, seconds)]


def _freeze(world: World, task: Task, machine: Machine) -> None:
    """The agent holds the file systems still while the copy starts."""
    agent = parse_properties(AGENT, str(machine.config["agent"]), "agent")
    awake = machine.status == "running" and world.now >= machine.agent_ready_at
    if not (awake and has_system(world, machine)):
        task.say("INFO: skipping guest-agent 'fs-freeze', agent configured but not running?")
    elif agent.get("freeze-fs-on-backup", "1") != "1":
        task.say("INFO: skipping guest-agent 'fs-freeze', disabled in VM options")
    else:
        task.say("INFO: issuing guest-agent 'fs-freeze' command")
        task.say("INFO: issuing guest-agent 'fs-thaw' command")


def _start_copier(world: World, task: Task, plan: Plan, machine: Machine) -> None:
    """A QEMU for a guest that has none: paused, and gone again after the copy."""
    if machine.running:
        return
    task.say("INFO: starting kvm to execute backup task")
    apply_pending(world, machine, Identity.parse(plan.user))
    machine.cloudinit.clear()
    switch_on(world, machine, task.pid + 20)
    machine.status = "prelaunch"
    if plan.was == "stopped":
        machine.agent_ready_at = world.now + NEVER


@step("vzdump.overflow")
def overflow(
    world: World,
    task: Task,
    plan: dict[str, Any],
    job: dict[str, Any],
    volume: dict[str, Any],
    archive: dict[str, Any],
) -> list[Step]:
    """The storage is full before the archive is whole; nothing of it stays."""
    mine = Plan(**plan)
    packed = str(volume["format"]).partition(".")[2]
    reason = "Broken pipe" if packed else "No space left on device"
    if packed == "zst":
        text = "zstd: error 70 : Write error : cannot write block : No space left on device"
        task.say(f"INFO: {text}")
    task.say(f"ERROR: vma_queue_write: write error - {reason}")
    task.say("INFO: aborting backup job")
    return _fault(world, task, mine, job, f"vma_queue_write: write error - {reason}")


@step("vzdump.copied")
def copied(
    world: World,
    task: Task,
    plan: dict[str, Any],
    job: dict[str, Any],
    volume: dict[str, Any],
    archive: dict[str, Any],
) -> list[Step]:
    """The archive is there: notes, protection, pruning; then the guest is let go."""
    mine = Plan(**plan)
    inside = archives.Archive(
        **(archive | {"disks": [archives.Disk(**one) for one in archive["disks"]]})
    )
    made = Volume(**volume)
    machine = world.vms.get(mine.vmid)
    if inside.disks and (machine is None or not machine.running):
        return _fault(world, task, mine, job, f"VM {mine.vmid} not running")
    say_sizes(task, inside, max(1, int((world.now - mine.began) * world.speed)))
    if mine.was == "stopped" and inside.disks and machine is not None:
        kept = f"kvm status changed after backup ('{machine.status}') - keep VM running"
        halting = machine.status == "prelaunch"
        task.say(f"INFO: {'stopping kvm after backup task' if halting else kept}")
    if made.format != "pbs-vm":
        task.say(f"INFO: archive file size: {file_size(made.size)}")
    archives.put(world, made, inside)
    try:
        _annotate(world, task, mine, made, inside)
    except Refusal as refusal:
        return _fault(world, task, mine, job, refusal.reason.rstrip("\n"))
    give_up(world, task, mine)
    seconds = int((world.now - mine.began) * world.speed)
    spent = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    task.say(f"INFO: Finished Backup of VM {mine.vmid} ({spent})")
    task.say(f"INFO: Backup finished at {clock(world.now)}")
    task.on_fail = Step("vzdump.aborted", {"plan": None})
    return [Step("vzdump.next", {"job": job})]


def _annotate(world: World, task: Task, plan: Plan, made: Volume, inside: archives.Archive) -> None:
    template = plan.options.get("notes-template")
    if template:
        task.say("INFO: adding notes to backup")
        values = {
            "cluster": world.name or "standalone node",
            "guestname": str(inside.config.get("name") or f"VM {plan.vmid}"),
            "node": task.node,
            "vmid": str(plan.vmid),
        }
        made.notes = options.notes(str(template), values)
    if plan.options.get("protected"):
        task.say("INFO: marking backup as protected")
        made.protected = True
    if plan.options["remove"]:
        retention = plan.options["prune-backups"]
        said = ", ".join(f"{key}={retention[key]}" for key in sorted(retention))
        task.say(f"INFO: prune older backups with retention: {said}")
        store = storage.storage_of(world, plan.place)
        gone = prune(world, task.node, store, retention, plan.vmid, "qemu")
        for volid in gone:
            task.say(f"INFO: removing backup '{volid}'")
        rest = " not covered by keep-retention policy" if gone else ""
        task.say(f"INFO: pruned {len(gone)} backup(s){rest}")


def _fault(world: World, task: Task, plan: Plan, job: dict[str, Any], text: str) -> list[Step]:
    """This guest's backup failed; the next one's turn."""
    give_up(world, task, plan)
    task.say(f"ERROR: Backup of VM {plan.vmid} failed - {text}")
    task.say(f"INFO: Failed at {clock(world.now)}")
    task.on_fail = Step("vzdump.aborted", {"plan": None})
    return [Step("vzdump.next", {"job": job | {"faults": job["faults"] + 1}})]


def give_up(world: World, task: Task, plan: Plan) -> None:
    """Unlock the guest and give it back the run state it had, whatever became of the backup."""
    machine = world.vms.get(plan.vmid)
    if machine is None or not plan.locked:
        return
    if machine.lock == "backup":
        del machine.config["lock"]
    if machine.status == "prelaunch" and plan.was == "stopped":
        switch_off(world, machine, Identity.parse(plan.user))
    elif machine.status == "paused" and plan.was == "running":
        task.say("INFO: resume vm")
        machine.status = "running"
    elif not machine.running and plan.was != "stopped":
        task.say("INFO: restarting vm")
        switch_on(world, machine, task.pid + 40)
