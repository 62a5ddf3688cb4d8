"""How parameters leave: Proxmox's form encoding; the one place where secrets are revealed."""

from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlencode

from state.change import Param
from state.propstring import render_number
from state.secret import Secret

_PATH = "/%:@!~*'()$&+,;=-._"


def plain(value: Param) -> list[str]:
    """Return the texts that a value is sent as: True is 1 (Proxmox refuses `true`), a list repeats
    its key."""
    if isinstance(value, Secret):
        return [value.reveal()]
    if isinstance(value, bool):
        return ["1" if value else "0"]
    if isinstance(value, float):
        return [render_number(value)]
    if isinstance(value, int | str):
        return [str(value)]
    return [str(text) for text in value]


def encode(params: Mapping[str, Param] | None) -> str:
    """Return the parameters form-encoded, spaces as %20."""
    pairs = [(key, text) for key, value in (params or {}).items() for text in plain(value)]
    return urlencode(pairs, quote_via=quote, safe="")


def revealed(params: Mapping[str, Param] | None) -> tuple[str, ...]:
    """Return the secret texts among the parameters, for what must never be shown."""
    return tuple(v.reveal() for v in (params or {}).values() if isinstance(v, Secret))


def quote_segment(text: str) -> str:
    """Return an id (a UPID, a volume id, a CIDR) as one path segment."""
    return quote(text, safe="")


def quote_path(path: str) -> str:
    """Return a path whose ids are quoted already with nothing left that could end it early."""
    return quote(path, safe=_PATH)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text with each secret, raw or percent-encoded, replaced by `***`."""
    for secret in sorted({one for one in secrets if one}, key=len, reverse=True):
        for shown in (secret, quote(secret, safe=""), quote(secret, safe="/")):
            text = text.replace(shown, "***")
    return text
