"""The sender of a channel, by what the fleet says of it."""

from collections.abc import Callable
from pathlib import Path

from desired.notices import Channel
from reconciler.notices.channel import Sender
from state.secret import Secret

Resolve = Callable[[str], Secret]


def open_sender(channel: Channel, folder: Path, resolve: Resolve) -> Sender:
    """Return what sends by a channel; nothing has been sent or resolved yet."""
    if channel.mail:
        from reconciler.notices.mail import Mailer

        return Mailer(channel.mail, folder, resolve)
    if channel.webhook:
        from reconciler.notices.webhook import Hook

        return Hook(channel.webhook, folder, resolve)
    from reconciler.notices.services import Services

    assert channel.apprise is not None
    return Services(channel.apprise, resolve)
