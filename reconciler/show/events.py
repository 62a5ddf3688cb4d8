"""A live run as JSON lines: one event, one object, at once."""

import json
import threading
from dataclasses import fields
from datetime import datetime

from reconciler.form import SCHEMA_VERSION
from reconciler.report import (
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
from reconciler.show.run import Write
from reconciler.show.text import json_when
from state.api import Json


class JsonReporter:
    """Prints each event as one JSON object per line: `{"event": "step", "at": …, …}`."""

    def __init__(self, write: Write, *, verbose: bool = False) -> None:
        self._write = write
        self._verbose = verbose
        self._lock = threading.Lock()

    def report(self, *events: Event) -> None:
        with self._lock:
            for event in events:
                if self._verbose or not isinstance(event, Traced):
                    self._write(json.dumps(event_json(event), ensure_ascii=False))


EVENT_NAMES: dict[type[Event], str] = {
    RunStarted: "run_started",
    VMStarted: "vm_started",
    Step: "step",
    Heartbeat: "heartbeat",
    VMPaused: "vm_paused",
    VMDone: "vm_done",
    VMError: "vm_error",
    Remark: "remark",
    Traced: "request",
    RunDone: "run_done",
    JobDone: "job_done",
}


def event_json(event: Event) -> dict[str, Json]:
    """Return the event as a JSON object; moments in UTC, unset fields left out."""
    whole: dict[str, Json] = {"event": EVENT_NAMES[type(event)]}
    if isinstance(event, RunStarted):
        whole["schema_version"] = SCHEMA_VERSION
    for field in fields(event):
        value = _jsonable(getattr(event, field.name))
        if value is not None and value != "":
            whole[field.name] = value
    return whole


def _jsonable(value: object) -> Json:
    if isinstance(value, datetime):
        return json_when(value)
    if isinstance(value, Summary):
        return {field.name: _jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(name): _jsonable(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return round(value, 3)
    return value if value is None or isinstance(value, bool | int | str) else str(value)
