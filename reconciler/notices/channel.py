"""What a channel is, and in which ways sending may fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from reconciler.notices.letter import Words

SECONDS = 10.0
"""How long one step of a conversation may take."""


class Undelivered(Exception):
    """It was surely not delivered, and may be tried again."""


class Away(Undelivered):
    """Nobody is there: nothing else can be sent by this channel either."""


class Rejected(Exception):
    """It was surely not delivered, and never will be as it is."""


class Unsure(Exception):
    """It was handed over, and the answer was lost: nobody can say whether it was delivered."""


@dataclass(frozen=True, slots=True)
class Message:
    """One notice, ready to be sent.

    `token` is the same for every attempt of it. `values` are what requests may name; `thread` is
    the token of the ticket that it belongs to, `step` what it does with that (open, append,
    close), `ticket` what the help desk calls it.
    """

    token: str
    recipient: str
    words: Words
    values: Mapping[str, object]
    date: str = ""
    step: str = ""
    thread: str = ""
    ticket: str = ""


class Sender(Protocol):
    """Sends one message at a time.

    `handing` is called just before the point from which on nobody can say any more that it was not
    delivered; what it raises is raised. Returns what the other side calls it.
    Raises Undelivered, Away, Rejected, Unsure, SecretError.
    """

    def send(self, message: Message, handing: Callable[[], None]) -> str: ...

    def close(self) -> None: ...
