"""One ticket for each cause: opened, added to as more fail alike, closed on recovery (Q-06)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from desired.notices import Tickets
from desired.source import Fleet
from reconciler.notices.causes import Cause, causes
from state.api import Json
from state.notices import Notice
from state.outbox import Event
from state.store import Store
from state.tickets import Ticket

RDNS = "rdns_ticket"
"""The event of a reverse name that no zone takes: somebody is asked for it (DNS-11)."""

SHOWN = 20


@dataclass(slots=True)
class Desk:
    """Brings the tickets in line with what has failed."""

    store: Store
    fleet: Fleet
    rules: Tickets
    at: datetime
    opened: int = 0
    closed: int = 0
    noted: int = 0
    standing: dict[str, Ticket] = field(default_factory=dict)

    def go(self) -> None:
        """Open, add to and close; each ticket changes with its notice in one transaction."""
        self.standing = self.store.tickets.standing()
        found = causes(self.store, self.fleet, self.at, self.rules.after)
        for name, cause in found.items():
            ticket = self.standing.get(name)
            if ticket is None:
                self._open(name, cause.subject, said(cause), cause.subjects)
            else:
                self._add(ticket, cause)
        for name, ticket in self.standing.items():
            if name not in found and not ticket.quiet:
                self._close(ticket)

    def ask(self, events: Sequence[Event]) -> None:
        """Ask by a ticket for reverse names (DNS-11); who sets them closes it."""
        for event in events:
            address, name = str(event.detail.get("address")), str(event.detail.get("name"))
            text = f"Please set the reverse name of {address} to {name} (VM {event.key})."
            self._open(
                event.dedupe,
                f"Reverse name of {address}: {name}",
                text,
                (event.key,),
                str(event.detail.get("department") or ""),
                quiet=True,
            )

    def _open(
        self,
        cause: str,
        subject: str,
        text: str,
        subjects: tuple[str, ...],
        department: str = "",
        *,
        quiet: bool = False,
    ) -> None:
        if cause in self.standing:
            return
        ticket = Ticket(
            0,
            cause,
            0,
            self.rules.channel,
            f"[{self.fleet.name}] {subject}",
            text,
            subjects,
            department or self.rules.department,
            self.at,
            quiet=quiet,
        )
        made = self.store.tickets.open(ticket, self._notice(ticket, "open", "", text))
        self.standing[cause] = made
        self.opened += 1

    def _add(self, ticket: Ticket, cause: Cause) -> None:
        """Tell who else fails alike by now; who has recovered meanwhile is told at the end."""
        more = tuple(sorted(set(cause.subjects) - set(ticket.subjects)))
        if set(cause.subjects) == set(ticket.subjects):
            return
        changed = replace(ticket, subjects=cause.subjects, message=cause.reason)
        if not more:
            self.store.tickets.change(changed)
            return
        text = f"Now also: {listed(more)}\n\n{cause.reason}"
        note = self._notice(ticket, "append", f"ticket/{ticket.id}/{self.at.isoformat()}", text)
        self.store.tickets.change(changed, note)
        self.noted += 1

    def _close(self, ticket: Ticket) -> None:
        text = f"Nothing fails for this reason any more: {listed(ticket.subjects)}"
        note = self._notice(ticket, "close", f"ticket/{ticket.id}/close", text)
        self.store.tickets.change(replace(ticket, closed_at=self.at), note)
        self.closed += 1

    def _notice(self, ticket: Ticket, step: str, occurrence: str, text: str) -> Notice:
        detail: dict[str, Json] = {"text": text}
        return Notice(
            0,
            occurrence,
            "ticket",
            step,
            "",
            ticket.channel,
            self.rules.to or "",
            self.at,
            detail,
            ticket.id or None,
        )


def said(cause: Cause) -> str:
    """The text that a ticket begins with."""
    return f"{cause.reason}\n\nConcerned: {listed(cause.subjects)}"


def listed(subjects: Sequence[str]) -> str:
    more = f" and {len(subjects) - SHOWN} more" if len(subjects) > SHOWN else ""
    return ", ".join(subjects[:SHOWN]) + more
