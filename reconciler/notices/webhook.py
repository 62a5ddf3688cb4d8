"""JSON to a server: any help desk or chat. Repeated after a lost answer, with the same key.

Every attempt bears `Idempotency-Key`; a server that heeds it takes the notice once.
"""

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from urllib3 import BaseHTTPResponse, PoolManager, Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationParseError,
    NewConnectionError,
    SSLError,
)

from desired.notices import Request, Webhook
from reconciler.notices.channel import SECONDS, Away, Message, Rejected, Undelivered
from reconciler.notices.letter import one_line, render
from state.secret import Secret

AGAIN = frozenset({408, 425, 429})
"""Statuses below 500 after which another attempt makes sense."""
LONGEST = 300


@dataclass(slots=True)
class Hook:
    """One server that takes JSON."""

    webhook: Webhook
    folder: Path
    resolve: Callable[[str], Secret]
    _pool: PoolManager | None = field(default=None)
    _secrets: list[Secret] = field(default_factory=list)

    def send(self, message: Message, handing: Callable[[], None]) -> str:
        """Send one request; return the id that a help desk gave a new ticket."""
        request = self._request(message)
        if request is None:
            return message.ticket
        values = self._values(message)
        base = self._secret(self.webhook.url)
        url = base
        if request.url:
            # What comes from outside shall not lead to another place of the server.
            quoted = {**values, "ticket": quote(message.ticket, safe="")}
            rendered = render(request.url, quoted, "url")
            url = rendered if "://" in rendered else base.rstrip("/") + rendered
        body = filled(request.body, values) if request.body else _plain(values)
        answer = self._call(request.method, url, body, message.token)
        text = answer.data.decode(errors="replace")
        self._judge(answer.status, text, url)
        return self._id(text) if message.step == "open" else message.ticket

    def close(self) -> None:
        if self._pool is not None:
            self._pool.clear()
            self._pool = None

    def _request(self, message: Message) -> Request | None:
        """What is asked for a notice, or for a step of a ticket; None: there is no such step."""
        hook = self.webhook
        steps = hook.ticket
        if message.step and steps:
            return {"open": steps.create, "append": steps.append, "close": steps.close}[
                message.step
            ]
        return Request.model_construct(url="", method=hook.method, body=hook.body)

    def _values(self, message: Message) -> dict[str, object]:
        words = {"subject": message.words.subject, "text": message.words.text.strip()}
        return {**message.values, **words, "id": message.token, "ticket": message.ticket}

    def _call(self, method: str, url: str, body: object, token: str) -> BaseHTTPResponse:
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": token,
            **self.webhook.headers,
            **{name: self._secret(one) for name, one in self.webhook.secrets.items()},
        }
        where = _host(url)
        try:
            return self._opened().request(
                method,
                url,
                body=json.dumps(body, ensure_ascii=False).encode(),
                headers=headers,
                retries=False,
                redirect=False,
                timeout=Timeout(SECONDS),
            )
        except (NewConnectionError, ConnectTimeoutError, SSLError) as error:
            raise Away(f"{where}: {self._why(error)}") from None
        except LocationParseError:
            raise Rejected(f"{where}: this is no URL") from None
        except (HTTPError, OSError) as error:
            raise Undelivered(f"{where}: no answer: {self._why(error)}") from None

    def _opened(self) -> PoolManager:
        if self._pool is None:
            ca = self.webhook.ca
            context = ssl.create_default_context(cafile=self.folder / ca if ca else None)
            self._pool = PoolManager(num_pools=2, maxsize=1, ssl_context=context)
        return self._pool

    def _judge(self, status: int, text: str, url: str) -> None:
        if 200 <= status < 300:
            return
        said = f"{_host(url)} answered {status}: {self._clean(text) or 'nothing at all'}"
        if status in AGAIN or status >= 500:
            raise Undelivered(said)
        raise Rejected(said)

    def _id(self, text: str) -> str:
        """The ticket's id in an answer, by its path; it was made, so nothing is tried again."""
        assert self.webhook.ticket is not None
        found: object
        try:
            found = json.loads(text)
            for part in self.webhook.ticket.id.split("."):
                found = found[int(part)] if isinstance(found, list) else found[part]  # type: ignore[index]
        except (ValueError, LookupError, TypeError):
            raise Rejected(
                f"the answer has no {self.webhook.ticket.id}: {self._clean(text)}"
            ) from None
        if not isinstance(found, str | int) or found == "":
            raise Rejected(f"{self.webhook.ticket.id} of the answer is no id: {self._clean(text)}")
        return str(found)

    def _secret(self, text: str) -> str:
        if not text.startswith(("env:", "file:", "exec:")):
            return text
        secret = self.resolve(text)
        self._secrets.append(secret)
        return secret.reveal()

    def _why(self, error: Exception) -> str:
        return self._clean(str(error.__cause__ or error)) or type(error).__name__

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret.reveal(), "***")
        return one_line(text)[:LONGEST]


def filled(tree: object, values: Mapping[str, object]) -> object:
    """Return a body with its templates filled in; being JSON, nothing breaks out of a text."""
    if isinstance(tree, str):
        return render(tree, values, "body")
    if isinstance(tree, Mapping):
        return {str(name): filled(one, values) for name, one in tree.items()}
    if isinstance(tree, list | tuple):
        return [filled(one, values) for one in tree]
    return tree


def _plain(values: Mapping[str, object]) -> object:
    """All that is known, but a password."""
    return {name: one for name, one in values.items() if name != "password"}


def _host(url: str) -> str:
    """The server's name alone: paths of webhooks are secrets, as a rule."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
