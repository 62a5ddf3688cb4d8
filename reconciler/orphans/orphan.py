"""One VM whose spec has gone: since when, who took the spec away, what prune makes of it."""

import json
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.show.text import show_when
from state.memory import Binding, Intent, Phase

ORPHAN = "orphan"
"""The intent that remembers a missed spec: `at` is when first, `looks` the runs that counted."""
TICKS = 2
"""So many runs must have read the same specs, whole, before anything is destroyed."""


@dataclass(frozen=True, slots=True)
class Absence:
    """What an orphan's intent remembers beside its times: of which specs, and who removed it."""

    revision: str
    by: str = ""

    @classmethod
    def of(cls, intent: Intent) -> "Absence":
        kept = json.loads(intent.detail)
        return cls(str(kept["revision"]), str(kept["by"]))

    def text(self) -> str:
        return json.dumps({"revision": self.revision, "by": self.by})


@dataclass(frozen=True, slots=True)
class Orphan:
    """A bound key that no spec names.

    `since` is when a run first missed its spec (None: none has before), `ticks` how many have read
    the specs as they are now. `due_at` is when prune destroys the VM; None when it will not, and
    `why` says in words what comes, or what keeps it. `due` is one that this run makes absent;
    `asked` says that a person asked for its end by name, before its spec went.
    """

    binding: Binding
    since: datetime | None
    ticks: int
    by: str
    why: str
    due_at: datetime | None = None
    due: bool = False
    asked: bool = False

    @property
    def key(self) -> str:
        return self.binding.key

    @property
    def told(self) -> str:
        """What is said of it in status and in a dry run."""
        since = f" since {show_when(self.since)}" if self.since else ""
        by = f" ({self.by})" if self.by else ""
        return f"its spec is gone{since}{by}; {self.why}"


def counted(intent: Intent | None, key: str, absence: Absence, at: datetime) -> Intent:
    """Return the intent after one more run that read all specs whole and missed this one.

    Specs that have changed since begin the count anew, never the time.
    """
    if intent is None:
        return Intent(key, ORPHAN, at, 1, absence.text(), at)
    known = Absence.of(intent)
    if known.revision != absence.revision:
        detail = replace(known, revision=absence.revision).text()
        return replace(intent, looks=1, detail=detail, looked_at=at)
    return replace(intent, looks=intent.looks + 1, looked_at=at) if intent.looks < TICKS else intent


def kept_for_a_person(binding: Binding) -> str:
    """Why prune never ends this VM, whatever time passes; empty when it may."""
    if binding.phase in (Phase.ERROR_TERMINATE, Phase.ABANDONED):
        return f"{binding.phase}: left alone until a person has looked"
    if binding.uuid is None:
        return "no machine was seen under it: nothing to destroy"
    return ""
