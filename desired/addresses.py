"""Addresses, interfaces and networks as a person writes them: always text, prefix included."""

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from typing import Annotated

from pydantic import BeforeValidator

AnyAddress = IPv4Address | IPv6Address
AnyInterface = IPv4Interface | IPv6Interface
AnyNetwork = IPv4Network | IPv6Network


def _address(value: object) -> object:
    if isinstance(value, AnyAddress):
        return value
    try:
        return ip_address(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError(f"expected an IP address, seen {value!r}") from None


def _interface(value: object) -> object:
    if isinstance(value, AnyInterface):
        return value
    try:
        return ip_interface(value if isinstance(value, str) and "/" in value else "")
    except ValueError:
        hint = "expected an address with its prefix such as 192.0.2.5/24"
        raise ValueError(f"{hint}, seen {value!r}") from None


def _network(value: object) -> object:
    if isinstance(value, AnyNetwork):
        return value
    try:
        return ip_network(value if isinstance(value, str) and "/" in value else "")
    except ValueError as error:
        hint = "; the address has host bits set" if "host bits" in str(error) else ""
        raise ValueError(f"expected a network such as 10.0.0.0/24, seen {value!r}{hint}") from None


Address = Annotated[AnyAddress, BeforeValidator(_address)]
"""An IPv4 or IPv6 address."""

Interface = Annotated[AnyInterface, BeforeValidator(_interface)]
"""An address with the prefix length of its subnet."""

Network = Annotated[AnyNetwork, BeforeValidator(_network)]
"""A subnet, without host bits."""
