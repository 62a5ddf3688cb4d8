"""What is told to whom and how: `notices:` of the fleet, and of packages and VMs (NOTE-01)."""

from collections.abc import Collection, Iterator, Mapping, ValuesView
from typing import Annotated, Literal, get_args

from jinja2 import TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from desired.cloudinit import SecretReference
from desired.model import Bool, Int, Model
from desired.units import Duration

Kind = Literal[
    "welcome",
    "ready",
    "password_reset",
    "backup_restored",
    "upgrade",
    "expiry",
    "failure",
    "drift",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
FOR_OWNER: frozenset[Kind] = frozenset({"failure", "drift"})
"""Kinds that go to the `owner`; the others go to the `contact`."""

VARIABLES: Mapping[str, str] = {
    "event": "what happened, as the outbox names it: `vm_ready`",
    "kind": "the kind of notice: `ready`",
    "at": "when, in the fleet's time zone: `2026-03-01 12:00 CET`",
    "text": "what there is to say of it, in words; may be empty",
    "fleet": "the fleet's name",
    "vm": "the VM's key; empty when it is about the fleet",
    "name": "its name in Proxmox",
    "fqdn": "its full host name; empty without a domain",
    "cluster": "its cluster",
    "node": "the server that it is on",
    "vmid": "its number in Proxmox; 0 when it has none yet",
    "package": "its package; may be empty",
    "addresses": "its assigned addresses, a list",
    "ipv4": "those of IPv4",
    "ipv6": "those of IPv6",
    "user": "the user that cloud-init makes; may be empty",
    "password": "a generated password, in one notice only (C17); empty in all others",
    "contact": "whose VM it is; may be empty",
    "owner": "who runs it; may be empty",
}
"""Each name that a letter may use, and what it is."""

_ENVIRONMENT = ImmutableSandboxedEnvironment()

ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$"
SENDER = r"^([^<>@\x00-\x1f\x7f]+ <[^\s<>@]+@[A-Za-z0-9.-]+>|[^\s<>@]+@[A-Za-z0-9.-]+)$"
URL = r"^(https?://[^\s/@]+(/\S*)?|(env|file|exec):.+)$"
HEADER = r"^[A-Za-z0-9-]{1,60}$"
PRINTABLE = r"^[\x20-\x7e]{1,1000}$"
PLACE = r"^(https?://|/)\S+( \S+)*$"
CHANNEL = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"
LETTER = r"^[a-z0-9][a-z0-9_-]{0,39}$"
HOST = r"^[A-Za-z0-9.:-]+$"

ChannelName = Annotated[str, Field(pattern=CHANNEL)]
LetterName = Annotated[str, Field(pattern=LETTER)]
MailAddress = Annotated[str, Field(pattern=ADDRESS, max_length=254)]


class SmtpLogin(Model):
    """Who signs in at the mail server: `{user: fleet, password: env:SMTP_PASSWORD}`."""

    user: str = Field(min_length=1)
    password: SecretReference


class Mail(Model):
    """A mail server that takes our mail. `ca` is a file of certificates that sign for it."""

    host: str = Field(pattern=HOST)
    port: Int = Field(587, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca: str | None = None
    login: SmtpLogin | None = None
    sender: str = Field(alias="from", pattern=SENDER, description="`Name <address>` or an address")

    @model_validator(mode="after")
    def _guarded(self) -> "Mail":
        if self.login and self.tls == "none":
            raise ValueError("a login over `tls: none` would show the password to everybody")
        return self


MORE = ("subject", "id", "ticket", "department", "priority")
"""What the requests of a webhook know beside what letters do."""


def _templated(value: object) -> object:
    for text in _texts(value):
        try:
            names = find_undeclared_variables(_ENVIRONMENT.parse(text))
        except TemplateSyntaxError as error:
            raise ValueError(f"bad template: {error.message}") from None
        for name in sorted(names - {*VARIABLES, *MORE}):
            raise ValueError(f"{name} is not known; there is {', '.join((*VARIABLES, *MORE))}")
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    below = value.values() if isinstance(value, dict) else value
    for one in below if isinstance(below, list | ValuesView) else ():
        yield from _texts(one)


Body = Annotated[dict[str, object], AfterValidator(_templated)]
"""What is sent as JSON: a tree in which every text is a template."""


class Request(Model):
    """One request to a help desk: `url` is a template that knows `ticket`, whole or from `/` on."""

    url: Annotated[str, AfterValidator(_templated)] = Field(min_length=1, pattern=PLACE)
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    body: Body = Field(default_factory=dict)


class TicketRequests(Model):
    """How a help desk takes a ticket: `id` is where the answer to `create` names it."""

    create: Request
    append: Request | None = None
    close: Request | None = None
    id: str = Field("id", pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")


class Webhook(Model):
    """A server that is sent JSON. `secrets` are headers whose whole value is a secret."""

    url: str = Field(pattern=URL)
    method: Literal["POST", "PUT", "PATCH"] = "POST"
    headers: dict[
        Annotated[str, Field(pattern=HEADER)], Annotated[str, Field(pattern=PRINTABLE)]
    ] = Field(default_factory=dict)
    secrets: dict[Annotated[str, Field(pattern=HEADER)], SecretReference] = Field(
        default_factory=dict
    )
    ca: str | None = None
    body: Body = Field(default_factory=dict, description="without one: all that is known")
    ticket: TicketRequests | None = None


class Apprise(Model):
    """Services that the package `apprise` knows, by URLs that are secrets."""

    urls: tuple[SecretReference, ...] = Field(min_length=1)


class Channel(Model):
    """One way to tell somebody: a mail server, a webhook, or what apprise knows."""

    mail: Mail | None = None
    webhook: Webhook | None = None
    apprise: Apprise | None = None

    @model_validator(mode="after")
    def _one(self) -> "Channel":
        if sum(one is not None for one in (self.mail, self.webhook, self.apprise)) != 1:
            raise ValueError("expected exactly one of mail, webhook, apprise")
        return self


def _channels(value: object) -> object:
    if value == "none":
        return ()
    return (value,) if isinstance(value, str) else value


Channels = Annotated[
    tuple[ChannelName, ...],
    BeforeValidator(_channels),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""Names of channels, one name, or `none`."""


class Told(Model):
    """Who is told of a VM, by which channels and in whose words; what is unset is the fleet's.

    `contact` is whose VM it is, `owner` who runs it. `send` names the channels of a kind, or
    `none`; `templates` the letter of a kind. With `password` a generated password stands in the
    notices `ready` and `password_reset`, once (C17).
    """

    contact: MailAddress | None = None
    owner: MailAddress | None = None
    send: dict[Kind, Channels] = Field(default_factory=dict)
    templates: dict[Kind, LetterName] = Field(default_factory=dict)
    password: Bool | None = Field(None, description="mail a generated password, once")

    def over(self, below: "Told") -> "Told":
        """What holds for a VM of which this is said, and `below` of the whole fleet."""
        return Told(
            contact=self.contact or below.contact,
            owner=self.owner or below.owner,
            send={**below.send, **self.send},
            templates={**below.templates, **self.templates},
            password=below.password if self.password is None else self.password,
        )


class Tickets(Model):
    """Tickets for what has failed for good: one for every cause (Q-06).

    `to` is the address for a channel of mail; `after` is how long a VM that did not start, or a
    cluster that is away, is waited for.
    """

    channel: ChannelName
    to: MailAddress | None = None
    department: str = Field("", max_length=100)
    priority: str = Field("", max_length=40)
    after: Duration = 900.0


class Notices(Told):
    """`notices:` of `fleet.yaml`: the channels by name, and what holds for every VM."""

    channels: dict[ChannelName, Channel] = Field(default_factory=dict)
    tickets: Tickets | None = None

    @model_validator(mode="after")
    def _sound(self) -> "Notices":
        for kind, names in self.send.items():
            for name in names:
                if name not in self.channels:
                    raise ValueError(f"send.{kind}: {unknown(name, self.channels)}")
        tickets = self.tickets
        if tickets is None:
            return self
        if tickets.channel not in self.channels:
            raise ValueError(f"tickets.channel: unknown channel {tickets.channel}")
        channel = self.channels[tickets.channel]
        if channel.mail and tickets.to is None:
            raise ValueError("tickets: a channel of mail needs `to`, an address")
        if channel.webhook and channel.webhook.ticket is None:
            raise ValueError(f"tickets: the webhook {tickets.channel} says no `ticket` requests")
        if channel.apprise:
            raise ValueError("tickets: apprise cannot carry them; name a mail or webhook channel")
        return self


def unknown(name: str, channels: Collection[str]) -> str:
    """Say that there is no channel of a name."""
    return f"unknown channel {name}; there is {', '.join(channels) or 'none'}"
