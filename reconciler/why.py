"""Why a VM is as it is: what was last decided, what it waits for, what a person can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from reconciler.failure import Failure
from reconciler.show.places import place_lines
from reconciler.show.text import count_of, show_when
from reconciler.status import VMStatus
from state.conditions import Condition
from state.journal import VMRun
from state.memory import Memory
from state.placing import Choice

ADVICE = {
    "AntiAffinity": "move one of them by hand once another node fits; or name more nodes",
    "AntiSpoofEffective": "it takes a firewall that is on for the VM, the nic and the cluster; "
    "`reconcile doctor` tells of the last",
    "ApprovalNeeded": "`reconcile --once --dry-run` shows the plan and its digest; "
    "`reconcile approve DIGEST` lets it pass once",
    "BackupFresh": "`reconcile backup list {key}` shows what is there; `reconcile job show "
    "schedule_backup` how the last run went",
    "BackupTwice": "take it out of the job under Datacenter, Backup; or take the days off its spec",
    "BackupUnplaced": "`backup: {{storage: NAME}}` in its spec, its package or the defaults",
    "BackupUnverified": "verify it on the backup server (`verify-new` on the datastore does so "
    "always), or `backup: {{verified_by: task}}` goes without",
    "ChangeRolledBack": "edit the spec, or `reconcile unhold {key}` to have the same change made "
    "once more; `reconcile log {key}` shows how it went",
    "CredentialUnverified": "`reconcile password {key} --reset` sets one that is known",
    "DNSReady": "`reconcile dns check` asks each provider and shows its words; records are tried "
    "again by themselves",
    "DiskAway": "do what the message asks (`reconcile zombies` lists holders with their disks), or "
    "take the disk off the spec",
    "DiskUnmanaged": "name the disk in the spec again, or leave it; `size: 0` with `reclaim: "
    "delete` asks to erase it",
    "DrainStopped": "look at the VM that is named; then `reconcile debt --resume`, or `reconcile "
    "restart {key} --now` for this one alone",
    "Drifted": "`reconcile drift {key}` shows all of it; `reconcile adopt-drift {key}` prints what "
    "to write into the spec; `drift: enforce` in the spec has it put back",
    "FirmwareDiffers": "set the spec to what the disk was made as; or stop the VM and detach that "
    "disk by hand: the next run makes one as wanted, without what the guest kept on the old one",
    "IdentityMismatch": "compare the VM's description with `reconcile status {key}`; if the VM is "
    "a copy, remove the marker line and tag from the copy",
    "GuardPartial": "see that what it names can stay as the change makes it, should it be undone",
    "GuardUnavailable": "mend what it names; or `guard: {{required: false}}` lets changes be made "
    "without a snapshot",
    "NotAdopted": "`reconcile adopt --all --apply` takes over what the specs name by `adopt:`",
    "ObserveOnly": "take `drift: alert` out of its spec, and runs make it what the spec says",
    "PlacementDiffers": "move the VM by hand, set `node` to where it is, or `enforce: true` beside "
    "its name to have it migrated",
    "PowerDiffers": "start or stop the VM by hand, or change `power` in its spec",
    "HAError": "look at the VM in the cluster's HA panel; the manager waits for a person",
    "HAGroupUnsupported": "write a node affinity rule in Proxmox, and take `group` out of the spec",
    "HAUnknown": "grant the token Sys.Audit on /; `reconcile doctor` prints the line",
    "ImageOutdated": "leave the VM as it is, or make a new one from the new image beside it",
    "LeftAlone": "see in `reconcile log {key}` what failed, and mend that in Proxmox",
    "NoWindow": "define an allow window in `windows:` of fleet.yaml whose scope takes the VM in",
    "RecordConflict": "remove the record by hand if it is not needed, or give the VM another name; "
    "`reconcile dns show` lists what is wanted and what is there",
    "RestartInVain": "look at the VM's pending changes in Proxmox; Proxmox cannot apply them",
    "RestartRequired": "`reconcile restart {key}` lets the next run stop and start it; `restart: "
    "allow` in its spec does so for good; a reboot in the guest is not enough",
    "RolloutAborted": "put the specs back or edit them again, or `reconcile rollout resume`",
    "RolloutPaused": "`reconcile rollout show` tells which VM it is; mend that, then `reconcile "
    "rollout resume`",
    "RestoreFailed": "`reconcile restore {key} --backup VOLUME` tries again, or another backup; "
    "`reconcile reinstall {key}` makes it anew",
    "ShrinkRefused": "set the disk's size in the spec back to what it is; disks only grow",
    "SlotTaken": "name another slot in the spec; what is in this one is left alone",
    "SnippetUnverified": "see that the file on the storage has the checksum of the spec: "
    "`sha256sum` on a node",
    "StopFailed": "read the stop task's log in Proxmox; the stop is tried again by itself",
    "Suspended": "`reconcile resume {key}` brings it back as it was",
    "VerbUnclear": "drop the row of the intents, or write it anew (docs/ends.md)",
    "WindowClosed": "wait for the window's end, or change `windows:` in fleet.yaml",
    "StartFailed": "read the start task's log in Proxmox; the start is tried again by itself",
    "TerminateBlocked": "mend what it names, or take back what asks for its end",
    "TerminateWaits": "`reconcile show {key}` tells what is kept, and until when",
    "Unmanaged": "write its spec again to keep it, or `state: absent` in its place to end it; "
    "`reconcile orphans` says who removed it and what `prune` does",
}
"""What a person can do about each condition; `{key}` is the VM."""


UNLIKE = ("BackOff", "FirmwareDiffers", "PlacementDiffers", "PowerDiffers", "ShrinkRefused")
"""Conditions of a VM that is not as its spec says though nothing is to be done about it."""

QUIET = "nothing: it is as its spec says"
DENIED = "Permission check failed"
"""How Proxmox begins when the token lacks a right."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to `why VM`: each part a list of sentences, empty when there is nothing to say."""

    key: str
    where: str
    last: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    retry: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    place: tuple[str, ...] = ()


def explain(
    status: VMStatus,
    memory: Memory,
    runs: Sequence[VMRun],
    at: datetime,
    chosen: tuple[Choice, datetime] | None = None,
) -> Explanation:
    """Explain a VM from its status, its memory, its runs (newest first) and how it was placed."""
    place = f", {status.node}/{status.vmid} in {status.cluster}" if status.vmid is not None else ""
    return Explanation(
        key=status.key,
        where=f"{status.key} is at {status.state} (phase {status.phase}){place}",
        last=_last(runs, status.failure),
        waits=_waits(status),
        retry=_retries(memory, at),
        advice=_advice(status, memory, at),
        place=place_lines(*chosen) if chosen else (),
    )


def _last(runs: Sequence[VMRun], failure: Failure | None) -> tuple[str, ...]:
    if not runs:
        return ("no run has worked on it yet",)
    run = runs[0]
    when = show_when(run.started_at)
    way = f"{run.state_before or '-'} -> {run.state_after or '-'}"
    lines = [f"{when}: {run.action}, {run.result} ({way})"]
    lines += [
        f"{step.label}: {step.detail or 'failed'}" for step in run.steps if step.result == "error"
    ]
    if run.error and not any(run.error in line for line in lines):
        lines.append(run.error)
    if failure and not any(failure.message in line for line in lines):
        when = show_when(failure.at)
        lines.append(f"{when}: {failure.action} failed, {failure.step}: {failure.message}")
    return tuple(lines)


def _waits(status: VMStatus) -> tuple[str, ...]:
    beside = any(condition.type in UNLIKE for condition in status.conditions)
    quiet = "nothing, but not all is as its spec says" if beside else QUIET
    lines = [status.next.removeprefix("waits: ") or quiet]
    for condition in status.conditions:
        text = condition.message or condition.reason
        said = " (as above)" if text == lines[0] else f": {text}"
        lines.append(f"{shown(condition)} since {show_when(condition.since)}{said}")
    return tuple(lines)


def shown(condition: Condition) -> str:
    """Return the condition's type, `=False` where it stands for a good thing that is not so."""
    return condition.type if condition.status else f"{condition.type}=False"


def _retries(memory: Memory, at: datetime) -> tuple[str, ...]:
    return tuple(
        f"{name}: failed {count_of(attempt.count, 'time')} in a row, next try "
        f"{show_when(attempt.not_before) if attempt.not_before > at else 'in the next run'}: "
        f"{attempt.error}"
        for name, attempt in sorted(memory.attempts.items())
    )


def _advice(status: VMStatus, memory: Memory, at: datetime) -> tuple[str, ...]:
    lines = [
        ADVICE[condition.type].format(key=status.key)
        for condition in status.conditions
        if condition.type in ADVICE
    ]
    if "spec is broken" in status.next:
        lines.append("run `reconcile validate` and mend what it names")
    if memory.hold:
        lines.append(f"`reconcile unhold {status.key}` lets it go on")
    if any(DENIED in attempt.error for attempt in memory.attempts.values()):
        lines.append("`reconcile doctor` names the right that is missing and the line to grant it")
    if memory.attempts:
        lines.append(f"`reconcile log {status.key}` shows each step that failed")
    return tuple(dict.fromkeys(lines))
