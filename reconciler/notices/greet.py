"""Welcomes what a look has accepted, before the look's calls are sent (DEP-25).

It goes on beside the VMs: they wait for the mail a moment at most, and never for its success.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from reconciler.clock import Clock
from reconciler.config import Opened
from reconciler.latch import Lock
from reconciler.notices.deliver import Post
from reconciler.notices.events import ACCEPTED, notices_of
from reconciler.report import Remark, Reporter

logger = logging.getLogger(__name__)

MOMENT = 2.0
"""Seconds for which VMs wait for their welcome to be sent."""


@dataclass(slots=True)
class Greeter:
    """The welcomes of one run; `lock` is that of the loop `notices`, who sends the rest.

    Where that loop is at work elsewhere the welcome is left to it.
    """

    opened: Opened
    reporter: Reporter
    clock: Clock
    lock: Callable[[], Lock]
    _one: threading.Lock = field(default_factory=threading.Lock)
    _going: list[threading.Thread] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def greet(self) -> None:
        """Begin to welcome whom nobody has welcomed yet, and wait a moment for that."""
        if not self.opened.fleet.notices.channels or not self._new():
            return
        thread = threading.Thread(target=self._safely, name="welcome", daemon=True)
        self._going.append(thread)
        thread.start()
        thread.join(MOMENT)

    def end(self) -> None:
        """Let the mail that is under way be sent; what is left is the loop's."""
        self._over.set()
        for thread in self._going:
            thread.join()

    def _new(self) -> bool:
        return any(event.event == ACCEPTED for event in self.opened.store.outbox.waiting())

    def _safely(self) -> None:
        try:
            with self._one:
                lock = self.lock()
                if lock.acquire():
                    try:
                        self._deliver()
                    finally:
                        lock.release()
        except Exception as error:  # The loop `notices` sends what is left.
            logger.exception("new VMs could not be welcomed")
            self._warn(f"welcome: {type(error).__name__}: {error}")

    def _deliver(self) -> None:
        fleet, store, now = self.opened.fleet, self.opened.store, self.clock.now()
        for event in store.outbox.waiting():
            if event.event == ACCEPTED:
                store.notices.expand(event, notices_of(fleet, event), now)
        post = Post(store, fleet, self.clock, self.opened.resolve, self._over.is_set)
        post.go("welcome")
        for trouble in post.troubles:
            self._warn(trouble)

    def _warn(self, text: str) -> None:
        self.reporter.report(Remark(self.clock.now(), text, "warning"))
