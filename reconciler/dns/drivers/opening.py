"""Which driver a zone's spec asks for; secrets are resolved here, and nothing is sent yet."""

from collections.abc import Callable
from pathlib import Path

from desired.zones import ZoneSpec
from state.drivers import ZoneDriver
from state.secret import Secret

Resolve = Callable[[str], Secret]
"""A secret by its reference; raises when there is none."""


def open_driver(zone: ZoneSpec, resolve: Resolve, folder: Path = Path()) -> ZoneDriver:
    """Return the driver of a zone; whatever `resolve` raises, and BadKey for a malformed secret.

    A CA's file is relative to `folder`, the fleet's. Each provider's module is read only when a
    zone asks for it: dnspython alone takes 0.1 s.
    """
    if zone.rfc2136 is not None:
        from reconciler.dns.drivers.rfc2136 import Rfc2136Driver

        key = zone.rfc2136.key
        secret = resolve(key.secret) if key else None
        return Rfc2136Driver(zone.name, zone.rfc2136, secret)
    if zone.powerdns is not None:
        from reconciler.dns.drivers.powerdns import PowerDnsDriver

        powerdns = zone.powerdns.model_copy(update=_ca(zone.powerdns.ca, folder))
        return PowerDnsDriver(zone.name, powerdns, resolve(powerdns.api_key))
    if zone.cloudflare is not None:
        from reconciler.dns.drivers.cloudflare import CloudflareDriver

        cloudflare = zone.cloudflare.model_copy(update=_ca(zone.cloudflare.ca, folder))
        return CloudflareDriver(zone.name, cloudflare, resolve(cloudflare.token))
    if zone.hestiacp is not None:
        from reconciler.dns.drivers.hestiacp import HestiaCpDriver

        hestiacp = zone.hestiacp.model_copy(update=_ca(zone.hestiacp.ca, folder))
        return HestiaCpDriver(zone.name, hestiacp, resolve(hestiacp.password))
    from reconciler.dns.drivers.octodns import OctoDnsDriver

    assert zone.octodns is not None  # a zone's spec has one of the five
    secrets = {name: resolve(one) for name, one in zone.octodns.secrets.items()}
    return OctoDnsDriver(zone.name, zone.octodns, secrets)


def _ca(written: str | None, folder: Path) -> dict[str, str | None]:
    return {"ca": None if written is None else str(folder / written)}
