"""Read a cluster into an inventory: answers of its API by path, secrets left out.

Reads only. What could not be read is named under `missing`, with Proxmox's own reason.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from reconciler.clock import Workers
from reconciler.inventory.paths import BY_VERSION, CLUSTER, guests, of_guests, of_nodes, of_parts
from state.api import Api, ApiError, Forbidden, Json, NotFound

FORMAT = "pve-inventory/1"
SECRET_KEYS = frozenset({"cipassword"})
"""Config keys whose values stay where they are; that there is one is kept, as Proxmox shows it."""

MASK = "**********"
DIGEST = "digest"
"""Hashes a file with its secrets, so that no copy can have the same."""

MOVING = {
    "/cluster/resources": frozenset(
        ["cpu", "mem", "disk", "netin", "netout", "diskread", "diskwrite", "uptime", "memhost"]
    ),
    "status": frozenset(
        [
            "cpu",
            "loadavg",
            "uptime",
            "wait",
            "idle",
            "memory",
            "swap",
            "rootfs",
            "current-kernel",
            "ksm",
        ]
    ),
}
"""Figures that differ at every reading, so that two exports can be compared."""

Progress = Callable[[int, int], None]
"""Told how many of how many answers are in."""


@dataclass(slots=True)
class Export:
    """One reading of a cluster. `answers` and `missing` (path -> reason) fill up as it goes."""

    api: Api
    workers: Workers
    progress: Progress
    answers: dict[str, Json] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def read(self, only: Sequence[str] = ()) -> None:
        """Ask everything that the cluster has. Raises ApiError when it cannot be reached."""
        self.answers["/version"] = self.api.get("/version")
        self._ask(CLUSTER[1:])
        self._ask(of_nodes(self.answers) + of_guests(self.answers, only))
        self._ask(of_parts(self.answers))

    def document(self, cluster: str, at: datetime, only: Sequence[str] = ()) -> dict[str, Json]:
        """Return the inventory as JSON values, its paths in order."""
        wanted = {row["vmid"] for row in guests(self.answers, only)}
        answers = dict(sorted(self.answers.items()))
        answers["/cluster/resources"] = [
            row
            for row in _rows(answers.get("/cluster/resources"))
            if row.get("type") != "qemu" or row.get("vmid") in wanted
        ]
        missing: dict[str, Json] = dict(sorted(self.missing.items()))
        return {
            "format": FORMAT,
            "cluster": cluster,
            "taken_at": at.isoformat(),
            "answers": answers,
            "missing": missing,
            "left_out": list[Json](sorted(SECRET_KEYS)),
        }

    def _ask(self, paths: Iterable[str]) -> None:
        wanted = list(paths)
        total = len(self.answers) + len(self.missing) + len(wanted)

        def ask(path: str) -> None:
            try:
                self.answers[path] = harmless(path, self.api.get(path))
            except (NotFound, Forbidden) as error:
                self._note(path, error)
            except ApiError as error:
                if "not implemented" not in error.text:
                    raise
                self._note(path, error)
            self.progress(len(self.answers) + len(self.missing), total)

        self.workers.map(ask, wanted)

    def _note(self, path: str, error: ApiError) -> None:
        if path not in BY_VERSION or isinstance(error, Forbidden):
            self.missing[path] = error.text


def harmless(path: str, answer: Json) -> Json:
    """Return an answer without secrets and without figures that move by themselves."""
    what = path.rpartition("/")[2]
    if what == "pending":
        kept = [row for row in _rows(answer) if row.get("key") != DIGEST]
        return [_masked(row) if row.get("key") in SECRET_KEYS else row for row in kept]
    if what == "config" and isinstance(answer, Mapping):
        shown = _without(answer, {DIGEST})
        return {key: MASK if key in SECRET_KEYS else value for key, value in shown.items()}
    if what == "snapshot":
        return [_without(row, {DIGEST}) for row in _rows(answer)]
    moving = MOVING.get(path) or (MOVING["status"] if path.startswith("/nodes/") else frozenset())
    if path == "/cluster/resources":
        return [_without(row, _figures(row)) for row in _rows(answer)]
    if what == "status" and isinstance(answer, Mapping):
        return _without(answer, moving)
    return answer


def _masked(row: Mapping[str, Json]) -> dict[str, Json]:
    """A row of a config with its values hidden, should Proxmox not have done so."""
    return {name: MASK if name in ("value", "pending") else one for name, one in row.items()}


def _figures(row: Mapping[str, Json]) -> frozenset[str]:
    """What moves of a row; a storage's use is kept, since plans go by it."""
    kept = frozenset({"disk"}) if row.get("type") == "storage" else frozenset({"mem"})
    if row.get("type") == "qemu":
        kept = frozenset()
    return MOVING["/cluster/resources"] - kept


def _without(row: Mapping[str, Json], keys: Collection[str]) -> dict[str, Json]:
    return {key: value for key, value in row.items() if key not in keys}


def _rows(answer: Json) -> list[dict[str, Json]]:
    return [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []
