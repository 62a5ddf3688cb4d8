"""The child process of one job: `python -I -m reconciler.own.child READ WRITE LIFE`.

Frames are lines of JSON: it reads what to do, asks its parent, and ends with one result.
"""

import base64
import importlib.util
import json
import os
import pickle
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import NoReturn, TextIO

from reconciler.own.job import Denied, Job, Result
from reconciler.own.refuse import PURE, refuse_effects
from state.api import Json
from state.change import Change, Note


@dataclass(slots=True)
class Line:
    """The two pipes to the parent."""

    reader: TextIO
    writer: TextIO
    refused: list[str] = field(default_factory=list)

    def ask(self, question: dict[str, Json]) -> Json:
        """Ask the parent, and wait for its answer. Raises Denied."""
        self.send(question)
        answer = self.receive()
        if "error" in answer:
            raise Denied(str(answer["error"]))
        return answer.get("data")

    def send(self, frame: dict[str, Json]) -> None:
        self.writer.write(json.dumps(frame) + "\n")
        self.writer.flush()

    def receive(self) -> dict[str, Json]:
        """The next frame of the parent; where it has gone, this process ends too."""
        line = self.reader.readline()
        if not line:
            os._exit(1)
        frame = json.loads(line)
        assert isinstance(frame, dict)
        return frame


def main(read: int, write: int, life: int) -> None:
    """Do what the parent says, and tell how it ended."""
    threading.Thread(target=die_with, args=(life,), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    line = Line(os.fdopen(read, "r"), os.fdopen(write, "w"))
    task = line.receive()
    answer: dict[str, Json]
    try:
        if task.get("handler"):
            serve(Path(str(task["code"])), line)
        if task["dry"]:
            refuse_effects(Path.cwd().resolve(), line.refused)
        module = load(Path(str(task["code"])))
        answer = work(module, task, line)
    except Denied as error:
        answer = {"status": "error", "message": str(error), "errors": 1}
        if line.refused and task.get("dry"):
            said = f"refused in a dry run: {', '.join(line.refused)}"
            answer = {"status": "success", "message": said, "processed": len(line.refused)}
    except BaseException as error:
        traceback.print_exc()
        answer = {"status": "error", "message": _words(error), "errors": 1}
    sys.stdout.flush()
    sys.stderr.flush()
    line.send({"result": answer, "refused": [*line.refused]})


def die_with(life: int) -> None:
    """End this process group once nobody holds the other end of a pipe: the parent was killed."""
    os.read(life, 1)
    try:
        os.killpg(0, signal.SIGKILL)
    except Denied:
        os._exit(1)


def load(code: Path) -> ModuleType:
    """Import the job's code; what stands beside it can be imported by it."""
    sys.path.insert(0, str(code.parent))
    spec = importlib.util.spec_from_file_location(code.stem, code)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[code.stem] = module
    spec.loader.exec_module(module)
    return module


def work(module: ModuleType, task: dict[str, Json], line: Line) -> dict[str, Json]:
    """Call `run`, or in a dry run `preview` if there is one; return the result as data.

    Raises whatever the job does, and TypeError for what is no result that JSON can say.
    """
    config = task["config"]
    assert isinstance(config, dict)
    job = Job(
        name=str(task["name"]),
        config=config,
        at=datetime.fromisoformat(str(task["at"])),
        dry=task["dry"] is True,
        fleet=str(task["fleet"]),
        ask=line.ask,
    )
    preview: Callable[[Job], object] | None = getattr(module, "preview", None)
    act: Callable[[Job], object] | None = getattr(module, "run", None)
    if job.dry and preview is not None:
        act = preview
    if act is None:
        raise TypeError(f"expected def run(job) in {task['code']}, seen none")
    result = act(job)
    if not isinstance(result, Result):
        raise TypeError(f"expected a Result of {act.__name__}, seen {type(result).__name__}")
    answer = asdict(result)
    json.dumps(answer)
    return answer


def serve(code: Path, line: Line) -> NoReturn:
    """Answer what the handler finds of each VM that the parent sends, until it has gone.

    A diff is pure, so nothing that has an effect is let through.
    """
    refuse_effects(Path.cwd().resolve(), line.refused, PURE)
    handler = load(code).Handler()
    line.send({"result": {"found": []}})
    while True:
        data = base64.b64decode(str(line.receive()["diff"]))
        try:
            found = [plain(one) for one in handler.diff(*pickle.loads(data))]
            answer: dict[str, Json] = {"found": found}
            json.dumps(answer)
        except Exception as error:
            traceback.print_exc()
            answer = {"message": _words(error)}
        sys.stdout.flush()
        sys.stderr.flush()
        line.send({"result": answer})


def plain(found: object) -> Json:
    """Return a change or a note as data; TypeError for anything else."""
    if not isinstance(found, Change | Note):
        raise TypeError(f"expected changes and notes of diff, seen {type(found).__name__}")
    said: Json = json.loads(json.dumps(asdict(found)))
    return said


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
