"""Notices and tickets as people and programs read them."""

from collections.abc import Sequence
from datetime import datetime

from reconciler.show.text import show_when
from state.api import Json
from state.notices import Notice
from state.tickets import Ticket


def render_notices(found: Sequence[Notice], tickets: Sequence[Ticket]) -> str:
    """A line for each notice, the newest first, then the open tickets."""
    lines = [_line(one) for one in found] or ["no notices"]
    standing = [one for one in tickets if one.closed_at is None]
    lines += ["", "Open tickets:"] if standing else []
    lines += [
        f"  {one.id}  {show_when(one.opened_at)}  {one.subject}"
        + (f"  ({one.reference})" if one.reference else "")
        for one in standing
    ]
    return "\n".join(lines)


def render_notice(one: Notice) -> str:
    """Everything about one notice, but what stands in it."""
    rows = notice_json(one)
    width = max(map(len, rows))
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows.items() if value)


def notice_json(one: Notice) -> dict[str, Json]:
    return {
        "id": one.id,
        "state": one.state,
        "kind": one.kind,
        "event": one.event,
        "vm": one.key,
        "channel": one.channel,
        "recipient": one.recipient,
        "at": one.at.isoformat(),
        "changed_at": _moment(one.changed_at),
        "reference": one.reference,
        "error": one.error,
        "ticket": one.ticket,
    }


def ticket_json(one: Ticket) -> dict[str, Json]:
    return {
        "id": one.id,
        "cause": one.cause,
        "channel": one.channel,
        "subject": one.subject,
        "message": one.message,
        "subjects": list(one.subjects),
        "department": one.department,
        "opened_at": one.opened_at.isoformat(),
        "closed_at": _moment(one.closed_at),
        "reference": one.reference,
    }


def _line(one: Notice) -> str:
    about = f"{one.kind} {one.key}" if one.key else f"{one.kind} {one.event}"
    to = f"{one.channel}: {one.recipient}" if one.recipient else one.channel
    why = f"  {one.error}" if one.error and one.state != "sent" else ""
    return f"{one.id:>6}  {one.state:<8} {show_when(one.at)}  {about}  {to}{why}"


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
