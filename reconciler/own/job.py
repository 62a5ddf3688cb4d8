"""What a site's own job is given and what it answers: `def run(job: Job) -> Result`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from state.api import Json

Ask = Callable[[dict[str, Json]], Json]
"""Asks the parent process one thing. Raises Denied."""


class Denied(Exception):
    """What the job asked for was refused, or went wrong; the text says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended: `skipped` could not run, `error` tried and failed (FRM-04).

    Of `message` 500 characters are kept. `deactivate` switches the job off (FRM-05). `html` is
    what a preview may show beside it (FRM-06).
    """

    status: Literal["success", "skipped", "error"] = "success"
    message: str = ""
    processed: int = 0
    errors: int = 0
    deactivate: bool = False
    html: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a job: its `config` by field, the moment (UTC), whether it is a dry run."""

    name: str
    config: Mapping[str, Json]
    at: datetime
    dry: bool
    fleet: str
    ask: Ask = field(repr=False)

    def vms(self) -> list[dict[str, Json]]:
        """Every wanted VM: key, name, cluster, vmid, phase, tags, conditions, extensions."""
        found = self.ask({"ask": "vms"})
        assert isinstance(found, list)
        return [one for one in found if isinstance(one, dict)]

    def spec(self, key: str) -> dict[str, Json]:
        """The whole spec of a VM. Raises Denied where there is none."""
        found = self.ask({"ask": "spec", "key": key})
        assert isinstance(found, dict)
        return found

    def get(self, cluster: str, path: str, params: Mapping[str, str | int] | None = None) -> Json:
        """`GET path` of a cluster's Proxmox API, sent by the parent. Raises Denied."""
        return self.ask(
            {"ask": "get", "cluster": cluster, "path": path, "params": {**(params or {})}}
        )

    def claim(self, item: str, every: float = 300.0) -> bool:
        """Take an item whose interval (seconds) is over; of several who ask one gets it."""
        return self.ask({"ask": "claim", "item": item, "every": every}) is True

    def settle(self, item: str, error: str = "") -> None:
        """Keep what came of an item; an error is the item's, not the run's (FRM-15)."""
        self.ask({"ask": "settle", "item": item, "error": error})

    def note(self, text: str) -> None:
        """Say something, to who is looking and to the job's kept output."""
        self.ask({"ask": "note", "text": text})
