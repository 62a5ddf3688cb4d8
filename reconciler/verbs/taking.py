"""Taking up, at the start of a run, what specs ask by `do:` and what other programs wrote down."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from desired.source import Fleet
from desired.spec import VMSpec
from handlers.wishes import (
    DONE,
    REDEPLOY,
    RESUME,
    SUSPEND,
    SUSPENDED,
    TERMINATE,
    UNCLEAR,
    Unclear,
    read_wish,
    unclear,
    wish_of,
)
from reconciler.effective import REMOVED
from reconciler.verbs.asking import Refused, ask, refusal
from state.change import Note
from state.memory import Memory
from state.outbox import Event
from state.store import Store
from state.verbs import Wish

SPEC = "spec"
"""Who asks when a spec does."""


def take_up(
    fleet: Fleet, store: Store, fits: Callable[[str], bool], at: datetime
) -> Iterator[tuple[str, str]]:
    """Open what is asked anew; yield key and words of each that was opened or refused."""
    for row in store.verbs.stray():
        # The run that ended the machine was killed before it could say so.
        wish = Wish(row.key, row.verb, row.token, row.by, row.asked_at, {})
        gone = row.verb in (REDEPLOY, TERMINATE)
        store.verbs.end(wish, "done" if gone else "withdrawn", "its machine is gone", at)
    used = store.verbs.used()
    for intent in store.verbs.open():
        try:
            wish = read_wish(intent)
        except Unclear:
            continue
        if not fits(wish.key) or wish.verb == TERMINATE:
            continue
        if (wish.key, wish.verb, wish.token) not in used:
            yield from _row(fleet, store, wish, at)
        elif _is_over(store, wish):
            store.verbs.end(wish, "done", "", at)
            yield wish.key, f"{wish.verb} ({wish.token}) was done before: nothing is done again"
    for key, spec in sorted(fleet.vms.items()):
        if spec.do is None or not fits(key):
            continue
        for wish in wishes_of(spec, at):
            if (key, wish.verb, wish.token) not in used:
                yield from _asked(store, spec, wish, at)


def wishes_of(spec: VMSpec, at: datetime) -> Iterator[Wish]:
    """What a spec asks by `do:`."""
    for verb, asked in spec.do.asked() if spec.do else ():
        yield Wish(spec.key, verb, asked.token, SPEC, at, asked.params)


def _asked(store: Store, spec: VMSpec, wish: Wish, at: datetime) -> Iterator[tuple[str, str]]:
    memory = store.memories([wish.key])[wish.key]
    ends = REMOVED in memory.intents or wish_of(memory, TERMINATE)
    if memory.binding is None and not ends and refusal(spec, memory, wish):
        # A VM that is still to be made: the verb waits for it.
        return
    try:
        said = ask(store, spec, memory, wish, at)
        yield wish.key, f"{wish.verb} ({wish.token}): {said}"
    except Refused as error:
        if not wish_of(memory, wish.verb):
            store.verbs.record(wish, "refused", str(error), at)
            yield wish.key, f"{wish.verb} ({wish.token}) is refused: {error}"


def _is_over(store: Store, wish: Wish) -> bool:
    """Whether a row asks by a token that was used up; a VM that is suspended stays so."""
    ended = {(row.verb, row.token) for row in store.verbs.of(wish.key) if row.ended_at}
    return (wish.verb, wish.token) in ended and DONE not in wish.params


def _row(fleet: Fleet, store: Store, wish: Wish, at: datetime) -> Iterator[tuple[str, str]]:
    """A row of another program: it is open as it stands, unless it may not be asked."""
    spec = fleet.vms.get(wish.key)
    memory = store.memories([wish.key])[wish.key]
    why = refusal(spec, memory, wish)
    if why:
        event = Event("verb_refused", wish.key, at, {"verb": wish.verb, "why": why})
        store.verbs.end(wish, "refused", why, at, event)
        yield wish.key, f"{wish.verb} ({wish.token}) by {wish.by} is refused: {why}"
        return
    other = wish_of(memory, {SUSPEND: RESUME, RESUME: SUSPEND}.get(wish.verb, ""))
    if other is not None and other.at > wish.at:
        store.verbs.end(wish, "withdrawn", f"{other.verb} was asked later", at)
        return
    if other is not None and "was" in other.params:
        wish = replace(wish, params={**wish.params, "was": other.params["was"]})
    store.verbs.ask(wish, other, at)
    yield wish.key, f"{wish.verb} ({wish.token}) by {wish.by} is taken up"


def previewed(spec: VMSpec, memory: Memory, store: Store, at: datetime) -> Memory:
    """What a run would take up of a spec's `do:`, for a look that writes nothing."""
    if spec.do is None:
        return memory
    used, intents = store.verbs.used(), dict(memory.intents)
    for wish in wishes_of(spec, at):
        fresh = (wish.key, wish.verb, wish.token) not in used
        if fresh and not refusal(spec, memory, wish) and not wish_of(memory, wish.verb):
            intents[wish.intent().kind] = wish.intent()
            if wish.verb == RESUME:
                intents.pop(f"do.{SUSPEND}", None)
    return replace(memory, intents=intents)


def verb_notes(key: str, memory: Memory) -> tuple[Note, ...]:
    """What to say of a VM that is suspended, and of rows of which nobody can tell what they ask."""
    suspended, notes = wish_of(memory, SUSPEND), tuple[Note, ...]()
    if suspended is not None:
        why = suspended.text("why")
        said = f"by {suspended.by} at {suspended.at:%Y-%m-%d %H:%M} UTC{f': {why}' if why else ''}"
        notes = (Note(key, "verbs", SUSPEND, f"suspended {said}", SUSPENDED),)
    return notes + tuple(
        Note(key, "verbs", kind, f"{why}: drop the row, or write it anew", UNCLEAR)
        for kind, why in unclear(memory)
    )
