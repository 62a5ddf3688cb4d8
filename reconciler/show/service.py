"""A service's log: one line an event in a form that stays, `TIME LEVEL EVENT name=value ...`.

A run that changed nothing is one line. What went wrong in the run before in the same words is told
again once an hour only.
"""

import json
import re
import threading
from datetime import datetime, timedelta

from reconciler.git import short
from reconciler.report import (
    Event,
    Heartbeat,
    JobDone,
    Remark,
    RunDone,
    RunStarted,
    Step,
    Traced,
    VMDone,
    VMError,
    VMPaused,
)
from reconciler.show.run import Write
from reconciler.show.text import json_when

AGAIN = timedelta(hours=1)
PLAIN = re.compile(r"[^\s\"=]+")
Field = str | int | float | None


def log_line(at: datetime, level: str, event: str, **fields: Field) -> str:
    """Return `2026-11-20T09:52:35.120Z info step vm=web-1 label="Clone VM"`; None is left out."""
    named = [f"{name.rstrip('_')}={_value(value)}" for name, value in fields.items() if value]
    return " ".join([json_when(at), level, event, *named])


def _value(value: Field) -> str:
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    return text if PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)


class LogReporter:
    """A service's log; `verbose` adds skips and requests, `quiet` tells only what is wrong."""

    def __init__(self, write: Write, *, verbose: bool = False, quiet: bool = False) -> None:
        self._write = write
        self._verbose = verbose
        self._quiet = quiet
        self._lock = threading.Lock()
        self._run: int | None = None
        self._commit = ""
        self._told: dict[str, datetime] = {}
        self._said: set[str] = set()

    def report(self, *events: Event) -> None:
        with self._lock:
            for event in events:
                line = self._line(event)
                if line and (not self._quiet or line.split(" ", 2)[1] != "info"):
                    self._write(line)

    def _line(self, event: Event) -> str:
        match event:
            case RunStarted():
                self._run, self._commit, self._said = event.run, event.commit, set()
                return ""
            case RunDone():
                self._told = {text: at for text, at in self._told.items() if text in self._said}
                return self._done(event)
            case JobDone():
                return self._job(event)
            case VMDone():
                return log_line(event.at, "info", event.action, vm=event.key, to=event.state)
            case VMError() | VMPaused() | Remark(level="warning" | "error"):
                return self._trouble(event)
            case Step():
                return self._step(event)
            case Heartbeat():
                what, seconds = event.what or event.status, event.seconds
                return log_line(
                    event.at, "info", "waiting", vm=event.key, for_=what, seconds=seconds
                )
            case Remark(level="note"):
                return log_line(event.at, "info", "note", vm=event.key, text=event.text)
            case Traced() if self._verbose:
                return self._request(event)
        return ""

    def _done(self, event: RunDone) -> str:
        summary = event.summary
        numbers = {
            "vms": summary.vms,
            "ready": summary.ready,
            "changed": summary.changed,
            "waiting": summary.waiting,
            "failed": summary.failed,
            "reads": summary.reads,
            "writes": summary.writes,
            "seconds": summary.seconds,
        }
        counted = " ".join(f"{name}={_value(number)}" for name, number in numbers.items())
        job = "" if event.task == "process_vms" else event.task
        named = {"job": job, "number": self._run, "commit": short(self._commit)}
        head = log_line(event.at, "info", "run", **named)
        return f"{head} {counted}"

    def _job(self, event: JobDone) -> str:
        level = "error" if event.status == "error" else "info"
        named: dict[str, Field] = {"job": event.task, "status": event.status}
        head = log_line(event.at, level, "job", **named, text=event.message, seconds=event.seconds)
        return f"{head} processed={event.processed} errors={event.errors}"

    def _trouble(self, event: VMError | VMPaused | Remark) -> str:
        match event:
            case VMError():
                level, name, text = "error", "failed", event.error
            case VMPaused():
                level, name, text = "info", "paused", event.why
            case Remark():
                level, name, text = event.level, "note", event.text
        line = log_line(event.at, level, name, vm=event.key, text=text)
        known = f"{name} {event.key} {text}"
        self._said.add(known)
        told = self._told.get(known)
        if told is not None and event.at - told < AGAIN:
            return ""
        self._told[known] = event.at
        return line

    def _step(self, step: Step) -> str:
        if step.result == "skip" and not self._verbose:
            return ""
        level = "error" if step.result == "error" else "info"
        return log_line(
            step.at,
            level,
            "step",
            vm=step.key,
            action=step.action,
            label=step.label,
            result=step.result,
            from_=step.before,
            to=step.after,
            seconds=step.seconds,
            detail=step.detail,
        )

    def _request(self, call: Traced) -> str:
        return log_line(
            call.at,
            "info",
            "request",
            cluster=call.cluster,
            method=call.method,
            path=call.path,
            status=call.status or "none",
            seconds=call.seconds,
        )
