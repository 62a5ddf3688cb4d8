"""Whatever the package `apprise` can tell: chats, phones, push services. It is an extra."""

from collections.abc import Callable
from dataclasses import dataclass

from desired.notices import Apprise
from reconciler.notices.channel import Message, Rejected, Undelivered
from reconciler.secrets import SecretError
from state.secret import Secret

MISSING = "apprise is not installed: pip install 'pve-reconcile[apprise]'"


@dataclass(frozen=True, slots=True)
class Services:
    """URLs of services; a notice's recipient is `url 1`, `url 2`, …"""

    apprise: Apprise
    resolve: Callable[[str], Secret]

    def send(self, message: Message, handing: Callable[[], None]) -> str:
        """Tell one service. It says yes or no, never why: its URL is a secret."""
        try:
            import apprise
        except ImportError:
            raise SecretError(MISSING) from None
        number = int(message.recipient.removeprefix("url "))
        if number > len(self.apprise.urls):
            raise Rejected(f"there is no {message.recipient} any more")
        told = apprise.Apprise()
        if not told.add(self.resolve(self.apprise.urls[number - 1]).reveal()):
            raise Rejected(f"{message.recipient}: apprise knows no such service")
        if not told.notify(title=message.words.subject, body=message.words.text):
            raise Undelivered(f"{message.recipient}: apprise did not deliver it")
        return ""

    def close(self) -> None:
        return
