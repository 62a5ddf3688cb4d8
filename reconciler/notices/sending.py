"""The loop `notices`: takes events up, keeps the tickets, sends what waits (NOTE-01, Q-06)."""

from datetime import datetime

from desired.notices import Tickets
from desired.source import Fleet
from desired.timetable import read_timetable
from reconciler.loops.loop import Loop, LoopResult, Occasion
from reconciler.notices.accept import begin
from reconciler.notices.deliver import KEPT, Post
from reconciler.notices.events import Taken, take_up
from reconciler.notices.tickets import RDNS, Desk
from reconciler.show.text import count_of
from state.store import Store


def notices() -> Loop:
    """Return the loop that tells people."""
    return Loop(
        "notices",
        "send notices and tickets of what happened",
        _run,
        read_timetable("every_run"),
        ("send_notices",),
        has_work=lambda store, at: store.notices.since() != "",
    )


def _run(occasion: Occasion) -> LoopResult:
    fleet, store = occasion.opened.fleet, occasion.store
    if not fleet.notices.channels:
        return LoopResult("skipped", message="fleet.yaml has no channels: see docs/notices.md")
    if occasion.dry:
        return _dry(occasion)
    begin(fleet, store, occasion.start)
    post = Post(store, fleet, occasion.clock, occasion.opened.resolve, occasion.out_of_time)
    post.recover()
    desk = _tickets(store, fleet, fleet.notices.tickets, occasion.start)
    taken = take_up(store, fleet, occasion.start)
    post.go()
    store.notices.forget(occasion.start - KEPT)
    for trouble in post.troubles:
        occasion.warn(trouble)
    return LoopResult(
        "error" if post.troubles else "success",
        processed=post.sent,
        errors=len(post.troubles),
        message=_message(post, taken, desk, len(store.notices.in_state("waiting"))),
    )


def _tickets(store: Store, fleet: Fleet, rules: Tickets | None, at: datetime) -> Desk | None:
    if rules is None:
        return None
    desk = Desk(store, fleet, rules, at)
    desk.go()
    desk.ask([event for event in store.outbox.waiting() if event.event == RDNS])
    return desk


def _message(post: Post, taken: Taken, desk: Desk | None, waiting: int) -> str:
    parts = [f"{count_of(post.sent, 'notice')} sent"]
    if post.failed:
        parts.append(f"{post.failed} not delivered")
    if waiting:
        parts.append(f"{waiting} waiting")
    if taken.stale:
        parts.append(f"{count_of(taken.stale, 'event')} too old to be told")
    if desk and (desk.opened or desk.closed):
        parts.append(f"{count_of(desk.opened, 'ticket')} opened, {desk.closed} closed")
    return ", ".join(parts)


def _dry(occasion: Occasion) -> LoopResult:
    """Say what waits to be sent."""
    waiting = occasion.store.notices.in_state("waiting", "claimed")
    return LoopResult(processed=len(waiting), message=f"{count_of(len(waiting), 'notice')} waiting")
