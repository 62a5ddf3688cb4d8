"""What a person does with notices: look how one would read, try a channel, send one again."""

from datetime import datetime
from email.utils import format_datetime
from pathlib import Path

from desired.notices import KINDS, MORE, VARIABLES, Kind
from desired.source import Fleet
from reconciler.notices.channel import Away, Message, Rejected, Undelivered, Unsure
from reconciler.notices.events import EVENTS, channels_of, recipients
from reconciler.notices.facts import facts, told_of
from reconciler.notices.letter import Words, letter_of, write
from reconciler.notices.message import WITH_PASSWORD
from reconciler.notices.opening import Resolve, open_sender
from state.notices import Notice
from state.store import Store

HIDDEN = "***"


class NoSuch(Exception):
    """There is no such kind, event or channel; says which there are."""


class NotTaken(Exception):
    """A test did not arrive; says why."""


def kind_of(word: str) -> tuple[Kind, str]:
    """Return kind and event for either word. Raises NoSuch."""
    for kind in KINDS:
        if word == kind:
            return kind, next(event for event, one in EVENTS.items() if one == kind)
    if word in EVENTS:
        return EVENTS[word], word
    raise NoSuch(f"no notice {word}; there is {', '.join(KINDS)}, or an event: {', '.join(EVENTS)}")


def preview(store: Store, fleet: Fleet, word: str, key: str, at: datetime) -> tuple[Words, str]:
    """How a notice of a VM would read now, and to whom it would go. No password is shown.

    Raises NoSuch, BadLetter.
    """
    kind, event = kind_of(word)
    told = told_of(fleet, key)
    notice = Notice(0, "preview", kind, event, key, "", "", at, {})
    password = HIDDEN if kind in WITH_PASSWORD and told.password else ""
    words = write(
        letter_of(told, kind, fleet.letters), facts(store, fleet, notice, password), fleet.letters
    )
    ways = [
        f"{name}: {recipient}" if recipient else name
        for name in channels_of(fleet, told, kind)
        for recipient in recipients(fleet, told, kind, name)
    ]
    return words, "; ".join(ways) or "nobody"


def try_out(fleet: Fleet, name: str, to: str, resolve: Resolve, at: datetime) -> str:
    """Send a test by a channel at once; return what the other side says.

    Raises NoSuch, SecretError.
    """
    channel = fleet.notices.channels.get(name)
    if channel is None:
        raise NoSuch(f"no channel {name}; there is {', '.join(fleet.notices.channels) or 'none'}")
    if channel.mail and not to:
        raise NoSuch(f"{name} is mail: say to whom with --to")
    words = Words(
        f"[{fleet.name}] test of the channel {name}",
        f"This is a test of the channel {name} of the fleet {fleet.name}.\n",
    )
    values: dict[str, object] = {"fleet": fleet.name, "kind": "test", "event": "test"}
    token = f"test-{at.strftime('%Y%m%d%H%M%S%f')}"
    message = Message(token, to or "url 1", words, _whole(values), format_datetime(at))
    sender = open_sender(channel, Path(fleet.folder), resolve)
    try:
        return sender.send(message, lambda: None)
    except (Away, Undelivered, Rejected, Unsure) as error:
        raise NotTaken(str(error)) from None
    finally:
        sender.close()


def _whole(values: dict[str, object]) -> dict[str, object]:
    """Every name that a body may use, empty where a test has nothing to say."""
    lists: dict[str, object] = dict.fromkeys(("addresses", "ipv4", "ipv6"), ())
    return {**dict.fromkeys((*VARIABLES, *MORE), ""), "vmid": 0, **lists, **values}
