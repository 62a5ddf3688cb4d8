"""The names of a VM in DNS: what it is found by beside its own name, and what its addresses say."""

import re
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from desired.hardware import NIC_SLOT
from desired.model import Model
from desired.syntax import bad_host

_LEASE = re.compile(rf"({NIC_SLOT})\.(ipv4|ipv6)(\.[0-9]{{1,2}})?")


def dotless(name: str) -> str:
    """Return a name as it is compared: lower case, without dots at its ends (C16)."""
    return name.strip(".").lower()


def host_wrong(name: str) -> str | None:
    """Say what is wrong with an absolute host name, if anything; it comes without a last dot."""
    wrong = bad_host(name)
    if wrong:
        return wrong
    labels = name.split(".")
    if len(labels) < 2 or labels[-1].isdigit():
        return f"expected a full name with its domain such as www.example.net, seen {name!r}"
    return None


def _host(value: object) -> object:
    if not isinstance(value, str):
        return value
    name = dotless(value)
    wrong = host_wrong(name)
    if wrong:
        raise ValueError(wrong)
    return name


HostName = Annotated[str, BeforeValidator(_host)]
"""A full host name, `www.example.net`; a last dot is taken off, capitals are lowered."""


def _whose(value: object) -> object:
    """An address in its one spelling, or a lease's place."""
    if not isinstance(value, str):
        return value
    if _LEASE.fullmatch(value):
        return value
    try:
        return str(ip_address(value))
    except ValueError:
        expected = "expected an address, or which one it is such as net0.ipv4 or net0.ipv4.1"
        raise ValueError(f"{expected}, seen {value!r}") from None


Whose = Annotated[str, BeforeValidator(_whose), WithJsonSchema({"type": "string"})]
"""One of a VM's addresses: itself, or `NIC.FAMILY`, with `.ORDINAL` behind the first."""


class Dns(Model):
    """What DNS says of a VM beside its own name and addresses; zones decide where it stands.

        dns:
          names: [www.example.net]
          cnames: [shop.example.net]
          reverse: {net0.ipv4: mail.example.net, "2001:db8::7": mail.example.net}

    VMs that share one of `names` share its records; a CNAME is one VM's.
    """

    records: Literal["on", "off"] = Field("on", description="off: none at all for this VM")
    names: tuple[HostName, ...] = Field((), description="more names with the same addresses")
    cnames: tuple[HostName, ...] = Field((), description="aliases that point at its own name")
    reverse: dict[Whose, HostName] = Field(
        default_factory=dict,
        description="names that addresses point at, instead of the VM's own (DNS-10)",
    )
    ticket: str | None = Field(
        None, min_length=1, description="who is asked for reverse names that no zone takes (DNS-11)"
    )
