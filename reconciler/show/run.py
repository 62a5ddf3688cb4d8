"""A live run, line by line as it happens (CLI-01, CLI-02), or only what is wrong.

Every reporter takes a `write` that puts out one line and flushes it; nothing is held back. Several
VMs are worked on at once: a VM's frame line stands above the first line that it has to tell, and is
repeated whenever another VM spoke in between.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from reconciler.git import short
from reconciler.pipeline import CHANGE, DEPLOY, TERMINATE
from reconciler.report import (
    PROCESS_VMS,
    Action,
    Event,
    Heartbeat,
    JobDone,
    Remark,
    RunDone,
    RunStarted,
    Step,
    Summary,
    Traced,
    VMDone,
    VMError,
    VMPaused,
    VMStarted,
)
from reconciler.show.text import Paint, count_of, show_duration, show_interval, show_when

Write = Callable[[str], None]
LABEL_WIDTH = max(len(step.label) for step in (*DEPLOY.transitions, *CHANGE.transitions))
NAMED = 10
"""So many VMs are named in one line."""
LONG = 60
"""A reason of more letters than this is told once and then referred to."""
TITLES: dict[Action, str] = {
    "deploy": "Deploy",
    "change": "ChangePackage",
    "terminate": "Terminate",
    "reinstall": "Reinstall",
    "repair": "Repair",
    "job": "Job",
}


def step_line(step: Step, paint: Paint) -> str:
    """Return `[+]  1. Allocate IP   success (creation -> set_ip) [0.11s]`."""
    pipeline = {"change": CHANGE, "terminate": TERMINATE}.get(step.action, DEPLOY)
    number = pipeline.number(step.label)
    count = f"{number:2}." if number else "   "
    moved = step.before != step.after or step.result == "error"
    way = f" ({step.before} -> {step.after})" if step.before and moved else ""
    detail = f" ({step.detail})" if step.detail else ""
    skipped = step.detail if step.detail.startswith("skip") else f"skip{detail or ' (no change)'}"
    mark, words = {
        "success": (paint.good("[+]"), f"success{way}{detail}"),
        "skip": (paint.dim("[=]"), skipped),
        "error": (paint.bad("[!]"), f"{paint.bad(step.detail or 'failed')}{way}"),
    }[step.result]
    return f"{mark} {count} {step.label.ljust(LABEL_WIDTH)} {words} [{step.seconds:.2f}s]"


def summary_line(summary: Summary) -> str:
    """Return `12 VMs: 12 ready, 0 changed, 0 failed; 7 reads, 0 writes; 0.6 s`."""
    vms = [f"{summary.ready} ready", f"{summary.changed} changed"]
    vms += [f"{summary.waiting} waiting"] if summary.waiting else []
    calls = f"{count_of(summary.reads, 'read')}, {count_of(summary.writes, 'write')}"
    return (
        f"{count_of(summary.vms, 'VM')}: {', '.join(vms)}, {summary.failed} failed; "
        f"{calls}{_records(summary)}; {show_duration(summary.seconds)}"
    )


def _records(summary: Summary) -> str:
    """Return what became of DNS records, where any was touched."""
    counts = (summary.forward_ok, summary.forward_err, summary.rev_ok, summary.rev_err)
    if not any(counts):
        return ""
    shown = "DNS: forward {} ok, {} failed, reverse {} ok, {} failed"
    return f"; {shown.format(*counts)}"


@dataclass(slots=True)
class Alike:
    """The VMs that met one and the same error: the first is told at once, the rest at the end."""

    keys: dict[str, list[str]] = field(default_factory=dict)

    def is_new(self, event: VMError) -> bool:
        """Whether no other VM met this error before."""
        met = self.keys.setdefault(event.error, [])
        if event.key not in met:
            met.append(event.key)
        return met[0] == event.key

    def rest(self) -> list[str]:
        """Return a line for each error that more than one VM met, and begin anew."""
        met, self.keys = self.keys, {}
        return [
            f"as {keys[0]}, {count_of(len(keys) - 1, 'more VM')}: {_some(keys[1:])}"
            for keys in met.values()
            if len(keys) > 1
        ]


def _some(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return ", ".join(keys[:NAMED]) + more


def _begun(event: VMError | VMPaused) -> VMStarted:
    """Return the beginning of a turn that ended before it was told."""
    return VMStarted(event.at, event.key, event.action, event.state, event.vmid)


class TextReporter:
    """Prints the run in the contract's lines; `verbose` adds skips, details and API requests."""

    def __init__(
        self, write: Write, paint: Paint, *, verbose: bool = False, zone: tzinfo | None = None
    ) -> None:
        self._write = write
        self._paint = paint
        self._verbose = verbose
        self._zone = zone
        self._lock = threading.Lock()
        self._speaker = ""
        self._vms: dict[str, VMStarted] = {}
        self._results: dict[str, tuple[Action, str]] = {}
        self._told: set[str] = set()
        self._alike = Alike()

    def report(self, *events: Event) -> None:
        with self._lock:
            for event in events:
                for line in self._lines(event):
                    self._write(line)

    def _lines(self, event: Event) -> list[str]:
        match event:
            case RunStarted():
                return self._run_started(event)
            case VMStarted():
                self._vms[event.key] = event
                return []
            case Step():
                return self._step(event)
            case Heartbeat():
                return [*self._frame(event.key), self._paint.dim(_heartbeat_line(event))]
            case VMPaused() | VMDone() | VMError():
                return self._vm_ended(event)
            case Remark():
                return self._remark(event)
            case Traced():
                return [self._paint.dim(_trace_line(event))] if self._verbose else []
            case RunDone():
                return self._run_done(event)
            case JobDone():
                return self._job_done(event)

    def _run_started(self, event: RunStarted) -> list[str]:
        self._results.clear()
        last = show_when(event.last, self._zone).split()[1] if event.last else "never"
        every = event.interval
        interval = f"interval: {show_interval(every)}, " if every is not None else ""
        specs = [f"specs at commit {short(event.commit)}"] if event.commit else []
        running = f"[{event.task}] Running ({interval}last: {last})"
        if event.task != PROCESS_VMS:
            return [running]
        return [f"{show_when(event.at, self._zone)} reconcile Cron Start", running, *specs]

    def _step(self, step: Step) -> list[str]:
        if step.result == "skip" and not self._verbose:
            return []
        frame = self._frame(step.key, step.before, step.action)
        return [*frame, step_line(step, self._paint)]

    def _frame(self, key: str, state: str = "", action: Action = "deploy") -> list[str]:
        """Return the VM's frame line unless it was the last to speak."""
        if self._speaker == key:
            return []
        self._speaker = key
        begun = self._vms.get(key)
        vmid = begun.vmid if begun and begun.vmid is not None else "-"
        if begun is None and not state:
            return [self._paint.bold(f"--- {key}: going on with what an earlier run began ---")]
        title = TITLES[begun.action if begun else action]
        status = state or (begun.state if begun else "") or "-"
        return [self._paint.bold(f"--- {title}: service={key} vm={vmid} status={status} ---")]

    def _vm_ended(self, event: VMPaused | VMDone | VMError) -> list[str]:
        title = TITLES[event.action]
        if isinstance(event, VMDone):
            self._results[event.key] = event.action, "success"
            state = event.state or "-"
            line = f"--- {title} complete: service={event.key} status={state} ---"
            self._speaker = ""
            return [self._paint.good(line)]
        if isinstance(event, VMError):
            self._results[event.key] = event.action, "error"
            if not self._alike.is_new(event):
                return []
            self._vms.setdefault(event.key, _begun(event))
            frame = self._frame(event.key, event.state)
            return [*frame, f"{self._paint.bad('[!]')} {event.error}"]
        self._vms.setdefault(event.key, _begun(event))
        frame = self._frame(event.key, event.state)
        self._results.setdefault(event.key, (event.action, "waiting"))
        why = f" ({self._once(event.why)})" if event.why else ""
        return [
            *frame,
            self._paint.warn(f"--- {title} paused: waiting at [{event.state}]{why} ---"),
        ]

    def _once(self, why: str) -> str:
        """Return a reason; a long one that was told before only as a reminder."""
        if len(why) > LONG and why in self._told:
            return "as above"
        self._told.add(why)
        return why

    def _remark(self, remark: Remark) -> list[str]:
        if remark.level == "detail" and not self._verbose:
            return []
        text = f"{remark.key}: {remark.text}" if remark.key else remark.text
        self._speaker = ""
        match remark.level:
            case "warning":
                return [self._paint.warn(f"warning: {text}")]
            case "error":
                return [self._paint.bad(f"error: {text}")]
            case "detail":
                return [self._paint.dim(text)]
        return [text]

    def _run_done(self, event: RunDone) -> list[str]:
        seconds = event.summary.seconds
        told = {"ready": "success"}
        results = dict(self._results)
        for key, result in event.summary.results.items():
            action = results[key][0] if key in results else "deploy"
            results[key] = action, told.get(result, result)
        errors = sum(result == "error" for _, result in results.values())
        lines = [f"{self._paint.bad('[!]')} {text}" for text in self._alike.rest()]
        lines += [
            f"[{event.task}] Done ({seconds:.1f}s) — processed: {len(results)}, errors: {errors}"
        ]
        lines += [
            f"sid:{key} action:{action} result:{result}"
            for key, (action, result) in sorted(results.items())
        ]
        if event.task == PROCESS_VMS:
            end = f"reconcile Cron End ({seconds:.1f}s total)"
            lines.append(f"{show_when(event.at, self._zone)} {end}")
        last = summary_line(event.summary)
        tint = self._paint.bad if event.summary.failed else self._paint.good
        return [*lines, tint(last)]

    def _job_done(self, event: JobDone) -> list[str]:
        last = show_when(event.last, self._zone).split()[1] if event.last else "never"
        counts = f"processed: {event.processed}, errors: {event.errors}"
        line = f"[{event.task}] Done ({event.seconds:.1f}s, last: {last}) — {counts}"
        self._speaker = ""
        tint = self._paint.bad if event.status == "error" else str
        return [line, *([tint(job_words(event))] if event.message else [])]


def job_words(event: JobDone) -> str:
    """Return how a job ended, as a person reads it."""
    return f"{event.task} {event.status}: {event.message}"


def _heartbeat_line(beat: Heartbeat) -> str:
    if not beat.what:
        return f"      still waiting after {beat.seconds:.0f}s: {beat.status}"
    limit = f" / {beat.limit:.0f}s" if beat.limit is not None else ""
    status = f", status: {beat.status}" if beat.status else ""
    return f"      {beat.what}: still running, waited {beat.seconds:.0f}s{limit}{status}"


def _trace_line(call: Traced) -> str:
    cluster = f"{call.cluster} " if call.cluster else ""
    answer = call.status or "no answer"
    return f"      {cluster}{call.method} {call.path} -> {answer} [{call.seconds:.3f}s]"


class QuietReporter:
    """Prints warnings and errors, and the last line: `always`, or only when something failed."""

    def __init__(self, write: Write, paint: Paint, *, always: bool = False) -> None:
        self._write = write
        self._paint = paint
        self._always = always
        self._lock = threading.Lock()
        self._alike = Alike()

    def report(self, *events: Event) -> None:
        with self._lock:
            for event in events:
                if isinstance(event, RunDone):
                    for text in self._alike.rest():
                        self._write(self._paint.bad(text))
                line = self._line(event)
                if line:
                    self._write(line)

    def _line(self, event: Event) -> str:
        match event:
            case Step(result="error"):
                return f"{event.key}: {event.label}: {self._paint.bad(event.detail)}"
            case VMError():
                if not self._alike.is_new(event):
                    return ""
                return f"{event.key}: {self._paint.bad(event.error)}"
            case Remark(level="warning" | "error"):
                key = f"{event.key}: " if event.key else ""
                return f"{event.level}: {key}{event.text}"
            case JobDone(status="error"):
                return f"error: {job_words(event)}"
            case RunDone() if self._always or event.summary.failed:
                return summary_line(event.summary)
        return ""
