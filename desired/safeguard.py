"""A guarded change: a snapshot before it, a health check after it, and back if that fails."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from desired.model import Bool, Int, Model
from desired.units import Duration

GuardedEffect = Literal["live", "hotplug", "next-boot", "stop-start"]
ADDRESS = re.compile(r"\{\{\s*ip\s*\}\}")
"""What stands for the VM's first address in the URL of a health check."""

_URL = re.compile(r"https?://\{\{\s*ip\s*\}\}(:[1-9][0-9]{0,4})?(/[!-~]*)?")
LONGEST = 86_400.0


def _url(text: str) -> str:
    if _URL.fullmatch(text):
        return text
    raise ValueError(f"expected a URL such as 'http://{{{{ip}}}}:8080/health', seen {text!r}")


def _one(value: object) -> object:
    return value if isinstance(value, (list, tuple)) else (value,)


def _within(seconds: float) -> float:
    if 10 <= seconds <= LONGEST:
        return seconds
    raise ValueError(f"expected a time from 10s to 24h, seen {seconds:.0f}s")


def _seconds(length: float) -> str:
    return f"{int(length)}s"


Port = Annotated[Int, Field(ge=1, le=65535)]
_PORT: dict[str, object] = {"type": "integer", "minimum": 1, "maximum": 65535}
Ports = Annotated[
    tuple[Port, ...],
    BeforeValidator(_one),
    WithJsonSchema({"anyOf": [_PORT, {"type": "array", "items": _PORT}]}),
]
"""`22`, or `[22, 443]`."""


class Health(Model):
    """When a VM is well: it runs, and all that is named here answers.

    `agent` is the guest agent (where the spec says `agent: true` it is asked without being named),
    `tcp` are ports that take a connection, `http` is a URL that answers with 2xx; no redirect is
    followed, and no certificate is verified. `{{ip}}` is the VM's first address.
    """

    agent: Bool | None = None
    tcp: Ports = ()
    http: Annotated[str, AfterValidator(_url)] | None = None


class Safeguard(Model):
    """How a change of the spec is guarded: `guard: snapshot`, or in full.

    `effects` are those of the changes that are; `within` is how long the VM may take to be well
    once all is applied. With `required: false` a change that no snapshot can be taken for is made
    all the same, else it waits. `snapshot: false` turns off what a package turned on.
    """

    snapshot: Bool = True
    effects: tuple[GuardedEffect, ...] = ("hotplug", "next-boot", "stop-start")
    health: Health = Health()
    within: Annotated[Duration, AfterValidator(_within), PlainSerializer(_seconds)] = 300.0
    required: Bool = True


def _in_short(value: object) -> object:
    if isinstance(value, str):
        if value != "snapshot":
            raise ValueError(
                f"expected snapshot, or a map such as {{within: 5min}}, seen {value!r}"
            )
        return {}
    return value


Guard = Annotated[Safeguard, BeforeValidator(_in_short)]
"""`guard: snapshot`, or `guard: {health: {tcp: 22}, within: 5min}`."""
