"""Sends what waits: each notice is claimed, sent and settled, each step in the store first.

Whoever is killed leaves a claim: it is sent again where it surely was not delivered, and where
nobody can say it is held for a person (mail) or repeated with the same key (webhook).
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from desired.source import Fleet
from reconciler.clock import Clock
from reconciler.notices.channel import Away, Rejected, Sender, Undelivered, Unsure
from reconciler.notices.events import STALE
from reconciler.notices.letter import BadLetter
from reconciler.notices.message import Composer
from reconciler.notices.opening import Resolve, open_sender
from reconciler.retries import next_try
from reconciler.secrets import SecretError
from state.database import StoreError
from state.notices import Notice, State
from state.store import Store

logger = logging.getLogger(__name__)

SENDING, CHANNEL = "notices.send", "notices.channel"
"""The handlers whose attempts are counted: of a notice (bounded), of a channel (for ever)."""

LONGEST_PAUSE = 6
"""The count of failures from which on the pauses of a channel are the longest."""

HELD = "killed while it was handed over: nobody can say whether it arrived"
KEPT = timedelta(days=90)


@dataclass(slots=True)
class Post:
    """One run of sending; `out_of_time` says when no other may be begun."""

    store: Store
    fleet: Fleet
    clock: Clock
    resolve: Resolve
    out_of_time: Callable[[], bool]
    sent: int = 0
    failed: int = 0
    troubles: list[str] = field(default_factory=list)
    _senders: dict[str, Sender] = field(default_factory=dict)
    _away: set[str] = field(default_factory=set)

    def recover(self) -> None:
        """See to what a killed run left."""
        notices, now = self.store.notices, self.clock.now()
        for one in notices.in_state("claimed"):
            notices.move(one, "waiting", now)
        for one in notices.in_state("handing"):
            notices.move(one, "held", now, HELD)
            self._trouble(one, HELD)

    def go(self, only: str = "") -> None:
        """Send what waits, the oldest first; a channel where nobody is costs one attempt.

        `only` is the one kind that is sent.
        """
        try:
            for one in self.store.notices.in_state("waiting"):
                if only and one.kind != only:
                    continue
                if self.out_of_time():
                    return
                self._one(one)
        finally:
            for sender in self._senders.values():
                sender.close()

    def _one(self, notice: Notice) -> None:
        now = self.clock.now()
        if notice.channel not in self.fleet.notices.channels:
            self._settle(notice, "failed", f"there is no channel {notice.channel} any more")
        elif notice.at < now - STALE and notice.kind != "ticket" and not notice.reference:
            self._settle(notice, "failed", f"nobody could be told for {STALE.days} days")
        elif self._may_try(notice, now) and self._in_order(notice):
            claimed = replace(notice, state="claimed")
            if self.store.notices.move(notice, "claimed", now):
                self._attempt(claimed)

    def _may_try(self, notice: Notice, now: datetime) -> bool:
        if notice.channel in self._away:
            return False
        attempts = self.store.attempts
        channel = attempts.of(_channel(notice)).get(CHANNEL)
        mine = attempts.of(_subject(notice)).get(SENDING)
        return all(one is None or one.not_before <= now for one in (channel, mine))

    def _in_order(self, notice: Notice) -> bool:
        """Whether a ticket that is added to or closed is there; without one it is given up."""
        if notice.kind != "ticket" or notice.event == "open":
            return True
        assert notice.ticket is not None
        mine = [one for one in self.store.notices.of_ticket(notice.ticket) if one.id < notice.id]
        if any(one.state in ("waiting", "claimed", "handing") for one in mine):
            return False
        if mine and mine[0].state == "sent":
            return True
        self._settle(notice, "failed", "its ticket was never opened")
        return False

    def _attempt(self, notice: Notice) -> None:
        """Send one, and write down what came of it."""
        claimed = notice
        handed = [claimed]

        def handing() -> None:
            self.store.notices.move(claimed, "handing", self.clock.now())
            handed[0] = replace(claimed, state="handing")

        try:
            message = Composer(self.store, self.fleet).message(notice, self.clock.now())
            reference = self._sender(notice.channel).send(message, handing)
        except Away as error:
            self._channel_failed(handed[0], str(error))
        except Undelivered as error:
            self._again(handed[0], str(error))
        except Unsure as error:
            self._settle(handed[0], "held", str(error))
        except (Rejected, BadLetter) as error:
            self._settle(handed[0], "failed", str(error))
        except SecretError as error:
            self._channel_failed(handed[0], str(error))
        except StoreError:
            raise
        except Exception as error:  # A defect of one notice shall not keep back the others.
            logger.exception("notice %s failed", notice.id)
            over = handed[0].state == "handing"
            text = f"{type(error).__name__}: {error}"
            self._settle(handed[0], "held" if over else "failed", text)
        else:
            self._sent(handed[0], reference)

    def _sent(self, notice: Notice, reference: str) -> None:
        now = self.clock.now()
        if notice.kind == "ticket" and notice.event == "open" and notice.ticket is not None:
            ticket = self.store.tickets.of(notice.ticket)
            assert ticket is not None
            self.store.tickets.change(replace(ticket, reference=reference))
        self.store.notices.move(notice, "sent", now, reference=reference)
        self.store.attempts.clear(_subject(notice), SENDING)
        self.store.attempts.clear(_channel(notice), CHANNEL)
        self.sent += 1

    def _again(self, notice: Notice, error: str) -> None:
        """Put it back for another attempt, or give it up after the last one (Q-04)."""
        subject, now, attempts = _subject(notice), self.clock.now(), self.store.attempts
        before = attempts.of(subject).get(SENDING)
        count = (before.count if before else 0) + 1
        due = next_try(subject, SENDING, count, now)
        if due is None:
            self._settle(notice, "failed", f"{error} (attempt {count}, the last)")
            return
        attempts.fail(subject, SENDING, error, now, due)
        self.store.notices.move(notice, "waiting", now, error)
        self.troubles.append(f"notice {notice.id} ({notice.kind}): {error}; tried again")

    def _channel_failed(self, notice: Notice, error: str) -> None:
        """Nothing goes by this channel now; that is no failure of the notice."""
        subject, now, attempts = _channel(notice), self.clock.now(), self.store.attempts
        before = attempts.of(subject).get(CHANNEL)
        count = min((before.count if before else 0) + 1, LONGEST_PAUSE)
        due = next_try(subject, CHANNEL, count, now, most=LONGEST_PAUSE + 1)
        assert due is not None
        attempts.fail(subject, CHANNEL, error, now, due)
        self._away.add(notice.channel)
        self.store.notices.move(notice, "waiting", now, error)
        self.troubles.append(f"channel {notice.channel}: {error}; tried again later")

    def _settle(self, notice: Notice, state: State, error: str) -> None:
        self.store.notices.move(notice, state, self.clock.now(), error)
        self.store.attempts.clear(_subject(notice), SENDING)
        self._trouble(notice, error)

    def _trouble(self, notice: Notice, error: str) -> None:
        self.failed += 1
        again = f"reconcile notices resend {notice.id}"
        about = f"{notice.kind} of {notice.key}" if notice.key else notice.kind
        self.troubles.append(f"notice {notice.id} ({about}): {error}; {again} sends it again")

    def _sender(self, name: str) -> Sender:
        if name not in self._senders:
            channel, folder = self.fleet.notices.channels[name], Path(self.fleet.folder)
            self._senders[name] = open_sender(channel, folder, self.resolve)
        return self._senders[name]


def resend(store: Store, notice: Notice, at: datetime) -> bool:
    """Let a notice be sent once more, for a person; False while it is under way."""
    if notice.state not in ("sent", "held", "failed"):
        return False
    with suppress(KeyError):
        store.attempts.clear(_subject(notice), SENDING)
    return store.notices.move(notice, "waiting", at, reference=notice.reference or "again")


def _subject(notice: Notice) -> str:
    return f"notice/{notice.id}"


def _channel(notice: Notice) -> str:
    return f"channel/{notice.channel}"
