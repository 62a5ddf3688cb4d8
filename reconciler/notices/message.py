"""A notice as the message that is sent: its words, its token, the secret that it carries."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import cast

from desired.notices import Kind, Tickets
from desired.source import Fleet
from reconciler.notices.channel import Message
from reconciler.notices.facts import facts, told_of
from reconciler.notices.letter import Words, letter_of, one_line, uses, write
from state.notices import Notice
from state.store import Store
from state.tickets import Ticket

WITH_PASSWORD: frozenset[str] = frozenset({"ready", "password_reset"})
"""Kinds in which a generated password may stand."""


@dataclass(frozen=True, slots=True)
class Composer:
    """Writes messages of one fleet."""

    store: Store
    fleet: Fleet

    def message(self, notice: Notice, at: datetime) -> Message:
        """Return what is to be sent. Raises BadLetter."""
        if notice.kind == "ticket":
            return self._of_ticket(notice)
        password = self._password(notice, at)
        values = facts(self.store, self.fleet, notice, password)
        words = write(self.letter_of(notice), values, self.fleet.letters)
        shown = {**values, "department": "", "priority": ""}
        return Message(self.token(notice), notice.recipient, words, shown, _date(notice))

    def letter_of(self, notice: Notice) -> str:
        """The name of its letter."""
        kind = cast(Kind, notice.kind)
        return letter_of(told_of(self.fleet, notice.key), kind, self.fleet.letters)

    def token(self, notice: Notice) -> str:
        """The same for every attempt, of no other notice of any fleet."""
        return self._token(notice.occurrence, notice.channel, notice.recipient)

    def _token(self, *parts: str) -> str:
        text = "\0".join((self.store.id, self.fleet.name, *parts))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _of_ticket(self, notice: Notice) -> Message:
        assert notice.ticket is not None
        ticket = self.store.tickets.of(notice.ticket)
        assert ticket is not None
        again = "" if notice.event == "open" else "Re: "
        text = f"{notice.detail.get('text', '')}\n"
        first = f"ticket/{ticket.id}/open"
        return Message(
            self.token(notice),
            notice.recipient,
            Words(one_line(again + ticket.subject), text),
            self._values(notice, ticket),
            _date(notice),
            notice.event,
            self._token(first, notice.channel, notice.recipient),
            ticket.reference,
        )

    def _values(self, notice: Notice, ticket: Ticket) -> dict[str, object]:
        rules = self.fleet.notices.tickets or Tickets(channel="none")
        more = {"department": ticket.department, "priority": rules.priority}
        return {**facts(self.store, self.fleet, notice), **more}

    def _password(self, notice: Notice, at: datetime) -> str:
        """The generated password, if it is this notice's to deliver (C17)."""
        use = notice.carries or self._entrusted(notice, at)
        secret = self.store.vault.reveal(notice.key, use) if use else None
        return secret.reveal() if secret else ""

    def _entrusted(self, notice: Notice, at: datetime) -> str:
        told = told_of(self.fleet, notice.key)
        channel = self.fleet.notices.channels[notice.channel]
        if notice.kind not in WITH_PASSWORD or not (told.password and channel.mail):
            return ""
        if not uses(self.letter_of(notice), "password", self.fleet.letters):
            return ""
        user = notice.detail.get("user")
        for use in (f"password:{user}", "password") if user else ("password",):
            if self.store.notices.entrust(notice, use, at):
                return use
        return ""


def _date(notice: Notice) -> str:
    return format_datetime(notice.at)
