"""Host names as DNS takes them: letters, digits and hyphens, in labels of at most 63 characters."""

import re
from typing import Annotated

from pydantic import BeforeValidator

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
LONGEST = 253


def dotless(name: str) -> str:
    """Return a name as it is compared: lower case, without dots at its ends (C16)."""
    return name.strip(".").lower()


def host_wrong(name: str) -> str | None:
    """Say what is wrong with an absolute host name, if anything; it comes without a last dot."""
    if len(name) > LONGEST:
        return f"expected at most {LONGEST} characters, seen {len(name)}"
    labels = name.split(".")
    if len(labels) < 2:
        return "expected a full name with its domain, such as www.example.net"
    for label in labels:
        if not LABEL.fullmatch(label):
            return "expected labels of letters, digits and hyphens, at most 63 characters each"
    if labels[-1].isdigit():
        return "expected a host name, not an address"
    return None


def _host(value: object) -> object:
    if not isinstance(value, str):
        return value
    name = dotless(value)
    wrong = host_wrong(name)
    if wrong:
        raise ValueError(f"{wrong}, seen {value!r}")
    return name


HostName = Annotated[str, BeforeValidator(_host)]
"""A full host name, `www.example.net`; a last dot is taken off, capitals are lowered."""
