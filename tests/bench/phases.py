"""A child process: the command `reconcile` as it is, its phases timed; `FILE ARGUMENTS...`.

Writes JSON to FILE: the phases' own processor seconds (what another phase takes inside is its
own), the whole process's, seconds by the clock, and the peak of memory.
"""

import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from pathlib import Path

BEGUN = time.perf_counter()


class Stopwatch:
    """Exclusive processor seconds by phase."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.seconds["start and imports"] = time.process_time()
        self._inside: list[str] = ["the rest"]
        self._since = time.process_time()

    def _turn(self) -> None:
        now = time.process_time()
        self.seconds[self._inside[-1]] += now - self._since
        self._since = now

    def around(self, owner: object, name: str, phase: str) -> None:
        """Count a function of a module or class to a phase."""
        inner: Callable[..., object] = getattr(owner, name)

        @wraps(inner)
        def timed(*given: object, **named: object) -> object:
            self._turn()
            self._inside.append(phase)
            try:
                return inner(*given, **named)
            finally:
                self._turn()
                self._inside.pop()

        setattr(owner, name, timed)

    def end(self) -> None:
        self._turn()


def watch() -> Stopwatch:
    """Import what `--once` needs, then time its phases. All of them run in the main thread."""
    from desired.files import FileSource
    from reconciler import config, loop, prepare
    from reconciler.cli import once as cli_once
    from reconciler.look import SiteLook
    from reconciler.pve.client import ProxmoxApi
    from reconciler.reckon import Reckoner
    from state.cache import Cache
    from state.conditions import Conditions
    from state.observe import Observer
    from state.store import Store

    assert cli_once and config
    watch = Stopwatch()
    watch.around(FileSource, "load", "load specs")
    watch.around(ProxmoxApi, "open", "open the cluster")
    watch.around(prepare.Stage, "_learn", "preflight")
    watch.around(Observer, "view", "constant reads")
    watch.around(Cache, "all", "cache")
    watch.around(Observer, "machines", "machines")
    watch.around(SiteLook, "observe", "ground")
    watch.around(SiteLook, "decide", "decide")
    watch.around(Reckoner, "told", "settle")
    watch.around(Store, "memories", "memories")
    watch.around(loop, "conditions_of", "conditions")
    watch.around(Conditions, "replace_many", "conditions")
    return watch


def peak() -> float:
    """The most memory that this program has had, in MiB; rusage would count who started it."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def main() -> int:
    file, arguments = Path(sys.argv[1]), sys.argv[2:]
    sys.argv = ["reconcile", *arguments]
    timed = watch()
    from reconciler.cli import main as command

    status = command()
    timed.end()
    figures = {
        "phases": timed.seconds,
        "cpu": time.process_time(),
        "wall": time.perf_counter() - BEGUN,
        "mebibytes": peak(),
    }
    file.write_text(json.dumps(figures))
    return status


if __name__ == "__main__":
    sys.exit(main())
