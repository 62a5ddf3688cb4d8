"""Asking for a verb in a lab, and what came of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from desired.spec import VMSpec
from reconciler.verbs.asking import ask
from state.api import Json
from state.memory import Phase
from state.store import Store
from state.verbs import Wish
from tests.lab import Lab


@contextmanager
def opened(lab: Lab) -> Iterator[tuple[Store, datetime]]:
    """The lab's store for writing, and the lab's time."""
    at = datetime.fromtimestamp(lab.clock(), UTC)
    with Store.open(lab.where, at=at) as store:
        yield store, at


def asked(lab: Lab, verb: str, token: str = "t1", key: str = "a", **params: Json) -> str:
    """Ask as a command does; the answer in words. Raises Refused."""
    with opened(lab) as (store, at):
        memory = store.memories([key])[key]
        spec = VMSpec(key=key, cluster="demo", name=key, template="debian-12")
        return ask(store, spec, memory, Wish(key, verb, token, "ann@desk", at, params), at)


def results(lab: Lab, key: str = "a") -> dict[str, str]:
    """What came of each verb: `done`, or why it did not come about."""
    with lab.store() as store:
        rows = reversed(store.verbs.of(key))
        return {f"{row.verb} {row.token}": row.result or "open" for row in rows}


def phase(lab: Lab, key: str = "a") -> Phase | None:
    with lab.store() as store:
        binding = store.bindings.of(key)
        return binding.phase if binding else None


def open_verbs(lab: Lab, key: str = "a") -> list[str]:
    with lab.store() as store:
        return sorted(kind for kind in store.intents.of(key) if kind.startswith("do."))
