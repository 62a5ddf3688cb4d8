"""The child process of `Embedded`: options as JSON in argv[1], one JSON line on stdout."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from reconciler.sim.launch import ServeOptions
from reconciler.sim.serve import run
from reconciler.sim.state import StateBusy


def say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def options_from(text: str) -> ServeOptions:
    given = json.loads(text)
    paths = {name: Path(given[name]) for name in ("state", "inventory") if given.get(name)}
    return ServeOptions(**{**given, **paths})


def main(argv: list[str]) -> int:
    os.set_blocking(sys.stdin.fileno(), False)
    try:
        run(
            options_from(argv[1]),
            lambda ports, print_of: say({"ports": dict(ports), "fingerprint": print_of}),
            watch=sys.stdin.fileno(),
        )
    except (StateBusy, OSError, ValueError) as error:
        say({"error": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
