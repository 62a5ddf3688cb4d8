"""Messages, notices and a store to send from, for the tests."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from desired.notices import Notices
from desired.source import Fleet
from reconciler.notices.channel import Message
from reconciler.notices.deliver import Post
from reconciler.notices.events import take_up
from reconciler.notices.letter import Words
from reconciler.secrets import resolve
from state.memory import Binding
from state.notices import Notice
from state.store import Store
from tests.engine import AT, HandClock, fleet, spec

TOKEN = "0123456789abcdef"


def message(**fields: object) -> Message:
    words = Words("Your server is ready", "It is\n.ready\n", "<p>It is</p>")
    plain = Message(
        TOKEN,
        "jane@example.org",
        words,
        {"vm": "web-1", "priority": ""},
        "Sun, 01 Mar 2026 12:00:00",
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def fleet_with(notices: dict[str, object], folder: Path = Path("."), **fields: object) -> Fleet:
    """A fleet of web-1 with `notices:`."""
    made = fleet(spec("web-1"), notices=Notices.model_validate(notices), **fields)
    return replace(made, folder=str(folder))


def begun(at: datetime = AT) -> Store:
    """A store that knows web-1, in which notices have begun."""
    store = Store.temporary(at=at)
    store.notices.begin(at)
    store.bindings.bind(Binding("web-1", "demo", 101, "web-1", node="pve1", created_at=at))
    return store


def post(store: Store, fleet: Fleet, clock: HandClock) -> Post:
    return Post(store, fleet, clock, lambda one: resolve(one, Path(fleet.folder)), lambda: False)


def run(store: Store, fleet: Fleet, clock: HandClock) -> Post:
    """One run of the loop: what a killed one left, what is new, what waits."""
    made = post(store, fleet, clock)
    made.recover()
    take_up(store, fleet, clock.at)
    made.go()
    return made


def states(store: Store) -> list[tuple[str, str]]:
    return [(one.kind, one.state) for one in store.notices.newest(99)[::-1]]


def only(store: Store) -> Notice:
    (one,) = store.notices.newest(99)
    return one
